package faultstore

import (
	"context"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Fault is what happens to a call. It may let the store do it by [Call.Do].
type Fault func(ctx context.Context, c *Call) error

// Fail refuses the call, and the store does not hear of it.
func Fail(err error) Fault {
	return func(context.Context, *Call) error { return err }
}

// FailCode is Fail with an error of that code.
func FailCode(code audit.Code) Fault {
	return Fail(&audit.Error{Code: code, Message: "injected"})
}

// Lose lets the store do it and loses the answer.
func Lose(err error) Fault {
	return func(ctx context.Context, c *Call) error {
		if e := c.Do(ctx); e != nil {
			return e
		}
		return err
	}
}

// Slow lets the store do it after d, or not where ctx ends before.
func Slow(d time.Duration) Fault {
	return func(ctx context.Context, c *Call) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return c.Do(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stall holds the call until Heal, and then lets the store do it. It gives up
// with ctx.
func Stall() Fault {
	return func(ctx context.Context, c *Call) error {
		select {
		case <-c.Healed:
			return c.Do(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// StallDeaf is Stall by a driver that does not know its context.
func StallDeaf() Fault {
	return func(_ context.Context, c *Call) error {
		<-c.Healed
		return c.Do(context.Background())
	}
}

// BlackHole lets the store do it and never answers: the call ends with ctx, or
// without any knowledge by Heal.
func BlackHole() Fault {
	return func(ctx context.Context, c *Call) error {
		_ = c.Do(ctx) // nobody will know
		select {
		case <-c.Healed:
			return audit.Unavailable("the connection was cut", nil)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Panic ends the call as a bug of a driver does.
func Panic(value any) Fault {
	return func(context.Context, *Call) error { panic(value) }
}

// Partial refuses single records: those of which refuse gives an error. The
// store gets the others.
func Partial(refuse func(*audit.Record) error) Fault {
	return func(ctx context.Context, c *Call) error {
		all := c.Records
		results := make([]audit.Result, len(all))
		var good []*audit.Record
		var at []int
		for i, rec := range all {
			if results[i].Err = refuse(rec); results[i].Err == nil {
				good, at = append(good, rec), append(at, i)
			}
		}
		if len(good) > 0 {
			c.Records = good
			if err := c.Do(ctx); err != nil {
				return err
			}
			for k, r := range c.results {
				results[at[k]] = r
			}
		}
		c.results = results
		return nil
	}
}

// Full lets the store take so many records more and then refuses whole batches
// as a full disk does. It is for one rule of a script.
func Full(records int) Fault {
	left := make(chan int, 1)
	left <- records
	return func(ctx context.Context, c *Call) error {
		n := <-left
		if len(c.Records) > n {
			left <- n
			return audit.Unavailable("the disk is full: nothing was stored", nil)
		}
		left <- n - len(c.Records)
		return c.Do(ctx)
	}
}
