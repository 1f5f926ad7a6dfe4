package postgres

// rollupSchema makes the tables of the hourly and daily sums.
func rollupSchema() []string {
	return []string{
		// Hours whose sums are not to be trusted: every transaction that adds or
		// removes records of an hour puts a row here, so the sums of an hour
		// without one are exact. Only the routine that makes the sums anew
		// removes those rows that it saw.
		`CREATE TABLE @stale(
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			hour timestamptz NOT NULL,
			noted_at timestamptz NOT NULL DEFAULT clock_timestamp())
			WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)`,

		// One row for ever. Every transaction that makes sums changes it, so
		// that one whose snapshot is older than another's sums fails.
		`CREATE TABLE @rollup_state(
			one boolean PRIMARY KEY DEFAULT true CHECK (one),
			runs bigint NOT NULL DEFAULT 0,
			ran_at timestamptz)`,
		`INSERT INTO @rollup_state DEFAULT VALUES`,

		// What the calls of an hour or a day of UTC add up to, for each scope,
		// and for all scopes together: that row has the scope 0, or where the
		// period has calls of one scope only, it is that scope's own. A period
		// without calls has no row. See rollup_pack.go for what is packed; what
		// has too many values to be kept is NULL.
		`CREATE TABLE @rollup_sums(
			hours smallint NOT NULL CHECK (hours IN (1, 24)),
			scope integer NOT NULL,
			start timestamptz NOT NULL,
			whole boolean NOT NULL,
			calls bigint NOT NULL,
			success bigint NOT NULL,
			measured bigint NOT NULL,
			micros numeric NOT NULL,
			max_micros bigint NOT NULL,
			enriched bigint NOT NULL,
			requests bigint NOT NULL,
			request_bytes numeric NOT NULL,
			responses bigint NOT NULL,
			response_bytes numeric NOT NULL,
			with_full bigint NOT NULL,
			tokens_full numeric NOT NULL,
			with_dedup bigint NOT NULL,
			tokens_dedup numeric NOT NULL,
			tokens_saved numeric NOT NULL,
			durations bytea NOT NULL,
			dimensions bytea NOT NULL,
			tools bytea,
			actors bytea,
			actor_ids bytea,
			kinds bytea,
			sessions bytea,
			PRIMARY KEY(hours, scope, start))`,
		`CREATE INDEX ~rollup_whole ON @rollup_sums(hours, start) WHERE whole`,
		`CREATE INDEX ~rollup_start ON @rollup_sums(start, hours)`, // to replace a period
		// Hashes do not compress, and questions read only the first part of many.
		`ALTER TABLE @rollup_sums ALTER actor_ids SET STORAGE EXTERNAL, ALTER sessions SET STORAGE EXTERNAL`,
	}
}
