package clickhouse

import (
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
)

// Every text comes back from the server as it was written into a statement.
func TestLiterals(t *testing.T) {
	s := opened(t, enginetest.ClickHouse(t), nil)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, want := range []string{
		"", "'", `\`, `\'`, `\\`, `'; DROP TABLE annals_records; --`, "a\nb\tc\rd", "{x:String}", "?", "$1", "@records", "日本 😀", `\x41`, "%_*",
		signKey + "k" + signValue + "v" + signEnd, string(all),
	} {
		for _, literal := range []string{text(want), octets([]byte(want))} {
			var got string
			if err := s.rows(t.Context(), "SELECT "+literal, func(r *row) error { return r.Scan(&got) }); err != nil || got != want {
				t.Errorf("%q as %s: %q, %v", want, literal, got, err)
			}
		}
	}
	for _, want := range []int64{0, 1, -1, 1<<63 - 1, -1 << 63} {
		var got int64
		if err := s.rows(t.Context(), "SELECT toInt64("+integer(want)+")", func(r *row) error { return r.Scan(&got) }); err != nil || got != want {
			t.Errorf("%d: %d, %v", want, got, err)
		}
	}
}

func TestBorn(t *testing.T) {
	first, second := audit.NewID(), audit.NewID()
	if a, b := born(first), born(second); a == 0 || b < a {
		t.Errorf("%d, then %d", a, b)
	}
	other, _, err := audit.IDFrom("order-17")
	if err != nil || born(other) != 0 {
		t.Errorf("%v, %v", born(other), err)
	}
}
