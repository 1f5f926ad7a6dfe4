package enginetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// process is a running engine. It is killed when this process ends, however that
// ends (Linux only).
type process struct {
	cmd   *exec.Cmd
	log   *tail
	ready chan struct{} // closed when the engine has printed its marker
	done  chan struct{} // closed when the process and its children have ended
	err   error         // how it ended; read after done
}

// startProcess starts cmd. Its output goes to log; the line that contains marker
// says that it is ready.
func startProcess(cmd *exec.Cmd, log *tail, marker string) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	p := &process{cmd: cmd, log: log, ready: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error)
	go p.attend(r, w, []byte(marker), started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// attend stays for as long as the process runs.
func (p *process) attend(r, w *os.File, marker []byte, started chan<- error) {
	// The kernel kills the child when the thread that made it ends, so the thread
	// stays here, and never goes back to others.
	runtime.LockOSThread()
	err := p.cmd.Start()
	err = errors.Join(err, w.Close())
	started <- err
	if err == nil {
		// Every child of the engine holds the other end of the pipe. After the end of
		// the output none of them runs, and its folder and port are free.
		p.copyOutput(r, marker)
		p.err = p.cmd.Wait()
		close(p.done)
	}
	_ = r.Close()
}

func (p *process) copyOutput(r io.Reader, marker []byte) {
	in := bufio.NewReader(r)
	ready := false
	for {
		line, _, err := in.ReadLine() // a long line comes in pieces
		if err != nil {
			return
		}
		p.log.add(line)
		if !ready && bytes.Contains(line, marker) {
			ready = true
			close(p.ready)
		}
	}
}

// await returns when the engine is ready.
func (p *process) await(ctx context.Context, patience time.Duration) error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return fmt.Errorf("it ended at once (%v): %s", p.err, p.log)
	case <-ctx.Done():
		return fmt.Errorf("not ready: %w: %s", context.Cause(ctx), p.log)
	case <-time.After(patience):
		return fmt.Errorf("not ready after %v: %s", patience, p.log)
	}
}

// end sends the signal and waits until the process and its children are gone. When
// patience is over it kills.
func (p *process) end(sig os.Signal, patience time.Duration) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = p.cmd.Process.Kill() // a system without such signals
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("process %d does not end: %s", p.cmd.Process.Pid, p.log)
	}
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// tail keeps the last lines that an engine has printed, over restarts.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 64 << 10

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(append(t.text, line...), '\n')
	if n := len(t.text); n > 2*tailSize {
		t.text = append(t.text[:0], t.text[n-tailSize:]...)
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text[max(0, len(t.text)-tailSize):])
}
