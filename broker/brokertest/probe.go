package brokertest

import (
	"context"
	"errors"
	"fmt"

	"github.com/pregon/pregon/broker"
)

// testHistoryProbe probes two channels while a third has a history.
func testHistoryProbe(f *fixture) {
	p, other := f.past(), f.past()
	r := f.read(f.feed(other.node, "c", "__one", "__two"))
	first := p.keep("c", "first")
	r.message()
	var epochs []uint64
	for i := range 6 {
		prober, channel, text := p.node.(broker.Prober), "__one", fmt.Sprint("probe ", i)
		if i%2 > 0 {
			prober, channel = other.node.(broker.Prober), "__two"
		}
		receipt, err := prober.Probe(f.Context(), broker.Message{Channel: channel, Data: []byte(text), Key: "key"})
		if err != nil || receipt.Position.Epoch == 0 || receipt.Repeated {
			f.Fatalf("Probe: %+v, %v", receipt, err)
		}
		if m := r.message(); m.Channel != channel || string(m.Data) != text || m.Position != receipt.Position || m.Key != "" {
			f.Fatalf("heard %q in %q at %v, after a probe %q in %q at %v", m.Data, m.Channel, m.Position, text, channel, receipt.Position)
		}
		epochs = append(epochs, receipt.Position.Epoch)
	}
	for _, epoch := range epochs {
		if epoch != epochs[0] {
			f.Fatalf("probes are in the epochs %v, and nothing was lost", epochs)
		}
	}
	for channel, want := range map[string]broker.Position{"c": first, "__one": {}, "__two": {}} {
		if got := p.newest(channel); got != want {
			f.Fatalf("after probes the newest position of %q is %v, and was %v", channel, got, want)
		}
	}
	p.keep("c", "second")
	if got := p.rest("c", first, 10); len(got) != 1 {
		f.Fatalf("behind the message before the probes there are %q", got)
	}
	r.hear(said{"c", "second"})

	ended, end := context.WithCancel(f.Context())
	end()
	if _, err := p.node.(broker.Prober).Probe(ended, broker.Message{Channel: "__one"}); err == nil {
		f.Fatalf("Probe with an ended context was accepted")
	}
	f.closes("Broker.Close", p.node.Close)
	if _, err := p.node.(broker.Prober).Probe(f.Context(), broker.Message{Channel: "__one"}); !errors.Is(err, broker.ErrClosed) {
		f.Fatalf("Probe of a closed Broker: %v; want ErrClosed", err)
	}
}
