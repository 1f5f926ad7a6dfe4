package clickhouse

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"runtime"
	"strconv"
	"strings"
	"sync"
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
}

func (b *block) add(name string, values any) {
	b.names, b.columns = append(b.names, name), append(b.columns, values)
}

// newBlock lays the records out. It shares their memory.
func newBlock(recs []*audit.Record, insert uint64, words bool) *block {
	b := &block{}
	for _, f := range audit.Fields() {
		b.addField(f, recs)
	}
	months, inserts, births := make([]uint32, len(recs)), make([]uint64, len(recs)), make([]uint64, len(recs))
	for i, r := range recs {
		months[i], inserts[i], births[i] = month(r), insert, born(r.ID)
	}
	b.add(columnMonth, months)
	b.add(columnInsert, inserts)
	b.add(columnBorn, births)
	b.addMembers(recs)
	if words {
		b.add(columnSearch, searchTexts(recs))
	}
	return b
}

// searchTexts gives the words of the records. It is the dearest column to make,
// so that every processor makes a part of it.
func searchTexts(recs []*audit.Record) []string {
	out := make([]string, len(recs))
	share := (len(recs)-1)/runtime.GOMAXPROCS(0) + 1
	var wg sync.WaitGroup
	for from := 0; from < len(recs); from += share {
		wg.Go(func() {
			for i := from; i < min(from+share, len(recs)); i++ {
				out[i] = audit.SearchText(recs[i])
			}
		})
	}
	wg.Wait()
	return out
}

func (b *block) addField(f *audit.Field, recs []*audit.Record) {
	some := false
	switch f.Kind {
	case audit.Text:
		list := make([]string, len(recs))
		for i, r := range recs {
			list[i] = f.Text(r)
			some = some || list[i] != ""
		}
		if some {
			b.add(f.Name, list)
		}
	case audit.Document:
		list := make([]string, len(recs))
		for i, r := range recs {
			if doc := f.Bytes(r); len(doc) > 0 {
				list[i], some = unsafe.String(&doc[0], len(doc)), true
			}
		}
		if some {
			b.add(f.Name, list)
		}
	case audit.Identity, audit.Hash:
		list := make([][]byte, len(recs))
		for i, r := range recs {
			list[i] = f.Bytes(r)
			some = some || list[i] != nil
		}
		if some {
			b.add(f.Name, list)
		}
	case audit.Flag:
		list := make([]uint8, len(recs))
		for i, r := range recs {
			list[i] = uint8(f.Int(r))
			some = some || list[i] != 0
		}
		if some {
			b.add(f.Name, list)
		}
	default:
		list := make([]int64, len(recs))
		for i, r := range recs {
			list[i] = f.Int(r)
			some = some || list[i] != 0
		}
		if some {
			b.add(f.Name, list)
		}
	}
}

func (b *block) addMembers(recs []*audit.Record) {
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
	if some {
		b.add(columnMembers, list)
	}
}

// attempts is how often an INSERT whose connection broke is sent. The server
// knows a repetition by its token.
const attempts = 3

// send stores a block. An error leaves it open whether the server did so, and
// is then among the doubts.
func (s *Store) send(ctx context.Context, table string, b *block, insert uint64) error {
	statement := "INSERT INTO " + table + " (" + strings.Join(b.names, ",") + ")"
	token := strconv.FormatUint(insert, 16)
	var sent []string
	for attempt := 1; ; attempt++ {
		id := "annals-" + token + "-" + strconv.Itoa(attempt)
		begun, err := s.sendOnce(driver.Context(ctx, driver.WithQueryID(id), driver.WithSettings(driver.Settings{"insert_deduplication_token": token})), statement, b)
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

// sendOnce reports whether rows were on their way.
func (s *Store) sendOnce(ctx context.Context, statement string, b *block) (begun bool, err error) {
	batch, err := s.conn.PrepareBatch(ctx, statement)
	if err != nil {
		return false, err
	}
	for i, values := range b.columns {
		if err := batch.Column(i).Append(values); err != nil {
			_ = batch.Abort() // nothing was sent
			return false, &audit.Error{Code: audit.CodeInternal, Message: "the column " + b.names[i] + " does not take its values", Cause: err}
		}
	}
	return true, batch.Send()
}
