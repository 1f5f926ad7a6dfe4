package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Check is what reading the store found of the events of this run.
type Check struct {
	Acknowledged int64 `json:"acknowledged"` // ids that must be there
	Once         int64 `json:"stored_once"`  // of those
	Twice        int64 `json:"stored_more_than_once"`
	Missing      int64 `json:"missing"`
	// Unacknowledged are stored and were not acknowledged: what a lost answer
	// leaves behind. More of them than Result.Open are a fault.
	Unacknowledged int64    `json:"unacknowledged"`
	Readings       int      `json:"readings"`           // of the store; more than one where something was missing at first
	Drained        bool     `json:"drained"`            // the server said that nothing waits any more
	Seconds        float64  `json:"seconds"`            // from the end of the load
	Examples       []string `json:"examples,omitempty"` // of ids that are missing or there twice
}

const maxExamples = 5

// checker compares what the store has with what was acknowledged.
type checker struct {
	opt   *Options
	start time.Time
	ids   []audit.ID // sorted
	seen  []uint8
	other map[audit.ID]bool // of this run, and not acknowledged
}

// check reads the store until nothing is missing. Where something is, it reads
// again, as a server may still be storing: until three readings in a row found
// no more on a server that has drained, or the time is over.
func (c *checker) check(ctx context.Context, drained func(context.Context, time.Duration) bool) (*Check, error) {
	from := time.Now()
	end := from.Add(c.opt.Drain)
	out := &Check{Acknowledged: int64(len(c.ids))}
	out.Drained = drained(ctx, c.opt.Drain)
	c.seen = make([]uint8, len(c.ids))
	for unchanged := 0; ; {
		clear(c.seen)
		c.other = map[audit.ID]bool{}
		if err := c.scan(ctx); err != nil {
			return nil, err
		}
		out.Readings++
		missing := out.Missing
		c.sum(out)
		if out.Seconds = time.Since(from).Seconds(); out.Missing == 0 {
			return out, nil
		}
		if unchanged++; out.Readings > 1 && out.Missing < missing {
			unchanged = 1
		}
		if out.Drained && unchanged >= 3 || time.Now().After(end) {
			return out, nil
		}
		if !wait(ctx, 500*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

func (c *checker) sum(out *Check) {
	out.Once, out.Twice, out.Missing, out.Examples = 0, 0, 0, nil
	for i, n := range c.seen {
		switch n {
		case 1:
			out.Once++
			continue
		case 0:
			out.Missing++
		default:
			out.Twice++
		}
		if len(out.Examples) < maxExamples {
			out.Examples = append(out.Examples, c.ids[i].String())
		}
	}
	out.Unacknowledged = int64(len(c.other))
}

func (c *checker) scan(ctx context.Context) error {
	if c.opt.Scan != nil {
		return c.opt.Scan(ctx, c.start, c.found)
	}
	return export(ctx, c.opt, c.start, c.found)
}

// found notes one record of the store.
func (c *checker) found(id audit.ID) {
	if run, ok := runOf(id); !ok || run != c.opt.Run {
		return
	}
	i, ok := slices.BinarySearchFunc(c.ids, id, audit.ID.Compare)
	if !ok {
		c.other[id] = true
		return
	}
	c.seen[i] = min(c.seen[i], 254) + 1
}

// export reads the ids of the events in the namespace from the server.
func export(ctx context.Context, opt *Options, from time.Time, fn func(audit.ID)) error {
	params := url.Values{"namespace": {opt.Namespace}, "kind": {string(audit.KindEvent)}, "from": {from.UTC().Format(time.RFC3339Nano)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, opt.URL+"/v1/export?"+params.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "annals-bench")
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer t.CloseIdleConnections()
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return audit.Unavailable("the server does not answer", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what is there is enough
		return audit.Unavailable(fmt.Sprintf("the export was refused with %s: %s", resp.Status, clip(string(text))), nil)
	}
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		id, err := readID(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return audit.Unavailable("the export broke off", err)
		}
		fn(id)
	}
}

// idPrefix is how a record begins; the id is its first field.
var idPrefix = []byte(`{"id":"`)

// readID reads one line and gives the id of its record.
func readID(r *bufio.Reader) (audit.ID, error) {
	line, err := r.ReadSlice('\n')
	if err == io.EOF && len(line) == 0 {
		return audit.ID{}, io.EOF
	}
	if err == io.EOF {
		return audit.ID{}, io.ErrUnexpectedEOF
	}
	if end := len(idPrefix) + 36; bytes.HasPrefix(line, idPrefix) && len(line) > end {
		id, e := audit.ParseID(string(line[len(idPrefix):end]))
		for e == nil && err == bufio.ErrBufferFull { // the rest of a long line
			_, err = r.ReadSlice('\n')
		}
		if e == nil {
			return id, err
		}
	}
	whole := bytes.Clone(line)
	for err == bufio.ErrBufferFull {
		line, err = r.ReadSlice('\n')
		whole = append(whole, line...)
	}
	if err != nil {
		return audit.ID{}, err
	}
	var record struct {
		ID audit.ID `json:"id"`
	}
	err = json.Unmarshal(whole, &record)
	return record.ID, err
}
