package hub

import (
	"context"
	"errors"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/server/hub/internal/retry"
)

// Mark returns where the newest mark of a channel is: a client that continues from
// there or from before may have missed a message of another program's. It is zero
// where there is none. While the node is still finding out what a lost link has cost,
// it waits for that.
func (h *Hub) Mark(ctx context.Context, channel string) (mark broker.Position, err error) {
	if h.filler == nil {
		return mark, nil
	}
	for {
		mark, err = h.filler.NewestMark(channel, h.topics.track(channel))
		if !errors.Is(err, backfill.ErrUnsettled) || !retry.Sleep(ctx, retry.Jitter(retry.Min)) {
			return mark, err
		}
	}
}
