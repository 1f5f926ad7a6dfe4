package enginetest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stub is a server that only remembers its end.
type stub struct {
	name  string
	ended *[]string
}

func (s stub) Log() string   { return "" }
func (s stub) title() string { return s.name }
func (s stub) Close() error  { *s.ended = append(*s.ended, s.name); return nil }

func TestServersAreShared(t *testing.T) {
	var began, ended []string
	launch := func(version string) func(context.Context) (stub, error) {
		return func(context.Context) (stub, error) {
			began = append(began, version)
			if version == "broken" {
				return stub{}, errors.New("it does not start")
			}
			return stub{version, &ended}, nil
		}
	}
	ask := func(c *shared[stub], versions ...string) {
		for _, v := range versions {
			if s, err := c.find(t.Context(), v, launch(v)); (err != nil) != (v == "broken") || err == nil && s.name != v {
				t.Errorf("%s: %v, %v", v, s.name, err)
			}
		}
	}
	both, single := &shared[stub]{}, &shared[stub]{single: true}
	ask(both, "15", "18", "15", "broken", "broken")
	if d := cmp.Diff([]string{"15", "18", "broken"}, began); d != "" || len(ended) != 0 {
		t.Errorf("began %s, ended %v", d, ended)
	}
	if err := both.stop(); err != nil || len(ended) != 2 {
		t.Errorf("ended %v, %v", ended, err)
	}
	began, ended = nil, nil
	ask(single, "7", "7", "9", "7")
	if d := cmp.Diff([]string{"7", "9", "7"}, began) + cmp.Diff([]string{"7", "9"}, ended); d != "" {
		t.Error(d)
	}
	if err := errors.Join(single.stop(), single.stop()); err != nil || len(ended) != 3 {
		t.Errorf("ended %v, %v", ended, err)
	}
}
