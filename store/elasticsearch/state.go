package elasticsearch

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// State implements audit.Stater.
func (s *Store) State(ctx context.Context) (map[string]string, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	docs, bytes, err := s.sizeOfIndex(ctx, s.readAlias())
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"server":        s.server.name + " " + s.server.version,
		"alias":         s.readAlias(),
		"generations":   number(int64(len(l.generations))),
		"written to":    s.generation(l.writing()),
		"open since":    audit.FormatTime(l.opened),
		"records":       number(docs),
		"bytes":         number(bytes),
		"visible after": s.opt.RefreshInterval.String(),
	}, nil
}
