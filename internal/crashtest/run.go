package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Rounds gives how often a run kills: 5, or what the environment says in
// ANNALS_CRASH_ROUNDS.
func Rounds(t testing.TB) int {
	text := os.Getenv(roundsEnv)
	if text == "" {
		return defaultRounds
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number of rounds", roundsEnv, text)
	}
	return n
}

// acks are the ids that were acknowledged.
type acks struct {
	mu  sync.Mutex
	ids map[name]bool
}

func (a *acks) add(t testing.TB, id string) {
	n, err := parse(id)
	if err != nil {
		t.Error(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[n] = true
}

// Run kills as many children as [Rounds] says, each at a random moment, and
// checks what is there afterwards. A round in which the child is killed before
// it has come up is one too: it dies in its recovery.
func Run(t *testing.T, e Engine, mode Mode) {
	dir := t.TempDir()
	got := &acks{ids: map[name]bool{}}
	idle := 0
	for round := range Rounds(t) {
		before := len(got.ids)
		oneRound(t, e, mode, dir, round, got)
		if t.Failed() {
			return
		}
		if len(got.ids) == before {
			idle++
		}
	}
	if idle == Rounds(t) {
		t.Error("no round acknowledged anything")
	}
	check(t, e, mode, dir, got)
	t.Logf("%d rounds, %d of them without an acknowledgement, %d events acknowledged", Rounds(t), idle, len(got.ids))
}

// oneRound starts a child, and kills it.
func oneRound(t *testing.T, e Engine, mode Mode, dir string, round int, got *acks) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s/%s/%d", childEnv, e.Name, mode, round), dirEnv+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{})
	kill := func() {
		close(killed)
		_ = cmd.Process.Kill() // the child may have ended by itself, which is told below
	}
	// One in five dies while it starts. The others live on for a while from
	// their first line, as a start takes longer where the machine has more to do.
	life := rand.N(500 * time.Millisecond)
	timer := time.AfterFunc(startPatience, kill)
	if rand.N(5) == 0 {
		timer.Reset(rand.N(150 * time.Millisecond))
		life = 0
	}
	defer timer.Stop()
	lines := bufio.NewScanner(stdout)
	if lines.Scan() && life > 0 {
		timer.Reset(life)
	}
	switch {
	case lines.Text() == "": // killed before it was up
	case mode == Server:
		postAll(t, lines, round, got)
	default:
		for more := true; more; more = lines.Scan() {
			got.add(t, lines.Text())
		}
	}
	err = cmd.Wait()
	select {
	case <-killed:
	default:
		t.Errorf("round %d: the child ended by itself: %v\n%s", round, err, stderr.String())
	}
}

// startPatience is how long a child may take to its first line.
const startPatience = time.Minute

// postAll posts events to the server whose address is the line that was read,
// from every producer one after the other, until it does not answer any more.
func postAll(t *testing.T, lines *bufio.Scanner, round int, got *acks) {
	url := lines.Text() + "/v1/events"
	transport := &http.Transport{MaxIdleConnsPerHost: producers}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var wg sync.WaitGroup
	for i := range producers {
		wg.Go(func() {
			p := producer{round: round, number: i}
			for {
				evs := p.call()
				answered, err := post(client, url, evs)
				if err != nil {
					t.Errorf("round %d: %v", round, err)
				}
				if !answered || err != nil {
					return
				}
				for _, ev := range evs {
					got.add(t, ev.ExternalID)
				}
			}
		})
	}
	wg.Wait()
	for lines.Scan() { // to the end of the process
	}
}

// post sends the events. An error is an answer that is not the acknowledgement
// of all of them; no answer is what a killed server gives.
func post(client *http.Client, url string, evs []*audit.Event) (answered bool, err error) {
	bodies := make([]string, len(evs))
	for i, ev := range evs {
		one := *ev
		text, err := json.Marshal(one)
		if err != nil {
			return false, err
		}
		bodies[i] = string(text)
	}
	body := bodies[0]
	if len(bodies) > 1 {
		body = "[" + strings.Join(bodies, ",") + "]"
	}
	resp, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return false, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, nil // killed in the middle of the answer
	}
	if resp.StatusCode != http.StatusOK || strings.Count(string(text), `"status":"queued"`) != len(evs) {
		return true, fmt.Errorf("answered %d: %s", resp.StatusCode, text)
	}
	return true, nil
}

// finish is how long the last start may take to deliver what is left.
const finish = 2 * time.Minute

func finishing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), finish)
}
