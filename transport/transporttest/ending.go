package transporttest

import (
	"context"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

func testCloseReasons(f *fixture) {
	for _, reason := range []transport.CloseReason{
		transport.CloseShutdown, transport.CloseGap, transport.CloseSlow, transport.CloseIdle, transport.CloseUnrecovered, transport.CloseDenied,
		transport.CloseExpired, transport.CloseForbidden, transport.CloseLimit,
	} {
		p := f.dial(live("a"))
		p.publishAndHear("hola")
		p.subscriber.Socket.CloseAfterFlush(p.subscriber.Control.Close(reason))
		p.ends(reason)
		_ = p.conn.Close()
		if !f.await(p.left, "a session did not leave though its connection has ended") {
			return
		}
	}
}

// publishAndHear shows that p is connected to channel a.
func (p *peer) publishAndHear(text string) {
	p.f.Helper()
	p.f.publish("a", text)
	p.hears("a", text)
}

func testPings(f *fixture) {
	p := f.dial(live("a"))
	p.publishAndHear("1")
	for len(p.touched) > 0 {
		<-p.touched
	}
	s := p.subscriber
	ping := s.Control.Ping()
	if len(ping) == 0 {
		f.Error("a ping is no bytes, so that nothing keeps the connection alive")
	}
	if err := s.Socket.Control(new(socket.Writer), ping); err != nil {
		f.Errorf("a ping was not sent: %v", err)
	}
	p.publishAndHear("2")
	p.publishAndHear("3")
	if !s.AnswersPings {
		return
	}
	f.await(p.touched, "clients of the protocol answer pings, and Touch was not called")
}

func testDraining(f *fixture) {
	const clients = 5
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = f.dial(live("a"))
	}
	f.publish("a", "last")
	waited := make(chan struct{})
	go func() { defer close(waited); f.transport.Wait() }()
	peers[0].hears("a", "last")
	select {
	case <-waited:
		f.Error("Wait has returned though clients are connected")
	default:
	}
	drained := make(chan struct{})
	go func() { defer close(drained); f.hub.Drain(context.Background(), 0) }()
	for i, p := range peers {
		if i > 0 {
			p.hears("a", "last")
		}
		p.ends(transport.CloseShutdown)
		_ = p.conn.Close()
	}
	if !f.await(drained, "sessions did not leave though the server has ended them") {
		return
	}
	f.await(waited, "Wait did not return though all clients have gone")
	_, late := f.begin(f.Context(), live("a"))
	if result := <-late; result.err == nil {
		f.Error("a client was connected while the server stops")
	}
}

func testClientGoes(f *fixture) {
	p, stays := f.dial(live("a")), f.dial(live("a"))
	p.publishAndHear("1")
	stays.hears("a", "1")
	if p.door.conn.hijacked.Load() {
		f.await(p.served, "Serve did not return though the client is connected and its connection taken over")
	} else {
		select {
		case <-p.served:
			f.Error("Serve has returned though it writes to the ResponseWriter")
		default:
		}
	}
	_ = p.conn.Close()
	if !f.await(p.left, "the session did not leave though the client has gone") {
		return
	}
	f.await(p.served, "Serve did not return though the client has gone")
	stays.publishAndHear("2")
	if n := f.hub.Stats().Sessions; n != 1 {
		f.Errorf("%d sessions with one client left", n)
	}
}

func testOneDoor(f *fixture) {
	a := f.dial(live("a"))
	b, cd := f.dial(live("b")), f.dial(live("c", "d"))
	f.publish("a", "1")
	f.publish("b", "2")
	f.publish("c", "3")
	a.hears("a", "1")
	b.hears("b", "2")
	cd.hears("c", "3")
	_ = a.conn.Close()
	f.await(a.left, "the session did not leave though the client has gone")
	f.publish("a", "4")
	f.publish("d", "5")
	cd.hears("d", "5")
	late := f.dial(live("a"))
	late.publishAndHear("6")
	late.publishAndHear("7")
}
