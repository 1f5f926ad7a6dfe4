package audit

import "context"

// Outbox takes records within a transaction of the application, beside the
// tables of a store: when the transaction is rolled back they never were, and
// when it is committed a [Relayer] brings them into the store, once each. The
// application needs no more than the right to insert into the outbox.
type Outbox interface {
	// Enqueue writes the records, which are as [Store.Append] wants them, into the
	// outbox. It neither keeps nor changes them. After an error nothing is
	// certain but that the transaction should be rolled back.
	Enqueue(ctx context.Context, recs []*Record) error
}

// Relayer is a store with an outbox.
// Fallback: none; such a store takes no part in the application's transactions.
type Relayer interface {
	// Relay brings records from the outbox into the store: at most limit of them,
	// the oldest first, in one transaction that stores them, as Append does or
	// where chained is set as chain.Appender does, and takes them out of the
	// outbox. So none is lost and none comes twice, however often it is cut off
	// and however many processes relay. It is done when Relayed.Records is 0.
	//
	// What the store can never take, such as a record whose id is taken by other
	// content, stays in the outbox with the reason and is not tried again.
	Relay(ctx context.Context, limit int, chained bool) (Relayed, error)
}

// Relayed says what one call of [Relayer] did.
type Relayed struct {
	Records int       // how many left the outbox or were refused
	Stored  []*Record // those that are new in the store, as it keeps them
	Refused []error   // why some were not taken; each names its record
}
