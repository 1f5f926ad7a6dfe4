package dashboard_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a Chromium that looks at the pages of a rig.
type browser struct {
	t   *testing.T
	rig *rig
	ctx context.Context

	mu     sync.Mutex
	faults []string // what the console complained of
}

// findChromium gives the path of the program; a missing one is a failure, as a
// page that nobody looked at is not tested.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("ANNALS_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: run scripts/chromium, or set ANNALS_TEST_CHROMIUM to the path of one; go test -short leaves the browser out")
	return ""
}

func newBrowser(t *testing.T, r *rig) *browser {
	t.Helper()
	path := findChromium(t)
	profile, err := os.MkdirTemp("", "annals-chromium")
	if err != nil {
		t.Fatal(err)
	}
	var opts []chromedp.ExecAllocatorOption
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
		"disable-background-networking", "disable-component-update", "disable-sync", "hide-scrollbars",
	} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	opts = append(opts, chromedp.ExecPath(path), chromedp.UserDataDir(profile))
	limit, cancelLimit := context.WithTimeout(context.Background(), 3*time.Minute)
	alloc, cancelAlloc := chromedp.NewExecAllocator(limit, opts...)
	ctx, cancelTab := chromedp.NewContext(alloc)
	b := &browser{t: t, rig: r, ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser does not end: %v", err)
		}
		cancelTab()
		cancelAlloc()
		cancelLimit()
		_ = os.RemoveAll(profile) // the browser may still be writing its last
	})
	err = chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			if len(ev.Args) > 0 && ev.Type != runtime.ConsoleAPICalledTypeLog {
				b.fault("console: %s %s", ev.Args[0].Value, ev.Args[0].Description)
			}
		case *runtime.EventExceptionThrown:
			b.fault("exception: %s", ev.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded:
			if ev.Entry.Level == cdplog.EntryLevelError || ev.Entry.Level == cdplog.EntryLevelWarning {
				b.fault("log: %s %s", ev.Entry.Text, ev.Entry.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(1280, 900))
	return b
}

func (b *browser) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// noFaults checks that the console is silent: no exception, no refused resource.
func (b *browser) noFaults(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		t.Errorf("the browser complains: %s", f)
	}
	b.faults = nil
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// get runs one action and gives its value.
func get[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// open goes to a page and gives its text as people see it.
func (b *browser) open(path string) string {
	b.t.Helper()
	b.do(chromedp.Navigate(b.rig.http.URL + path))
	return b.text("main")
}

func (b *browser) text(selector chromedp.CSS) string {
	b.t.Helper()
	return get(b, chromedp.Text(selector))
}

func (b *browser) click(selector chromedp.CSS) {
	b.t.Helper()
	b.do(chromedp.Click(selector))
}

// fill types into boxes: a selector and a text each.
func (b *browser) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		b.do(chromedp.SendKeys(chromedp.CSS(pairs[i]), pairs[i+1]))
	}
}

// choose sets lists to a value: a selector and a value each.
func (b *browser) choose(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		b.do(chromedp.SetValue(chromedp.CSS(pairs[i]), pairs[i+1]))
	}
}

func (b *browser) key(k string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(k))
}

// eval gives the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression))
}

// until waits for an expression to hold in the page, across its reloads: while a
// page is exchanged for another an expression may fail, so it is asked again.
func (b *browser) until(expression string) {
	b.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	for {
		holds, err := chromedp.Run(limit, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if holds && err == nil {
			return
		}
		select {
		case <-again.C:
		case <-limit.Done():
			b.t.Fatalf("%s does not hold (%v); the page is %s\n%s", expression, err, b.path(), b.text("body"))
		}
	}
}

func (b *browser) path() string {
	b.t.Helper()
	return eval[string](b, "location.pathname + location.search")
}

// scheme makes the page light or dark.
func (b *browser) scheme(name string) {
	b.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, params); err != nil {
		b.t.Fatal(err)
	}
}

// scripts lets pages run scripts, or not.
func (b *browser) scripts(on bool) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.t.Fatal(err)
	}
}

func wantText(t *testing.T, where, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
			t.Errorf("%s: %q is not seen in\n%s", where, w, text)
		}
	}
}
