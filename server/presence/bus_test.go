package presence_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/server/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const travel = 5 * time.Millisecond // of a message

var errCut = errors.New("the link is cut")

// A bus carries messages between engines, and does to them what a test says.
type bus struct {
	mu    sync.Mutex
	ports []*port
	lose  func() bool // a message on its way to one port; nil for none
	said  [][]byte    // all that was published, the newest last
}

// A port is one engine's end of a bus.
type port struct {
	bus  *bus
	hear func([]byte)
	lost func()
	in   chan delivery
	done chan struct{}

	cut   bool          // nothing goes in or out, and Publish says so
	mute  bool          // what is published disappears, the port's own copy, too
	deaf  bool          // nothing comes in
	stall chan struct{} // closed when the port goes on; nil where it is not stopped
}

type delivery struct {
	data []byte
	at   time.Time
}

// losing has the messages lost for which lose says so, nil for none.
func (b *bus) losing(lose func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = lose
}

func (b *bus) port() *port {
	p := &port{bus: b, in: make(chan delivery, 1<<12), done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = append(b.ports, p)
	return p
}

// Listen implements presence.Bus.
func (p *port) Listen(hear func([]byte), lost func()) (stop func()) {
	p.hear, p.lost = hear, lost
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case d := <-p.in:
				time.Sleep(time.Until(d.at))
				p.wait()
				if !p.is(func() bool { return p.cut || p.deaf }) {
					hear(d.data)
				}
			case <-p.done:
				return
			}
		}
	}()
	return func() { close(p.done); <-ended }
}

// Publish implements presence.Bus.
func (p *port) Publish(ctx context.Context, data []byte) error {
	p.wait()
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.cut:
		return errCut
	case p.mute:
		return nil
	}
	p.bus.said = append(p.bus.said, data)
	for _, to := range p.bus.ports {
		if p.bus.lose == nil || !p.bus.lose() {
			to.in <- delivery{slices.Clone(data), time.Now().Add(travel)}
		}
	}
	return nil
}

// wait returns when p is not stopped.
func (p *port) wait() {
	p.bus.mu.Lock()
	stall := p.stall
	p.bus.mu.Unlock()
	if stall != nil {
		<-stall
	}
}

func (p *port) is(what func() bool) bool {
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	return what()
}

// set changes what is done to p.
func (p *port) set(change func(p *port)) {
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	change(p)
}

// cutLink cuts the link of p, or restores it, whose messages meanwhile were lost.
func (p *port) cutLink(cut bool) {
	p.set(func(p *port) { p.cut = cut })
	p.lost()
}

// stop stops p, as a process is, until what it returns is called.
func (p *port) stopped() (goOn func()) {
	p.set(func(p *port) { p.stall = make(chan struct{}) })
	return func() {
		p.set(func(p *port) { close(p.stall); p.stall = nil })
	}
}

// again delivers once more some of what was published.
func (b *bus) again(pick func(n int) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) == 0 {
		return
	}
	data := b.said[pick(len(b.said))]
	for _, to := range b.ports {
		to.in <- delivery{data, time.Now().Add(travel)}
	}
}

// engine returns an engine on a new port of b.
func (b *bus) engine() (*presence.Engine, *port) {
	p := b.port()
	return presence.New(presence.Options{Bus: p, Logger: quiet}), p
}

// settled returns engines on one bus that call their lists complete.
func settled(t *testing.T, n int) (*bus, []*presence.Engine, []*port) {
	t.Helper()
	b := &bus{}
	engines, ports := make([]*presence.Engine, n), make([]*port, n)
	for i := range engines {
		engines[i], ports[i] = b.engine()
	}
	time.Sleep(6 * time.Second)
	return b, engines, ports
}

func closeAll(engines []*presence.Engine) {
	for _, e := range engines {
		e.Close()
	}
}
