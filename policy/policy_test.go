package policy_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

func TestExclusions(t *testing.T) {
	tests := []struct {
		entries  string // comma-separated, as the environment has them
		excluded []string
		kept     []string
	}{
		{"health", []string{"health", "HEALTH", "Health"}, []string{"health_record", "my_health", "healt", "health ", "", "*"}},
		{" , health ,,\ttool.call\n, ", []string{"health", "tool.call"}, []string{"", " ", "tool.calls"}},
		{"health*", []string{"health", "Health_record", "health.check"}, []string{"unhealthy", "healt"}},
		{"*.read", []string{"a.read", ".read", "A.B.READ"}, []string{"read", "a.reads"}},
		{"a*b*c", []string{"abc", "aXbYc", "aabbcc", "abcbc"}, []string{"acb", "ab", "xabc", "abcx"}},
		{"ab*ba", []string{"abba", "abxba"}, []string{"aba", "ab"}},
		{"*x*x*", []string{"xx", "axbxc"}, []string{"x", "axb"}},
		{"**", []string{"a", "anything"}, []string{""}},
		{"*", []string{"a", "\xff"}, []string{""}},
		{"a.c", []string{"a.c"}, []string{"abc"}},
		{"a?c,[ab]", []string{"a?c", "[AB]"}, []string{"abc", "a"}},
		{"ÄRGER", []string{"ärger", "Ärger"}, []string{"arger"}},
		{"straſse", []string{"STRASSE", "strasse"}, []string{"straße"}},
		{"\u212aelvin*", []string{"kelvin", "KELVIN.x"}, nil},
		{"*ΟΔΟΣ", []string{"x.οδος", "x.οδοσ"}, nil},
		{strings.Repeat("é", 128), []string{strings.Repeat("É", 128)}, []string{strings.Repeat("é", 129), strings.Repeat("é", 127)}},
		{strings.Repeat("a", 256), []string{strings.Repeat("A", 256)}, []string{strings.Repeat("a", 257)}},
		{"long*end", []string{"LONG" + strings.Repeat("-", 1000) + "END"}, nil},
		{"", nil, []string{"", "a"}},
	}
	for _, tt := range tests {
		entries := strings.Split(tt.entries, ",")
		actions := mustNew(t, policy.Config{Level: policy.All, ExcludeActions: entries})
		resources := mustNew(t, policy.Config{Level: policy.All, ExcludeResources: entries})
		check := func(name string, byAction, byResource policy.Reason) {
			t.Helper()
			action := &audit.Event{Action: name, Resource: audit.Resource{Type: "r", ID: "health", Name: "health"}}
			if got := actions.Decide(action); got != byAction {
				t.Errorf("actions %q, %q: %v, want %v", tt.entries, name, got, byAction)
			}
			resource := &audit.Event{Action: "a", Resource: audit.Resource{Type: name}}
			if got := resources.Decide(resource); got != byResource {
				t.Errorf("resources %q, %q: %v, want %v", tt.entries, name, got, byResource)
			}
		}
		for _, name := range tt.excluded {
			check(name, policy.ByAction, policy.ByResource)
		}
		for _, name := range tt.kept {
			check(name, policy.Recorded, policy.Recorded)
		}
	}
}

func TestOrderOfReasons(t *testing.T) {
	zero := 0.0
	cfg := policy.Config{
		Disabled: true, Level: policy.WritesOnly, AlwaysLogFailures: true,
		ExcludeActions: []string{"secret.*"}, ExcludeResources: []string{"health"}, SampleReads: &zero,
	}
	ev := audit.Event{Action: "secret.get", Resource: audit.Resource{Type: "health"}}
	failure := ev
	failure.Outcome = audit.Denied
	steps := []struct {
		want, wantFailure policy.Reason
		mend              func()
	}{
		{policy.ByDisabled, policy.ByDisabled, func() { cfg.Disabled = false }},
		{policy.ByLevel, policy.ByAction, func() { cfg.Level = policy.All }},
		{policy.ByAction, policy.ByAction, func() { cfg.ExcludeActions = nil }},
		{policy.ByResource, policy.ByResource, func() { cfg.ExcludeResources = nil }},
		{policy.BySampling, policy.Recorded, func() { cfg.SampleReads = nil }},
		{policy.Recorded, policy.Recorded, func() {}},
	}
	for _, s := range steps {
		p := mustNew(t, cfg)
		if got := p.Decide(&ev); got != s.want {
			t.Errorf("%+v: %v, want %v", cfg, got, s.want)
		}
		if got := p.Decide(&failure); got != s.wantFailure {
			t.Errorf("denied, %+v: %v, want %v", cfg, got, s.wantFailure)
		}
		s.mend()
	}
}

func TestReasonNames(t *testing.T) {
	var got []string
	for r := range policy.NumReasons {
		got = append(got, policy.Reason(r).String())
	}
	want := []string{"recorded", "disabled", "level", "excluded_action", "excluded_resource", "sampled"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := policy.Reason(200).String(); got != "unknown" {
		t.Error(got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		field string
		cfg   policy.Config
	}{
		{"sample_rate", policy.Config{SampleRate: new(math.NaN())}},
		{"sample_rate", policy.Config{SampleRate: new(-0.0001)}},
		{"sample_rate", policy.Config{SampleRate: new(1.0001)}},
		{"sample_rate", policy.Config{SampleRate: new(math.Inf(1)), SampleReads: new(1.0)}},
		{"sample_reads", policy.Config{SampleReads: new(math.NaN())}},
		{"sample_reads", policy.Config{SampleReads: new(-1.0)}},
		{"sample_reads", policy.Config{SampleReads: new(2.0)}},
		{"level", policy.Config{Level: "loud"}},
		{"exclude_actions", policy.Config{ExcludeActions: []string{"a", strings.Repeat("a", 257)}}},
		{"exclude_resources", policy.Config{ExcludeResources: []string{"a\x00"}}},
		{"exclude_resources", policy.Config{ExcludeResources: []string{"\xff*"}}},
	} {
		_, err := policy.New(tt.cfg)
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != tt.field {
			t.Errorf("%+v: %v, want an error about %s", tt.cfg, err, tt.field)
		}
	}
}

func TestConfigGivesDefaultsAndIsACopy(t *testing.T) {
	half := 0.5
	p := mustNew(t, policy.Config{ExcludeActions: []string{" B ", "", "a*", "B"}, SampleRate: &half})
	half = 0
	want := policy.Config{Level: policy.WritesOnly, ExcludeActions: []string{"B", "a*"}, SampleRate: new(0.5), SampleReads: new(1.0)}
	got := p.Config()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got.ExcludeActions[0], *got.SampleRate = "x", 0
	if d := cmp.Diff(want, p.Config()); d != "" {
		t.Error(d)
	}
	if p.Level() != policy.WritesOnly || !p.Samples() {
		t.Error(p.Level(), p.Samples())
	}
	def := mustNew(t, policy.Config{}).Config()
	if d := cmp.Diff(policy.Config{Level: policy.WritesOnly, SampleRate: new(1.0), SampleReads: new(1.0)}, def); d != "" {
		t.Error(d)
	}
}

func TestExplain(t *testing.T) {
	p := mustNew(t, policy.Config{
		AlwaysLogFailures: true, ExcludeActions: []string{"secret.*"}, ExcludeResources: []string{"Health"}, SampleRate: new(0.5),
	})
	tests := []struct {
		name string
		ev   audit.Event
		want policy.Explanation
	}{
		{"filtered by level", audit.Event{Action: "users.list"}, policy.Explanation{
			Reason: "level", Operation: audit.Read, Level: policy.WritesOnly, Steps: []policy.Step{
				{"enabled", true, `recording is switched on`},
				{"level", false, `operation "read", from the verb of action "users.list", is not recorded at level writes_only`},
			}}},
		{"a denied read of an excluded action", audit.Event{Action: "secret.list", Operation: audit.Read, Outcome: audit.Denied}, policy.Explanation{
			Reason: "excluded_action", Operation: audit.Read, Level: policy.WritesOnly, Steps: []policy.Step{
				{"enabled", true, `recording is switched on`},
				{"level", true, `outcome "denied" is always recorded (always_log_failures)`},
				{"exclude_actions", false, `action "secret.list" is excluded by "secret.*"`},
			}}},
		{"an excluded resource", audit.Event{Action: "x.set", Operation: audit.Update, Resource: audit.Resource{Type: "HEALTH"}}, policy.Explanation{
			Reason: "excluded_resource", Operation: audit.Update, Level: policy.WritesOnly, Steps: []policy.Step{
				{"enabled", true, `recording is switched on`},
				{"level", true, `operation "update" is recorded at level writes_only`},
				{"exclude_actions", true, `action "x.set" is not excluded`},
				{"exclude_resources", false, `resource type "HEALTH" is excluded by "Health"`},
			}}},
		{"sampled away", audit.Event{Action: "x.set", Operation: audit.Update, Request: audit.Request{CorrelationID: "a"}}, policy.Explanation{
			Reason: "sampled", Operation: audit.Update, Level: policy.WritesOnly, Steps: []policy.Step{
				{"enabled", true, `recording is switched on`},
				{"level", true, `operation "update" is recorded at level writes_only`},
				{"exclude_actions", true, `action "x.set" is not excluded`},
				{"exclude_resources", true, `the event has no resource type`},
				{"sampling", false, `correlation id "a" falls at 0.821514, not below sample_rate 0.5`},
			}}},
		{"a delete", audit.Event{Action: "x.drop", Operation: audit.Delete, Request: audit.Request{CorrelationID: "a"}}, policy.Explanation{
			Recorded: true, Reason: "recorded", Operation: audit.Delete, Level: policy.WritesOnly, Steps: []policy.Step{
				{"enabled", true, `recording is switched on`},
				{"level", true, `operation "delete" is recorded at level writes_only`},
				{"exclude_actions", true, `action "x.drop" is not excluded`},
				{"exclude_resources", true, `the event has no resource type`},
				{"sampling", true, `a delete is never sampled`},
			}}},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, p.Explain(&tt.ev)); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
	off := mustNew(t, policy.Config{Disabled: true}).Explain(&audit.Event{Action: "a"})
	want := policy.Explanation{Reason: "disabled", Operation: audit.Other, Level: policy.WritesOnly,
		Steps: []policy.Step{{"enabled", false, "recording is switched off"}}}
	if d := cmp.Diff(want, off); d != "" {
		t.Error(d)
	}
}

func TestExplainAgreesWithDecide(t *testing.T) {
	names := rapid.SampledFrom([]string{"", "health", "health_record", "users.list", "user.create", "user.delete", "x", "tool.execute", "HEALTH"})
	entries := rapid.SliceOfN(rapid.SampledFrom([]string{"", " ", "health", "*", "h*", "*.list", "x", "user.*e"}), 0, 2)
	share := rapid.Ptr(rapid.SampledFrom([]float64{0, 0.25, 0.5, 1}), true)
	rapid.Check(t, func(t *rapid.T) {
		p, err := policy.New(policy.Config{
			Disabled:          rapid.IntRange(0, 9).Draw(t, "disabled") == 0,
			Level:             rapid.SampledFrom(append(policy.Levels(), "")).Draw(t, "level"),
			AlwaysLogFailures: rapid.Bool().Draw(t, "always"),
			ExcludeActions:    entries.Draw(t, "actions"),
			ExcludeResources:  entries.Draw(t, "resources"),
			SampleRate:        share.Draw(t, "rate"),
			SampleReads:       share.Draw(t, "reads"),
		})
		if err != nil {
			t.Fatal(err)
		}
		ev := &audit.Event{
			Action:    names.Draw(t, "action"),
			Operation: rapid.SampledFrom(append(audit.Operations(), "", "levitate")).Draw(t, "operation"),
			Outcome:   rapid.SampledFrom(append(audit.Outcomes(), "")).Draw(t, "outcome"),
			Resource:  audit.Resource{Type: names.Draw(t, "resource")},
			Request:   audit.Request{CorrelationID: rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "correlation")},
			ID:        audit.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		}
		before := *ev
		got, why := p.Decide(ev), p.Explain(ev)
		if why.Reason != got.String() || why.Recorded != (got == policy.Recorded) {
			t.Fatalf("Decide says %v, Explain %+v", got, why)
		}
		rules := []string{"enabled", "level", "exclude_actions", "exclude_resources", "sampling"}
		for i, s := range why.Steps {
			last := i == len(why.Steps)-1
			if s.Rule != rules[i] || s.Passed == (last && !why.Recorded) || s.Detail == "" {
				t.Fatalf("step %d of %+v", i, why)
			}
		}
		if got == policy.BySampling && !p.Samples() {
			t.Fatal("sampled, though Samples is false")
		}
		if d := cmp.Diff(before, *ev); d != "" {
			t.Fatal("the event was changed", d)
		}
	})
}
