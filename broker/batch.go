package broker

import (
	"context"
	"fmt"
)

// A BatchPublisher is a Broker that hands many messages to its backend together,
// in less time than one after the other. It is an optional capability: see
// [PublishAll], which does without where there is none.
type BatchPublisher interface {
	// PublishBatch publishes messages in their order and returns one Result
	// for each, in that order. Each is what Publish would have returned: that
	// one message was refused fails no other. Messages of one batch to one
	// channel arrive in order. The context bounds the whole call; messages
	// that were not yet sent when it ends are not published.
	//
	// PublishBatch does not keep the slice.
	PublishBatch(ctx context.Context, messages []Message) []Result
}

// A Result is the outcome of one message of a batch, as Publish returns it.
type Result struct {
	Receipt Receipt
	Err     error
}

// PublishAll publishes messages in their order and returns one Result for each,
// in that order. It uses b's own [BatchPublisher], and otherwise publishes one after
// the other. Then, as a backend that does not answer once need not be asked ten
// thousand times, messages behind a failure are not tried and fail with
// ErrUnavailable, unless the one that failed was refused for what it is (ErrDenied,
// ErrTooLarge, ErrKey).
func PublishAll(ctx context.Context, b Broker, messages []Message) []Result {
	if p, ok := b.(BatchPublisher); ok {
		return p.PublishBatch(ctx, messages)
	}
	results := make([]Result, len(messages))
	for i, m := range messages {
		receipt, err := b.Publish(ctx, m)
		results[i] = Result{receipt, err}
		if err != nil && !refusedAlone(err) {
			fail(results[i+1:], fmt.Errorf("broker: not tried, an earlier message failed: %w", ErrUnavailable))
			break
		}
	}
	return results
}

func fail(results []Result, err error) {
	for i := range results {
		results[i].Err = err
	}
}
