package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// patience is when a test that waits for something is taken to hang.
const patience = time.Minute

// listening is what the server logs once it can be reached.
var listening = regexp.MustCompile(`url=(http://\S+)`)

// process is a program in the background whose output can be waited for.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout shared
	stderr shared
	ended  chan struct{}
	err    error
}

type processes map[string]*process

// background is the key of the processes of a script.
const background = "processes"

// shared is a buffer that one goroutine writes while another looks.
type shared struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed by the next write
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrote != nil {
		close(s.wrote)
		s.wrote = nil
	}
	return s.text.Write(b)
}

// look gives what was written, and a channel that tells of more.
func (s *shared) look() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrote == nil {
		s.wrote = make(chan struct{})
	}
	return s.text.String(), s.wrote
}

func (p *process) start() error {
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.ended = make(chan struct{})
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// await waits until either output matches.
func (p *process) await(re *regexp.Regexp) ([]string, error) {
	hang := time.After(patience)
	for ended := false; ; {
		out, moreOut := p.stdout.look()
		errs, moreErr := p.stderr.look()
		for _, text := range []string{out, errs} {
			if m := re.FindStringSubmatch(text); m != nil {
				return m, nil
			}
		}
		if ended {
			return nil, fmt.Errorf("the process ended (%v) before %v:\n%s\n%s", p.err, re, out, errs)
		}
		select {
		case <-moreOut:
		case <-moreErr:
		case <-p.ended:
			ended = true
		case <-hang:
			return nil, fmt.Errorf("no %v in\n%s\n%s", re, out, errs)
		}
	}
}

// end interrupts the process and waits for it.
func (p *process) end() {
	_ = p.cmd.Process.Signal(os.Interrupt) // fails where it has ended already
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // hangs; the script says so by the exit code
		<-p.ended
	}
}

func named(ts *testscript.TestScript, name string) *process {
	p := ts.Value(background).(processes)[name]
	if p == nil {
		ts.Fatalf("no process %s", name)
	}
	return p
}

// start [-stdin FILE] NAME PROGRAM ARG...: runs it in the background. Standard
// input gives the file and stays open.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	input := ""
	if len(args) > 2 && args[0] == "-stdin" {
		input, args = ts.ReadFile(args[1]), args[2:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start [-stdin FILE] NAME PROGRAM ARG...")
	}
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	p := &process{cmd: exec.Command(path, args[2:]...)}
	p.cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE", "GOCOVERDIR", "AUDIT_TRAIL_LEVEL", "AUDIT_TRAIL_ENABLED"} {
		if v := ts.Getenv(name); v != "" {
			p.cmd.Env = append(p.cmd.Env, name+"="+v)
		}
	}
	p.stdin, err = p.cmd.StdinPipe()
	ts.Check(err)
	ts.Check(p.start())
	ts.Value(background).(processes)[args[0]] = p
	ts.Defer(p.end)
	go func() { _, _ = io.WriteString(p.stdin, input) }() // a process that ended early says so itself
}

// await NAME REGEXP [VARIABLE]: waits for the output; the variable takes the first group.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: await NAME REGEXP [VARIABLE]")
	}
	m, err := named(ts, args[0]).await(regexp.MustCompile(args[1]))
	ts.Check(err)
	if len(args) == 3 {
		ts.Setenv(args[2], m[1])
	}
}

// finish NAME [CODE]: interrupts the process, waits for it and checks its exit
// code, 0 unless given. Its output becomes stdout and stderr of the script.
func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: finish NAME [CODE]")
	}
	p := named(ts, args[0])
	p.end()
	out, _ := p.stdout.look()
	errs, _ := p.stderr.look()
	fmt.Fprint(ts.Stdout(), out)
	fmt.Fprint(ts.Stderr(), errs)
	want := "0"
	if len(args) == 2 {
		want = args[1]
	}
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != want {
		ts.Fatalf("%s ended with exit code %s, want %s:\n%s%s", args[0], got, want, out, errs)
	}
}

// exits CODE PROGRAM ARG...: runs it and checks the exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// until REGEXP PROGRAM ARG...: runs it again and again until stdout matches.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP PROGRAM ARG...")
	}
	re := regexp.MustCompile(args[0])
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := ts.Exec(args[1], args[2:]...); err == nil && re.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%s never came", args[0])
}

// http METHOD URL [FILE [TYPE]]: one request. The body goes to stdout, the
// status to stderr. A status of 400 or more is a failure.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 4 {
		ts.Fatalf("usage: http METHOD URL [FILE [TYPE]]")
	}
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(ts.ReadFile(args[2]))
	}
	req, err := http.NewRequest(args[0], args[1], body)
	ts.Check(err)
	if len(args) > 3 {
		req.Header.Set("Content-Type", args[3])
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	fmt.Fprintln(ts.Stderr(), resp.Status)
	if failed := resp.StatusCode >= 400; failed != neg {
		ts.Fatalf("%s %s: %s", args[0], args[1], resp.Status)
	}
}

// sql FILE STATEMENTS: changes a database behind the program's back.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENTS")
	}
	c, err := sqlite.OpenConn(ts.MkAbs(args[0]), sqlite.OpenReadWrite)
	ts.Check(err)
	c.SetBlockOnBusy()
	err = sqlitex.ExecuteScript(c, args[1], nil)
	ts.Check(errors.Join(err, c.Close()))
}

// events N FILE: writes N events as NDJSON. They have ids, and every tenth failed.
func cmdEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: events N FILE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var b bytes.Buffer
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		outcome := "success"
		if i%10 == 0 {
			outcome = "failure"
		}
		fmt.Fprintf(&b, `{"id":"e-%d","tenant":"acme","occurred_at":%q,"action":"document.update","actor":{"id":"user-%d"},"outcome":%q}`+"\n",
			i, base.Add(time.Duration(i)*time.Second).Format(time.RFC3339), i%7, outcome)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o600))
}

// raw FILE...: no byte of the files can control a terminal but the end of a line.
func cmdRaw(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := ts.ReadFile(name)
		if bad := strings.IndexFunc(text, func(r rune) bool {
			return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
		}); (bad >= 0) != neg {
			ts.Fatalf("a control in %s at byte %d: %q", name, bad, text)
		}
	}
}

// call runs the program in this process.
func call(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}
