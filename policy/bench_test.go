package policy_test

import (
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

var decideCases = []struct {
	name string
	cfg  policy.Config
	ev   audit.Event
	want policy.Reason
}{
	{"disabled", policy.Config{Disabled: true}, audit.Event{Action: "users.list"}, policy.ByDisabled},
	{"level", policy.Config{}, audit.Event{Action: "datasets.listVersions", Operation: audit.Read}, policy.ByLevel},
	{"level_by_verb", policy.Config{}, audit.Event{Action: "datasets.listVersions"}, policy.ByLevel},
	{"exact_action", policy.Config{Level: policy.All, ExcludeActions: []string{"health", "gateway.health_check", "metrics"}},
		audit.Event{Action: "Gateway.Health_Check"}, policy.ByAction},
	{"pattern_action", policy.Config{Level: policy.All, ExcludeActions: []string{"internal.*", "*.heartbeat", "gateway.*.probe"}},
		audit.Event{Action: "gateway.health.probe"}, policy.ByAction},
	{"exact_resource", policy.Config{ExcludeActions: []string{"health"}, ExcludeResources: []string{"session", "cache_entry"}},
		audit.Event{Action: "cache.put", Resource: audit.Resource{Type: "Cache_Entry"}}, policy.ByResource},
	{"unicode_action", policy.Config{Level: policy.All, ExcludeActions: []string{"prüfung"}}, audit.Event{Action: "PRÜFUNG"}, policy.ByAction},
	{"sampled_by_correlation", policy.Config{SampleRate: new(0.0)},
		audit.Event{Action: "tool.call", Request: audit.Request{CorrelationID: "0192f0c1-2b3c-7d4e-8f50-61728394a5b6"}}, policy.BySampling},
	{"sampled_by_id", policy.Config{SampleRate: new(0.0)}, audit.Event{Action: "tool.call", ID: audit.ID{1, 2, 3}}, policy.BySampling},
	{"recorded", policy.Config{}, audit.Event{Action: "user.create"}, policy.Recorded},
}

func TestDecideDoesNotAllocate(t *testing.T) {
	for _, tt := range decideCases {
		p := mustNew(t, tt.cfg)
		if got := p.Decide(&tt.ev); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if n := testing.AllocsPerRun(100, func() { p.Decide(&tt.ev) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, tt := range decideCases {
		b.Run(tt.name, func(b *testing.B) {
			p := mustNew(b, tt.cfg)
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(&tt.ev)
			}
		})
	}
}
