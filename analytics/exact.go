package analytics

import "context"

type exactKey struct{}

// WithExact asks, by the context, for an answer without estimates: percentiles
// and distinct counts are then found from the records themselves, however long
// that takes. Everything else is exact anyway. An engine that never estimates
// takes no notice.
func WithExact(ctx context.Context) context.Context {
	return context.WithValue(ctx, exactKey{}, true)
}

// Exact reports whether the context asks for an answer without estimates, see [WithExact].
func Exact(ctx context.Context) bool {
	exact, _ := ctx.Value(exactKey{}).(bool)
	return exact
}
