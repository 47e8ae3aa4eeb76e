package nats

import (
	"context"
	"fmt"

	"github.com/pregon/pregon/broker"
)

var _ broker.Bounded = (*Broker)(nil)

// beside is more than a message has beside its data: its author and trace, and in the header its key, which is
// percent-encoded, behind the subject.
const beside = 4 << 10

// LongestData implements broker.Bounded: it is the server's max_payload but for what stands beside the data.
func (b *Broker) LongestData(ctx context.Context) (int, error) {
	if b.closing.Err() != nil {
		return 0, fmt.Errorf("nats: ask for max_payload: %w", broker.ErrClosed)
	}
	c, err := dial(ctx, b.opts, nil)
	if err != nil {
		return 0, fmt.Errorf("nats: ask for max_payload: %w", err)
	}
	longest := c.MaxPayload() - beside
	c.Close()
	<-c.lost
	return int(max(longest, 0)), nil
}
