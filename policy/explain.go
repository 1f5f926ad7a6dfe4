package policy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// Explanation says which rule decided and how each rule judged.
type Explanation struct {
	Recorded  bool            `json:"recorded"`
	Reason    string          `json:"reason"`
	Operation audit.Operation `json:"operation"`
	Level     Level           `json:"level"`
	Steps     []Step          `json:"steps"`
}

// Step is one rule's judgement.
type Step struct {
	Rule   string `json:"rule"` // enabled, level, exclude_actions, exclude_resources, sampling
	Passed bool   `json:"passed"`
	Detail string `json:"detail"` // a sentence, e.g. `operation "read" is not recorded at level writes_only`
}

// Explain judges the event like Decide and says why. All rules up to the
// deciding one are listed.
func (p *Policy) Explain(ev *audit.Event) Explanation {
	e := Explanation{Reason: Recorded.String(), Recorded: true, Operation: operation(ev), Level: p.cfg.Level}
	for _, rule := range [...]struct {
		name   string
		reason Reason
		judge  func(*audit.Event) (bool, string)
	}{
		{"enabled", ByDisabled, p.explainEnabled},
		{"level", ByLevel, p.explainLevel},
		{"exclude_actions", ByAction, p.explainAction},
		{"exclude_resources", ByResource, p.explainResource},
		{"sampling", BySampling, p.explainSampling},
	} {
		passed, detail := rule.judge(ev)
		e.Steps = append(e.Steps, Step{Rule: rule.name, Passed: passed, Detail: detail})
		if !passed {
			e.Recorded, e.Reason = false, rule.reason.String()
			break
		}
	}
	return e
}

func (p *Policy) explainEnabled(*audit.Event) (bool, string) {
	if p.cfg.Disabled {
		return false, "recording is switched off"
	}
	return true, "recording is switched on"
}

func (p *Policy) explainLevel(ev *audit.Event) (bool, string) {
	op, outcome := operation(ev), outcomeOf(ev)
	c, failed := classOf(op), outcome.Failed()
	passed := p.levelKeeps(c, failed)
	verdict := " is recorded at level "
	if !passed {
		verdict = " is not recorded at level "
	}
	verdict += string(p.cfg.Level)
	switch {
	case p.cfg.Level == FailuresOnly:
		return passed, "outcome " + quote(string(outcome)) + verdict
	case passed && !p.keeps[c]:
		return passed, "outcome " + quote(string(outcome)) + " is always recorded (always_log_failures)"
	case ev.Operation == "":
		return passed, "operation " + quote(string(op)) + ", from the verb of action " + quote(ev.Action) + "," + verdict
	}
	return passed, "operation " + quote(string(op)) + verdict
}

func (p *Policy) explainAction(ev *audit.Event) (bool, string) {
	return explainExclusion("action", ev.Action, &p.actions)
}

func (p *Policy) explainResource(ev *audit.Event) (bool, string) {
	if ev.Resource.Type == "" {
		return true, "the event has no resource type"
	}
	return explainExclusion("resource type", ev.Resource.Type, &p.resources)
}

func explainExclusion(what, name string, x *exclusions) (bool, string) {
	if entry := x.match(name); entry != "" {
		return false, what + " " + quote(name) + " is excluded by " + quote(entry)
	}
	return true, what + " " + quote(name) + " is not excluded"
}

func (p *Policy) explainSampling(ev *audit.Event) (bool, string) {
	op, outcome := operation(ev), outcomeOf(ev)
	c := classOf(op)
	share, what := *p.cfg.SampleRate, "sample_rate"
	if c == classRead {
		share, what = *p.cfg.SampleReads, "sample_reads"
	}
	switch {
	case share == 1:
		return true, "nothing is left out (" + what + " is 1)"
	case outcome.Failed():
		return true, "outcome " + quote(string(outcome)) + " is never sampled"
	case c == classDelete:
		return true, "a delete is never sampled"
	}
	passed := p.rateFor(c).keeps(sampleHash(ev))
	by := "id " + quote(ev.ID.String())
	if id := ev.Request.CorrelationID; id != "" {
		by = "correlation id " + quote(id)
	} else if ev.ID.IsZero() {
		by = "an event without an id, which the one it is given will move,"
	}
	verdict := "below"
	if !passed {
		verdict = "not below"
	}
	return passed, fmt.Sprintf("%s falls at %.6f, %s %s %v", by, Point(ev), verdict, what, share)
}

// outcomeOf gives the event's outcome; an absent one is a success.
func outcomeOf(ev *audit.Event) audit.Outcome {
	if ev.Outcome == "" {
		return audit.Success
	}
	return ev.Outcome
}

// quote quotes a value and keeps it short enough to stand in a sentence.
func quote(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return strconv.Quote(s)
}
