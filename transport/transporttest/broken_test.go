package transporttest_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A broken Transport is the embedded one but for the functions that are set. All of its
// clients meet the same functions.
type broken struct {
	transport.Transport
	env   transport.Deps
	serve func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error
	wait  func()

	join      func(ctx context.Context, c transport.Client, s transport.Subscriber) (transport.Session, error)
	subscribe func(ctx context.Context, s transport.Session, subs []transport.Subscription) []error
	touch     func(transport.Session)
	leave     func(transport.Session)

	message func(e transport.Encoding, m broker.Message) []byte
	gap     func(e transport.Encoding, g transport.Gap) []byte
	ping    func(transport.Control) []byte
	close   func(transport.Control, transport.CloseReason) []byte

	mu        sync.Mutex
	encodings map[transport.Encoding]*brokenEncoding
}

func (b *broken) Wait() {
	if b.wait != nil {
		b.wait()
		return
	}
	b.Transport.Wait()
}

func (b *broken) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	wanted.Client = &brokenClient{wanted.Client, b}
	if b.serve != nil {
		return b.serve(w, r, wanted)
	}
	return b.Transport.Serve(w, r, wanted)
}

// encoding returns the broken one of e, which is the same each time.
func (b *broken) encoding(e transport.Encoding) *brokenEncoding {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.encodings[e] == nil {
		b.encodings[e] = &brokenEncoding{e, b}
	}
	return b.encodings[e]
}

type brokenClient struct {
	transport.Client
	b *broken
}

func (c *brokenClient) Join(ctx context.Context, s transport.Subscriber) (session transport.Session, err error) {
	s.Encoding, s.Control = c.b.encoding(s.Encoding), &brokenControl{s.Control, c.b}
	if c.b.join != nil {
		session, err = c.b.join(ctx, c.Client, s)
	} else {
		session, err = c.Client.Join(ctx, s)
	}
	return &brokenSession{session, c.b}, err
}

type brokenSession struct {
	transport.Session
	b *broken
}

func (s *brokenSession) Subscribe(ctx context.Context, subs ...transport.Subscription) []error {
	if s.b.subscribe != nil {
		return s.b.subscribe(ctx, s.Session, subs)
	}
	return s.Session.Subscribe(ctx, subs...)
}

func (s *brokenSession) Touch() {
	if s.b.touch != nil {
		s.b.touch(s.Session)
		return
	}
	s.Session.Touch()
}

func (s *brokenSession) Leave() {
	if s.b.leave != nil {
		s.b.leave(s.Session)
		return
	}
	s.Session.Leave()
}

type brokenEncoding struct {
	transport.Encoding
	b *broken
}

func (e *brokenEncoding) Message(m broker.Message) []byte {
	if e.b.message != nil {
		return e.b.message(e.Encoding, m)
	}
	return e.Encoding.Message(m)
}

func (e *brokenEncoding) Gap(g transport.Gap) []byte {
	if e.b.gap != nil {
		return e.b.gap(e.Encoding, g)
	}
	return e.Encoding.Gap(g)
}

type brokenControl struct {
	transport.Control
	b *broken
}

func (c *brokenControl) Ping() []byte {
	if c.b.ping != nil {
		return c.b.ping(c.Control)
	}
	return c.Control.Ping()
}

func (c *brokenControl) Close(reason transport.CloseReason) []byte {
	if c.b.close != nil {
		return c.b.close(c.Control, reason)
	}
	return c.Control.Close(reason)
}

// nothing is a frame that says nothing: a ping.
var nothing = []byte{0x89, 0}

func subscribesLater(b *broken) {
	b.subscribe = func(_ context.Context, s transport.Session, subs []transport.Subscription) []error {
		go s.Subscribe(context.Background(), subs...)
		return make([]error, len(subs))
	}
}

func forgetsErrors(b *broken) {
	b.serve = func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
		if err := b.Transport.Serve(w, r, wanted); err != nil {
			http.Error(w, "sorry", http.StatusServiceUnavailable)
		}
		return nil
	}
}

func rewordsErrors(b *broken) {
	b.serve = func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
		if err := b.Transport.Serve(w, r, wanted); err != nil {
			return errors.New("it did not work")
		}
		return nil
	}
}

func ignoresContext(b *broken) {
	b.subscribe = func(_ context.Context, s transport.Session, subs []transport.Subscription) []error {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		return s.Subscribe(ctx, subs...)
	}
}

func joinsFirst(b *broken) {
	b.serve = func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
		if p := transport.CheckHijack(w); p != nil {
			s, err := wanted.Client.Join(r.Context(), transport.Subscriber{Socket: b.env.Sockets.New(), Encoding: &brokenEncoding{}, Control: &brokenControl{}})
			if err == nil {
				s.Leave()
			}
			return p
		}
		return b.Transport.Serve(w, r, wanted)
	}
}

func onMessage(corrupt func(m *broker.Message)) func(*broken) {
	return func(b *broken) {
		b.message = func(e transport.Encoding, m broker.Message) []byte {
			corrupt(&m)
			return e.Message(m)
		}
	}
}

func doubles(b *broken) {
	b.message = func(e transport.Encoding, m broker.Message) []byte {
		return append(e.Message(m), e.Message(m)...)
	}
}

func dropsSome(b *broken) {
	n := 0
	b.message = func(e transport.Encoding, m broker.Message) []byte {
		if n++; n%20 == 0 {
			return nothing
		}
		return e.Message(m)
	}
}

// reorders swaps two messages of a channel now and then.
func reorders(b *broken) {
	n := 0
	var held []byte
	b.message = func(e transport.Encoding, m broker.Message) []byte {
		frame := e.Message(m)
		switch n++; n % 20 {
		case 18:
			held = frame
			return nothing
		case 19:
			return append(append([]byte{}, frame...), held...)
		}
		return frame
	}
}

func reusesMemory(b *broken) {
	var shared [1 << 20]byte
	b.message = func(e transport.Encoding, m broker.Message) []byte {
		return shared[:copy(shared[:], e.Message(m))]
	}
}

func encodingForEach(b *broken) {
	b.join = func(ctx context.Context, c transport.Client, s transport.Subscriber) (transport.Session, error) {
		s.Encoding = &brokenEncoding{s.Encoding, b}
		return c.Join(ctx, s)
	}
}

func subscribesFirstOnly(b *broken) {
	b.subscribe = func(ctx context.Context, s transport.Session, subs []transport.Subscription) []error {
		return append(s.Subscribe(ctx, subs[:1]...), make([]error, len(subs)-1)...)
	}
}

func subscribesMore(b *broken) {
	b.subscribe = func(ctx context.Context, s transport.Session, subs []transport.Subscription) []error {
		return s.Subscribe(ctx, append(subs, transport.Subscription{Channel: "c"})...)[:len(subs)]
	}
}

// onAnswers corrupts what clients are told of their starts.
func onAnswers(corrupt func(answer func(transport.Subscribed) ([]byte, bool), s transport.Subscribed) ([]byte, bool)) func(*broken) {
	return func(b *broken) {
		b.subscribe = func(ctx context.Context, s transport.Session, subs []transport.Subscription) []error {
			for i := range subs {
				if answer := subs[i].Answer; answer != nil {
					subs[i].Answer = func(told transport.Subscribed) ([]byte, bool) { return corrupt(answer, told) }
				}
			}
			return s.Subscribe(ctx, subs...)
		}
	}
}

func noAnswers(func(transport.Subscribed) ([]byte, bool), transport.Subscribed) ([]byte, bool) {
	return nil, true
}

func alwaysRecovered(answer func(transport.Subscribed) ([]byte, bool), s transport.Subscribed) ([]byte, bool) {
	s.Recovered = true
	return answer(s)
}

func neverRecovered(answer func(transport.Subscribed) ([]byte, bool), s transport.Subscribed) ([]byte, bool) {
	s.Recovered = false
	return answer(s)
}

// onStarts has clients begin elsewhere than where they ask.
func onStarts(corrupt func(*transport.Start)) func(*broken) {
	return func(b *broken) {
		b.subscribe = func(ctx context.Context, s transport.Session, subs []transport.Subscription) []error {
			for i := range subs {
				corrupt(&subs[i].Start)
			}
			return s.Subscribe(ctx, subs...)
		}
	}
}

// unbounded keeps everything for a client that does not read.
func unbounded(b *broken) {
	b.env.Sockets = socket.NewGroup(socket.Limits{Bytes: 1 << 40, Messages: 1 << 40, WriteTimeout: time.Hour, Linger: time.Hour})
}

// A leaking ResponseWriter hands out connections that cannot be closed.
type leaking struct{ http.ResponseWriter }

func (l leaking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(l.ResponseWriter).Hijack()
	return open{c}, rw, err
}

type open struct{ net.Conn }

func (open) Close() error { return nil }

func neverCloses(b *broken) {
	b.serve = func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
		return b.Transport.Serve(leaking{w}, r, wanted)
	}
}

// stays does not return when the client is connected.
func stays(b *broken) {
	b.serve = func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
		err := b.Transport.Serve(w, r, wanted)
		if err == nil {
			select {}
		}
		return err
	}
}

func oneFormat(name string) func(*broken) {
	return func(b *broken) {
		b.serve = func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
			wanted.Format, _ = transport.FormatByName(name)
			return b.Transport.Serve(w, r, wanted)
		}
	}
}

// oneClient serves all through the Client of the first.
func oneClient(b *broken) {
	var mu sync.Mutex
	var first transport.Client
	b.join = func(ctx context.Context, c transport.Client, s transport.Subscriber) (transport.Session, error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = c
		}
		return first.Join(ctx, s)
	}
}

// keepsClient goes on using a Client whose connection has ended.
func keepsClient(b *broken) {
	var mu sync.Mutex
	var kept transport.Client
	b.join = func(ctx context.Context, c transport.Client, s transport.Subscriber) (transport.Session, error) {
		mu.Lock()
		defer mu.Unlock()
		if kept != nil {
			_, _ = kept.Mark(ctx, "a")
		} else {
			kept = c
		}
		return c.Join(ctx, s)
	}
}

func publishes(b *broken) {
	b.join = func(ctx context.Context, c transport.Client, s transport.Subscriber) (transport.Session, error) {
		c.Publish(ctx, broker.Message{Channel: "joined", Data: []byte("hola")})
		return c.Join(ctx, s)
	}
}

func reads(b *broken) {
	b.join = func(ctx context.Context, c transport.Client, s transport.Subscriber) (transport.Session, error) {
		_, _ = c.Newest(ctx, "elsewhere")
		return c.Join(ctx, s)
	}
}

// servesOne has all others wait for as long as one client is connected.
func servesOne(b *broken) {
	one := make(chan struct{}, 1)
	b.serve = func(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
		one <- struct{}{}
		return b.Transport.Serve(w, r, wanted)
	}
	b.leave = func(s transport.Session) {
		s.Leave()
		<-one
	}
}
