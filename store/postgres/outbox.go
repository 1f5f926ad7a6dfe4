package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var _ audit.Relayer = (*Store)(nil)

// relayBytes is how much of the outbox is read at a time at most.
const relayBytes = 16 << 20

// captured is a row of the outbox.
type captured struct {
	id   int64
	item *item // nil where it cannot be stored
	why  error // why not
	mine bool  // this transaction has it
}

// refusal names the record that stays in the outbox.
func (c *captured) refusal() error {
	name := fmt.Sprintf("row %d", c.id)
	if c.item != nil {
		name += ", record " + c.item.rec.ID.String()
	}
	return &audit.Error{Code: audit.CodeOf(c.why), Message: "it stays in the outbox, " + name, Cause: c.why}
}

// Relay implements audit.Relayer, as the user of Options.MaintenanceURL. Of
// several that relay at the same time each takes rows that no other has.
func (s *Store) Relay(ctx context.Context, limit int, chained bool) (out audit.Relayed, err error) {
	if s.closing.Err() != nil {
		return out, audit.ErrClosed
	}
	rows, err := s.captured(ctx, limit)
	if err == nil && len(rows) > 0 {
		err = s.relay(ctx, rows, chained, &out)
	}
	return out, s.fail(ctx, err)
}

// captured reads the oldest rows of the outbox, and makes their scopes, which
// must be there before the transaction is.
func (s *Store) captured(ctx context.Context, limit int) ([]*captured, error) {
	var rows []*captured
	var records []*audit.Record
	found, err := s.maintenance.Query(ctx, s.sql(`SELECT id, record FROM @outbox WHERE refused IS NULL ORDER BY id LIMIT $1`), limit)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for size := 0; size < relayBytes && found.Next(); {
		c, r := new(captured), new(audit.Record)
		var encoded []byte
		if err := found.Scan(&c.id, &encoded); err != nil {
			return nil, err
		}
		c.why = chain.DecodeEncoding(encoded, r)
		if c.why == nil && r.ID.IsZero() {
			c.why = audit.Invalid("id", "is required")
		}
		unlink(r)
		rows, records = append(rows, c), append(records, r)
		size += len(encoded)
	}
	found.Close()
	if err := found.Err(); err != nil {
		return nil, err
	}
	for i, c := range rows {
		if c.why != nil {
			continue
		}
		number, err := s.makeScope(ctx, records[i].Scope())
		if err != nil && !refused(err) {
			return nil, err
		}
		c.item, c.why = &item{records[i], number, i}, translate(ctx, err)
	}
	return rows, nil
}

// relay moves the rows in one transaction, and where PostgreSQL refuses one of
// them, in one for each half.
func (s *Store) relay(ctx context.Context, rows []*captured, chained bool, out *audit.Relayed) error {
	err := s.relayOnce(ctx, rows, chained, out)
	switch {
	case !refused(err):
		return err
	case len(rows) == 1:
		rows[0].why = translate(ctx, err)
		return s.relayOnce(ctx, rows, chained, out)
	}
	half := len(rows) / 2
	if err := s.relay(ctx, rows[:half], chained, out); err != nil {
		return err
	}
	return s.relay(ctx, rows[half:], chained, out)
}

func (s *Store) relayOnce(ctx context.Context, rows []*captured, chained bool, out *audit.Relayed) error {
	var locks []*item
	for _, c := range rows {
		if c.why == nil {
			locks = append(locks, c.item)
		}
	}
	leave, err := s.doors.enter(ctx, keysOf(locks))
	if err != nil {
		return err
	}
	defer leave()
	var step audit.Relayed
	err = s.write(ctx, s.maintenance, func(tx pgx.Tx) error {
		return s.moveCaptured(ctx, tx, rows, chained, &step)
	})
	if err != nil {
		return err
	}
	out.Records += step.Records
	out.Stored, out.Refused = append(out.Stored, step.Stored...), append(out.Refused, step.Refused...)
	return nil
}

// moveCaptured does the work of one transaction.
func (s *Store) moveCaptured(ctx context.Context, tx pgx.Tx, rows []*captured, chained bool, out *audit.Relayed) error {
	if err := s.takeCaptured(ctx, tx, rows); err != nil {
		return err
	}
	var items []*item
	var from []*captured
	for _, c := range rows {
		if c.mine && c.why == nil {
			items, from = append(items, c.item), append(from, c)
		}
	}
	if len(items) > 0 {
		w := writing{s: s, conn: tx.Conn(), chained: chained}
		verdicts, err := w.append(ctx, items)
		if err != nil {
			return err
		}
		for i, v := range verdicts {
			if v.Err != nil {
				from[i].why = v.Err
			} else if !v.Duplicate {
				out.Stored = append(out.Stored, items[i].rec)
			}
		}
	}
	var gone, kept []int64
	var reasons []string
	for _, c := range rows {
		switch {
		case !c.mine:
		case c.why == nil:
			gone = append(gone, c.id)
		default:
			kept, reasons = append(kept, c.id), append(reasons, c.why.Error())
			out.Refused = append(out.Refused, c.refusal())
		}
	}
	out.Records = len(gone) + len(kept)
	if len(gone) > 0 {
		if _, err := tx.Exec(ctx, s.sql(`DELETE FROM @outbox WHERE id = ANY($1)`), gone); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		_, err := tx.Exec(ctx, s.sql(`UPDATE @outbox o SET refused = u.why FROM unnest($1::bigint[], $2::text[]) AS u(id, why) WHERE o.id = u.id`), kept, reasons)
		return err
	}
	return nil
}

// takeCaptured locks those of the rows that nobody else has taken.
func (s *Store) takeCaptured(ctx context.Context, tx pgx.Tx, rows []*captured) error {
	ids := make([]int64, len(rows))
	byID := make(map[int64]*captured, len(rows))
	for i, c := range rows {
		ids[i], byID[c.id], c.mine = c.id, c, false
	}
	got, err := tx.Query(ctx, s.sql(`SELECT id FROM @outbox WHERE id = ANY($1) AND refused IS NULL FOR UPDATE SKIP LOCKED`), ids)
	if err != nil {
		return err
	}
	mine, err := pgx.CollectRows(got, pgx.RowTo[int64])
	for _, id := range mine {
		byID[id].mine = true
	}
	return err
}
