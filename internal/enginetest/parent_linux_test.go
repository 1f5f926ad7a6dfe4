package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A server must not outlive its parent, not even one that is killed; and what that
// leaves on disk is removed by the next start.
func TestServerDiesWithItsParent(t *testing.T) {
	if _, err := postgresPrograms(t.Context(), ""); err != nil {
		giveUp(t, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childVariable+"=1")
	child.Stderr = os.Stderr
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var address, dir string
	var pid int
	_, scanErr := fmt.Fscan(stdout, &address, &pid, &dir)
	if scanErr != nil {
		t.Fatal(errors.Join(scanErr, child.Wait()))
	}
	conn := connect(t, address)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed

	if _, err := conn.WaitForNotification(t.Context()); err == nil {
		t.Error("the server still talks")
	}
	deadline := time.After(30 * time.Second)
	for again := time.Tick(10 * time.Millisecond); alive(pid); {
		select {
		case <-again:
		case <-deadline:
			t.Fatalf("process %d is still there", pid)
		}
	}
	if _, err := pgx.Connect(t.Context(), address); err == nil {
		t.Error("the server still takes connections")
	}
	StartPostgres(t, PostgresOptions{})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was not removed: %v", dir, err)
	}
}

// alive is false for a process that has ended, whether or not its status was taken.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}
