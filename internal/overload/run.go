package overload

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/annals-dev/annals/internal/load"
)

// Cap is what the process of a trail may hold at most when its queue is full, in
// bytes: Go's runtime in the first place, and with the engine and the program's
// text what is resident. docs/guides/load.md says the same.
func Cap(capacityBytes int64, e Engine) (runtime, resident int64) {
	runtime = 5*capacityBytes/2 + 96<<20
	return runtime, runtime + 32<<20 + e.Memory
}

// logInterval is how often the recorder and the spool log one kind of fault.
const logInterval = 10 * time.Second

// Run runs one case in a process of its own, for 3 seconds or as many as the
// environment says in ANNALS_OVERLOAD_SECONDS, and checks what it reports.
// ANNALS_OVERLOAD_BYTES is another CapacityBytes than that of the case.
func Run(t *testing.T, e Engine, c Case) {
	length, err := number(secondsEnv, defaultSeconds)
	if err != nil {
		t.Fatal(err)
	}
	most := int64(shortBytes)
	if length >= longSeconds {
		most = longBytes
	}
	if most, err = number(bytesEnv, most); err != nil {
		t.Fatal(err)
	}
	if length < longSeconds {
		t.Parallel()
	}
	p := plan{Case: c, Engine: e.Name, Dir: t.TempDir(), Seconds: int(length), Bytes: most}
	r, l := child(t, p)
	if t.Failed() {
		return
	}
	runtime, resident := Cap(p.Bytes, e)
	t.Logf("%.0f s at %d MiB: Go's runtime %d of %d MiB, resident %d of %d MiB, %d goroutines, log %v",
		r.Seconds, p.Bytes>>20, r.Runtime>>20, runtime>>20, max(r.Resident, r.HighWater)>>20, resident>>20, r.Goroutines, r.Lines)
	if c.Server {
		checkServer(t, r, l)
	} else {
		checkLibrary(t, c, r)
	}
	checkProcess(t, e, p, r)
}

// child starts the process, puts its clients to it where it is a server, and
// gives its report.
func child(t *testing.T, p plan) (*Report, *load.Result) {
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	var result *load.Result
	if p.Server {
		result = clientsOf(t, p, out)
	}
	_ = stdin.Close() // a child that has ended says so below
	last, readErr := io.ReadAll(out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child ended with %v\n%s", err, stderr.String())
		return nil, nil
	}
	var r Report
	if err := json.Unmarshal(last, &r); err != nil {
		t.Errorf("the report cannot be read: %v, %v\n%s", err, readErr, last)
	}
	return &r, result
}

// clientsOf puts the clients to the server whose address is the first line.
func clientsOf(t *testing.T, p plan, out *bufio.Reader) *load.Result {
	line, err := out.ReadString('\n')
	if err != nil {
		t.Error("no address:", err)
		return nil
	}
	o := load.Defaults()
	o.URL, o.Users, o.Batch = line[:len(line)-1], clients, batch
	o.ThinkMin, o.ThinkMax, o.RampUp, o.Duration = 0, 0, 0, time.Duration(p.Seconds)*time.Second+2*longest
	o.Attempts, o.Drain = 1, longest
	o.Seed, o.Namespace = 1, "overload"
	healed := make(chan struct{})
	o.Stop = healed
	told := make(chan error, 1)
	go func() {
		_, err := out.ReadString('\n')
		close(healed)
		told <- err
	}()
	r, err := load.Run(t.Context(), o)
	if err := errors.Join(err, <-told); err != nil {
		t.Error("the clients:", err)
	}
	return r
}
