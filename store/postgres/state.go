package postgres

import (
	"context"
	"maps"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

var (
	_ audit.Stater   = (*Store)(nil)
	_ audit.Pinger   = (*Store)(nil)
	_ audit.Migrator = (*Store)(nil)
)

// State implements audit.Stater. The number of records is the server's estimate,
// which ANALYZE and autovacuum bring up to date: counting them would read them.
func (s *Store) State(ctx context.Context) (map[string]string, error) {
	state := map[string]string{
		"schema":      strconv.Itoa(schemaVersion),
		"tables":      s.opt.Schema + "." + s.opt.Prefix,
		"full_text":   strconv.FormatBool(s.text),
		"connections": strconv.Itoa(int(s.main.Stat().TotalConns())),
	}
	err := s.read(ctx, true, func(tx pgx.Tx) error {
		for name, statement := range stateQuestions {
			var value *string
			if err := tx.QueryRow(ctx, s.sql(statement)).Scan(&value); err != nil {
				return err
			}
			if value != nil {
				state[name] = *value
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	maps.Copy(state, s.rollups.state())
	return state, nil
}

// recordTables are the partitions that hold records.
const recordTables = `FROM pg_partition_tree('@records') p JOIN pg_class c ON c.oid = p.relid WHERE p.isleaf`

var stateQuestions = map[string]string{
	"server":            `SELECT current_setting('server_version')`,
	"records_estimated": `SELECT sum(greatest(c.reltuples, 0))::bigint::text ` + recordTables,
	"partitions":        `SELECT count(*)::text ` + recordTables,
	"record_bytes":      `SELECT sum(pg_table_size(c.oid))::bigint::text ` + recordTables,
	"index_bytes":       `SELECT sum(pg_indexes_size(c.oid))::bigint::text ` + recordTables,
	"scopes":            `SELECT count(*)::text FROM @scopes`,
	"blocks":            `SELECT count(*)::text FROM @blocks`,
	"stale_hours":       `SELECT count(DISTINCT hour)::text FROM @stale`,
	"outbox":            `SELECT count(*)::text FROM @outbox WHERE refused IS NULL`,
	"outbox_refused":    `SELECT count(*)::text FROM @outbox WHERE refused IS NOT NULL`,
}
