package clickhouse

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/annals-dev/annals/audit"
)

// newInsert gives the number of an INSERT: no other has it, in any process.
func newInsert() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand ends the process instead
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// block is a batch by columns. A column in which every value is absent is left
// out: its default stands there.
type block struct {
	names   []string
	columns []any
	recs    []*audit.Record // whose values they are
	// later, where it is set, gives the last columns, by names that stand in names
	// already, when they are made: the records are being linked while the others
	// are on their way.
	later func() []any
}

func (b *block) add(name string, values any) {
	if values != nil {
		b.names, b.columns = append(b.names, name), append(b.columns, values)
	}
}

// newBlock lays the records out. It shares their memory.
func newBlock(recs []*audit.Record, insert uint64, words bool) *block {
	b := contentBlock(recs, insert, words)
	for _, f := range chainFields {
		b.add(f.Name, fieldColumn(f, b.recs))
	}
	return b
}

// contentBlock lays out all but the place in a chain, every processor a part.
func contentBlock(recs []*audit.Record, insert uint64, words bool) *block {
	made := make([]any, len(contentFields))
	members := any(nil)
	parallel(len(made)+1, func(i int) {
		if i == 0 { // the dearest first
			members = membersColumn(recs)
			return
		}
		made[i-1] = fieldColumn(contentFields[i-1], recs)
	})
	b := &block{recs: recs}
	for i, f := range contentFields {
		b.add(f.Name, made[i])
	}
	months, inserts, births := make([]uint32, len(recs)), make([]uint64, len(recs)), make([]uint64, len(recs))
	for i, r := range recs {
		months[i], inserts[i], births[i] = month(r), insert, born(r.ID)
	}
	b.add(columnMonth, months)
	b.add(columnInsert, inserts)
	b.add(columnBorn, births)
	b.add(columnMembers, members)
	if words {
		b.add(columnSearch, searchTexts(recs))
	}
	return b
}

// linkLater leaves room for the places in a chain, which the records have when
// linked is closed.
func (b *block) linkLater(linked <-chan struct{}) {
	for _, f := range chainFields {
		b.names = append(b.names, f.Name)
	}
	b.later = sync.OnceValue(func() []any {
		<-linked
		out := make([]any, len(chainFields))
		for i, f := range chainFields {
			out[i] = column(f, b.recs)
		}
		return out
	})
}

// parallel calls fn with 0 to n-1, on every processor.
func parallel(n int, fn func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

// wordsShare is how many records one processor makes words of at a time.
const wordsShare = 256

// searchTexts gives the words of the records.
func searchTexts(recs []*audit.Record) []string {
	out := make([]string, len(recs))
	parallel((len(recs)+wordsShare-1)/wordsShare, func(share int) {
		from := share * wordsShare
		for i, r := range recs[from:min(from+wordsShare, len(recs))] {
			out[from+i] = audit.SearchText(r)
		}
	})
	return out
}

// fieldColumn gives the values of a field, nil where none of them is there.
func fieldColumn(f *audit.Field, recs []*audit.Record) any {
	for _, r := range recs {
		if !f.Absent(r) {
			return column(f, recs)
		}
	}
	return nil
}

func column(f *audit.Field, recs []*audit.Record) any {
	switch f.Kind {
	case audit.Text:
		return values(recs, f.Text)
	case audit.Document:
		return values(recs, func(r *audit.Record) string {
			doc := f.Bytes(r)
			return unsafe.String(unsafe.SliceData(doc), len(doc))
		})
	case audit.Identity, audit.Hash:
		return values(recs, f.Bytes)
	case audit.Flag:
		return values(recs, func(r *audit.Record) uint8 { return uint8(f.Int(r)) })
	}
	return values(recs, f.Int)
}

func values[T any](recs []*audit.Record, of func(*audit.Record) T) []T {
	out := make([]T, len(recs))
	for i, r := range recs {
		out[i] = of(r)
	}
	return out
}

func membersColumn(recs []*audit.Record) any {
	list := make([]string, len(recs))
	buf := make([]byte, 0, 64*len(recs)) // the texts may lie in several
	some := false
	for i, r := range recs {
		if len(r.Metadata) == 0 {
			continue
		}
		from := len(buf)
		buf = appendMembers(buf, r.Metadata)
		if n := len(buf) - from; n > 0 {
			list[i], some = unsafe.String(&buf[from], n), true
		}
	}
	if !some {
		return nil
	}
	return list
}

// attempts is how often an INSERT whose connection broke is sent. The server
// knows a repetition by its token.
const attempts = 3

// send stores a block.
func (s *Store) send(ctx context.Context, table string, b *block, insert uint64) error {
	statement := "INSERT INTO " + table + " (" + strings.Join(b.names, ",") + ")"
	return s.insist(ctx, insert, func(ctx context.Context) (begun bool, err error) { return s.sendOnce(ctx, statement, b) })
}

// insist makes attempts at an INSERT, each under a name of its own; begun says
// that rows were on their way. An error leaves it open whether the server stored
// them, and is then among the doubts.
func (s *Store) insist(ctx context.Context, insert uint64, once func(context.Context) (begun bool, err error)) error {
	token := strconv.FormatUint(insert, 16)
	var sent []string
	for attempt := 1; ; attempt++ {
		id := "annals-" + token + "-" + strconv.Itoa(attempt)
		begun, err := once(driver.Context(ctx, driver.WithQueryID(id), driver.WithSettings(driver.Settings{"insert_deduplication_token": token})))
		if err == nil {
			return nil
		}
		if begun {
			sent = append(sent, id)
		}
		if attempt == attempts || ctx.Err() != nil || codeOf(err) != 0 {
			s.doubts.add(sent...)
			return translate(ctx, err)
		}
		timer := time.NewTimer(time.Duration(attempt) * 10 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// sendOnce is one attempt.
func (s *Store) sendOnce(ctx context.Context, statement string, b *block) (begun bool, err error) {
	batch, err := s.conn.PrepareBatch(ctx, statement)
	if err != nil {
		return false, err
	}
	errs := make([]error, len(b.columns))
	parallel(len(b.columns), func(i int) { errs[i] = batch.Column(i).Append(b.columns[i]) })
	if b.later != nil {
		for i, values := range b.later() {
			errs = append(errs, batch.Column(len(b.columns)+i).Append(values))
		}
	}
	for i, err := range errs {
		if err != nil {
			_ = batch.Abort() // nothing was sent
			return false, &audit.Error{Code: audit.CodeInternal, Message: "the column " + b.names[i] + " does not take its values", Cause: err}
		}
	}
	return true, batch.Send()
}
