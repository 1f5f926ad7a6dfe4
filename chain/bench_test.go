package chain_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// typicalRecord has a payload of 600 bytes and about twenty fields.
func typicalRecord(seq int64) *audit.Record {
	at := time.Date(2026, 3, 4, 5, 6, 7, 891_234_000, time.UTC).Add(time.Duration(seq) * time.Millisecond)
	return &audit.Record{
		Kind: audit.KindEvent, RecordedAt: at.Add(1500 * time.Microsecond), Level: "all",
		Event: audit.Event{
			ID: testID(seq), Namespace: "billing", Tenant: "acme", OccurredAt: at, Duration: 12345 * time.Microsecond,
			Action: "invoice.update", Operation: audit.Update, Outcome: audit.Success,
			Actor: audit.Actor{
				Type: "user", ID: "u-20931", Name: "Grace Hopper", Email: "grace@example.com", IP: "203.0.113.17",
				UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", SessionID: "s-77aa12b3",
			},
			Resource: audit.Resource{Type: "invoice", ID: "inv-2026-000123"},
			Source:   audit.Source{Service: "billing-api", Host: "billing-7f9c"},
			Request:  audit.Request{ID: "req-8812", CorrelationID: "c-1b2c3d", Method: "PUT", Path: "/v1/invoices/inv-2026-000123"},
			Payload:  json.RawMessage(`{"note":"` + strings.Repeat("x", 589) + `"}`),
		},
	}
}

func BenchmarkSHA256Alone(b *testing.B) {
	r := typicalRecord(1)
	chain.Seal(chain.Head{Sequence: 41, Hash: audit.Digest{1}}, []*audit.Record{r})
	enc := chain.AppendEncoding(nil, r)
	b.SetBytes(int64(len(enc)))
	b.ReportAllocs()
	var sum [sha256.Size]byte
	for b.Loop() {
		sum = sha256.Sum256(enc)
	}
	if sum != r.Hash {
		b.Fatal("wrong hash")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkHashOf(b *testing.B) {
	r := typicalRecord(1)
	chain.Seal(chain.Head{Sequence: 41, Hash: audit.Digest{1}}, []*audit.Record{r})
	enc := chain.AppendEncoding(nil, r)
	b.SetBytes(int64(len(enc)))
	b.ReportAllocs()
	var sum audit.Digest
	var buf []byte
	for b.Loop() {
		sum, buf = chain.HashOf(r, buf)
	}
	if sum != r.Hash {
		b.Fatal("wrong hash")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkSeal(b *testing.B) {
	recs := make([]*audit.Record, 500)
	for i := range recs {
		recs[i] = typicalRecord(int64(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		chain.Seal(chain.Head{}, recs)
	}
	b.ReportMetric(float64(b.N*len(recs))/b.Elapsed().Seconds(), "records/s")
}

// memory is a source without a cost of its own: it hands out what it holds.
type memory struct {
	*source
	recs []*audit.Record
}

func (m *memory) Walk(_ context.Context, _ chain.Key, from, to int64, fn func([]*audit.Record) error) error {
	if from > int64(len(m.recs)) {
		return nil
	}
	for recs := range slices.Chunk(m.recs[from-1:min(to, int64(len(m.recs)))], 500) {
		if err := fn(recs); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkVerify compares a verification with SHA-256 alone over the same
// bytes from memory, in the order of the chain.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	m := &memory{source: newSource(), recs: make([]*audit.Record, n)}
	for i := range m.recs {
		m.recs[i] = typicalRecord(int64(i) + 1)
	}
	m.heads[key] = chain.Seal(chain.Head{Key: key}, m.recs)
	var all []byte
	var ends []int
	for _, r := range m.recs {
		all = chain.AppendEncoding(all, r)
		ends = append(ends, len(all))
	}
	b.Run("SHA256Alone", func(b *testing.B) {
		b.SetBytes(int64(len(all)))
		var sum [sha256.Size]byte
		for b.Loop() {
			start := 0
			for _, end := range ends {
				sum = sha256.Sum256(all[start:end])
				start = end
			}
		}
		if sum != m.heads[key].Hash {
			b.Fatal("wrong hash")
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "records/s")
	})
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.SetBytes(int64(len(all)))
			for b.Loop() {
				report, err := chain.Verify(b.Context(), m, key, chain.VerifyOptions{Workers: workers})
				if err != nil || !report.Valid || report.RecordsChecked != n {
					b.Fatal(report, err)
				}
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "records/s")
		})
	}
}
