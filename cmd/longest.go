package cmd

import (
	"context"
	"log/slog"

	"github.com/pregon/pregon/broker"
)

// warnOfLongest warns where clients may publish what the broker does not take.
func (c *serveCommand) warnOfLongest(ctx context.Context, b broker.Broker, log *slog.Logger) {
	bounded, ok := b.(broker.Bounded)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	longest, err := bounded.LongestData(ctx)
	if err == nil && int64(c.MaxMessage) > int64(longest) { // one that cannot be asked is not there, which was said
		log.Warn("the broker takes shorter messages than --max-message; longer ones are answered 413",
			"max-message", int64(c.MaxMessage), "broker", longest)
	}
}
