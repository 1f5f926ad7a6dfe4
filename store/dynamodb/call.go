package dynamodb

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/annals-dev/annals/audit"
)

// Pauses between attempts: exponential with full jitter.
const (
	firstPause = 20 * time.Millisecond
	longPause  = 2 * time.Second
)

// pause waits before the attempt that comes after attempt failed ones.
func pause(ctx context.Context, attempt int) error {
	most := longPause
	if attempt < 8 {
		most = min(most, firstPause<<attempt)
	}
	return sleep(ctx, time.Duration(rand.Int64N(int64(most))))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// call makes one call, again where it was throttled or not answered. Errors of
// class refused come as the SDK has them, for the caller to look into; all
// others are *audit.Error. again is set when an attempt before the last one may
// have been carried out although nobody said so.
func call[I, O any](ctx context.Context, s *Store, do func(context.Context, *I, ...func(*dynamodb.Options)) (*O, error), in *I) (out *O, again bool, err error) {
	for attempt := 0; ; attempt++ {
		one, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
		out, err = do(one, in)
		cancel()
		if err == nil {
			return out, again, nil
		}
		switch classify(err) {
		case refused:
			return nil, again, err
		case unclear:
			again = true
		case final:
			return nil, again, s.translate(ctx, err, attempt+1)
		}
		if ctx.Err() != nil || attempt >= s.opt.MaxRetries || pause(ctx, attempt) != nil {
			return nil, again, s.translate(ctx, err, attempt+1)
		}
	}
}

// ask is call for what has no conditions.
func ask[I, O any](ctx context.Context, s *Store, do func(context.Context, *I, ...func(*dynamodb.Options)) (*O, error), in *I) (*O, error) {
	out, _, err := call(ctx, s, do, in)
	return out, s.translate(ctx, err, 1)
}

// interrupted says that the caller has given up.
func interrupted(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return audit.Unavailable("the call was given up", err)
	}
	return nil
}
