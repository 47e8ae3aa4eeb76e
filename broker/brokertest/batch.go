package brokertest

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pregon/pregon/broker"
)

// testBatch goes through [broker.PublishAll], so that it tests a driver's
// BatchPublisher where there is one.
func testBatch(f *fixture) {
	nodes := []broker.Broker{f.node(), f.node()}
	r := f.read(f.feed(nodes[0], "a", "b", "c"))
	longBatches(f, nodes, r)
	r.hear(batchWithBadName(f, nodes[0])...)

	ended, end := context.WithCancel(f.Context())
	end()
	never := []broker.Message{{Channel: "a", Data: []byte("never")}, {Channel: "b", Data: []byte("never")}}
	failAll(f, "with an ended context", broker.PublishAll(ended, nodes[0], never), nil)
	if results := broker.PublishAll(f.Context(), nodes[0], nil); len(results) != 0 {
		f.Errorf("an empty batch has %d results", len(results))
	}
	r.hear(f.say(nodes[1], "a", "end"), f.say(nodes[1], "b", "end"))

	gone := f.node()
	f.closes("Broker.Close", gone.Close)
	failAll(f, "on a closed Broker", broker.PublishAll(f.Context(), gone, never[:1]), broker.ErrClosed)
}

// longBatches has some publishers send batches of several channels at the same
// time, and checks the order of each in each channel.
func longBatches(f *fixture, nodes []broker.Broker, r *reader) {
	const publishers = 4
	channels := []string{"a", "b", "c"}
	n := scaled(3000)
	wait := f.begin(publishers, func(i int) error {
		var batch []broker.Message
		for k := range n {
			for _, c := range channels {
				batch = append(batch, broker.Message{Channel: c, Data: []byte(numbered(strconv.Itoa(i)+c, k+1))})
			}
		}
		results := publishAll(f.Context(), nodes[i%2], batch)
		if len(results) != len(batch) {
			return fmt.Errorf("a batch of %d messages has %d results", len(batch), len(results))
		}
		for k, result := range results {
			if result.Err != nil {
				return fmt.Errorf("message %d of a batch: %w", k, result.Err)
			}
		}
		return nil
	})
	for t := newTally(); t.heard < publishers*n*len(channels); {
		if err := t.message(r.message()); err != nil {
			f.Fatalf("%v", err)
		}
	}
	wait()
}

func publishAll(ctx context.Context, node broker.Broker, batch []broker.Message) []broker.Result {
	ctx, cancel := context.WithTimeout(ctx, guard)
	defer cancel()
	return broker.PublishAll(ctx, node, batch)
}

// batchWithBadName publishes a batch in which one message has no channel, and
// returns what is to be heard of it: what was published by its results.
func batchWithBadName(f *fixture, node broker.Broker) (all []said) {
	f.Helper()
	batch := []broker.Message{{Channel: "a", Data: []byte("before")}, {Data: []byte("nowhere")}, {Channel: "a", Data: []byte("behind")}}
	for i, result := range publishAll(f.Context(), node, batch) {
		switch {
		case result.Err == nil && i == 1:
			f.Errorf("a message without a channel was published")
		case result.Err == nil:
			all = append(all, said{batch[i].Channel, string(batch[i].Data)})
		case i == 0:
			f.Errorf("a message before one without a channel: %v", result.Err)
		}
	}
	return all
}

// failAll fails the test unless all results are errors that match want.
func failAll(f *fixture, how string, results []broker.Result, want error) {
	f.Helper()
	for i, result := range results {
		if result.Err == nil || want != nil && !errors.Is(result.Err, want) {
			f.Errorf("%s message %d of a batch: %v", how, i, result.Err)
		}
	}
}
