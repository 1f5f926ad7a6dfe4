// Package policy decides what is recorded: by level, exclusions and sampling.
// Decisions are pure, do not allocate, and can explain themselves.
package policy

import (
	"slices"

	"github.com/annals-dev/annals/audit"
)

// Config says what is recorded. The zero value records at writes_only without
// exclusions or sampling.
type Config struct {
	Disabled          bool     // nothing is recorded
	Level             Level    // "" is writes_only
	AlwaysLogFailures bool     // failures and denials pass whatever the level; exclusions still win
	ExcludeActions    []string // exact or * patterns, case-insensitive, blanks trimmed, empty entries ignored
	ExcludeResources  []string // the same for resource types; an event without one is never excluded by it
	SampleRate        *float64 // share kept of what passed so far, 0 to 1; nil is 1
	SampleReads       *float64 // the same for reads, instead of SampleRate; nil is 1
}

// Policy decides. It is immutable and safe for concurrent use.
type Policy struct {
	cfg           Config
	keeps         [classes]bool // what the level keeps, whatever the outcome
	keepsFailures bool          // failures and denials pass the level
	judgesClass   bool          // the operation matters: to the level, or to sampling
	actions       exclusions
	resources     exclusions
	sampling      bool // some rate is below 1
	rate, reads   rate
}

// New checks the configuration; an error names the field: level,
// exclude_actions, exclude_resources, sample_rate or sample_reads.
func New(cfg Config) (*Policy, error) {
	p := &Policy{cfg: cfg}
	var err error
	if p.cfg.Level, err = ParseLevel(string(cfg.Level)); err != nil {
		return nil, err
	}
	p.keeps = kept[p.cfg.Level]
	p.keepsFailures = cfg.AlwaysLogFailures || p.cfg.Level == FailuresOnly
	if p.actions, err = newExclusions("exclude_actions", cfg.ExcludeActions); err != nil {
		return nil, err
	}
	if p.resources, err = newExclusions("exclude_resources", cfg.ExcludeResources); err != nil {
		return nil, err
	}
	p.cfg.ExcludeActions, p.cfg.ExcludeResources = p.actions.entries, p.resources.entries

	share, reads := 1.0, 1.0
	if cfg.SampleRate != nil {
		share = *cfg.SampleRate
	}
	if cfg.SampleReads != nil {
		reads = *cfg.SampleReads
	}
	if p.rate, err = newRate("sample_rate", share); err != nil {
		return nil, err
	}
	if p.reads, err = newRate("sample_reads", reads); err != nil {
		return nil, err
	}
	p.cfg.SampleRate, p.cfg.SampleReads = &share, &reads
	p.sampling = !cfg.Disabled && (share < 1 || reads < 1)
	p.judgesClass = p.sampling || p.cfg.Level != All && p.cfg.Level != FailuresOnly
	return p, nil
}

// Config gives the configuration with its defaults filled in, as a copy.
func (p *Policy) Config() Config {
	cfg := p.cfg
	cfg.ExcludeActions = slices.Clone(cfg.ExcludeActions)
	cfg.ExcludeResources = slices.Clone(cfg.ExcludeResources)
	cfg.SampleRate, cfg.SampleReads = new(*cfg.SampleRate), new(*cfg.SampleReads)
	return cfg
}

// Level gives the level in force, which is stored on every record.
func (p *Policy) Level() Level { return p.cfg.Level }

// Decide says whether the event is recorded, and by which rule. It does not
// change the event and does not allocate. Sampling hashes the correlation id,
// or else the event's id, so that the records of one request stay together; an
// event without either is given an id first by the caller, derived from its
// external id where it has one. It never drops a failure, a denial or a delete.
// A pending outcome (an intent) is judged by its operation, like a success.
func (p *Policy) Decide(ev *audit.Event) Reason {
	if p.cfg.Disabled {
		return ByDisabled
	}
	failed := ev.Outcome.Failed()
	c := classOther // at a level that judges no operation, any class is as good
	if p.judgesClass {
		c = classOf(operation(ev))
	}
	if !p.levelKeeps(c, failed) {
		return ByLevel
	}
	if p.actions.match(ev.Action) != "" {
		return ByAction
	}
	if p.resources.match(ev.Resource.Type) != "" {
		return ByResource
	}
	if p.sampling && !exempt(c, failed) && !p.rateFor(c).keeps(sampleHash(ev)) {
		return BySampling
	}
	return Recorded
}

// Samples reports whether Decide may look at the event's id: the caller then
// gives the event one before it asks.
func (p *Policy) Samples() bool { return p.sampling }

func (p *Policy) levelKeeps(c class, failed bool) bool {
	return p.keeps[c] || failed && p.keepsFailures
}

func (p *Policy) rateFor(c class) rate {
	if c == classRead {
		return p.reads
	}
	return p.rate
}

// exempt reports whether sampling leaves the event alone.
func exempt(c class, failed bool) bool { return failed || c == classDelete }

// operation gives the event's operation; an explicit one wins over the verb.
func operation(ev *audit.Event) audit.Operation {
	if ev.Operation != "" {
		return ev.Operation
	}
	return audit.OperationOf(ev.Action)
}
