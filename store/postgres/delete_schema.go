package postgres

// retentionSchema makes the indexes that find what is due. Both grow at their
// right edge, in the order of arrival, so that an insert finds its page in the
// cache. The block range indexes cannot replace them: a summary is never made
// narrower, so the pages whose records are gone would be read at each sweep.
func retentionSchema() []string {
	return []string{
		`CREATE INDEX ~records_recorded ON @records(recorded_at)`,
		`CREATE INDEX ~records_expires ON @records(expires_at) WHERE expires_at IS NOT NULL`,
	}
}
