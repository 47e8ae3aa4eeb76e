package bench

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
)

// A channel of one round.
type channel struct {
	name        string
	wrapping    wrapping
	subscribers int
	publishers  []int // who publish to it, in ascending order
}

// newChannels spreads subscribers and publishers over channels. A publisher has
// every Publishers-th channel to itself; where there are more publishers than
// channels, those of one channel share it. The names are new each time, so that
// nothing else is heard.
func newChannels(o *Options) []*channel {
	run := rand.Text()[:8]
	channels := make([]*channel, o.Channels)
	for i := range channels {
		name := fmt.Sprintf("bench-%s-%d", run, i)
		channels[i] = &channel{name: name, wrapping: wrap(o.Format, name)}
	}
	for i := range o.Subscribers {
		channels[i%o.Channels].subscribers++
	}
	for p := range o.Publishers {
		for c := p % o.Channels; c < o.Channels; c += o.Publishers {
			channels[c].publishers = append(channels[c].publishers, p)
		}
	}
	return channels
}

// indexOf returns the place of a publisher among those of the channel.
func (c *channel) indexOf(publisher int) (int, bool) {
	return slices.BinarySearch(c.publishers, publisher)
}

// isGap tells the json format's word for a gap.
func isGap(data []byte) bool { return bytes.HasPrefix(data, []byte(gapPrefix)) }
