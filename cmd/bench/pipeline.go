package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	refDigits = 3 // hexadecimal
	// maxPipeline is how many publications their refs can tell apart.
	maxPipeline = 1 << (4 * refDigits)
	// flushBytes is how much waits to be written, beside one frame.
	flushBytes = 64 << 10
)

// A pipeline is the way of a publisher over /live: it sends messages while those before
// are under way, as many as there are slots. What there is to send is written together, and
// answers are read by a goroutine, which ends with the connection.
type pipeline struct {
	*publisher
	conn     net.Conn
	stream   stream
	welcomed bool
	out      []byte   // frames that are not written yet
	free     chan int // slots that are
	paced    bool     // messages are due one by one

	reading sync.WaitGroup
	over    chan struct{} // closed when nothing is read any more

	mu      sync.Mutex // guards what follows, and what becomes of the publisher's messages
	slots   []slot     // their indexes are the refs
	ended   error      // why nothing is read any more
	unknown int        // messages of unknown outcome then
}

// A slot has a message that is under way, or no outlet.
type slot struct {
	outlet   *outlet
	number   int64
	intended time.Duration
}

func newPipeline(p *publisher, o *Options) *pipeline {
	w := &pipeline{publisher: p, paced: o.Rate > 0, slots: make([]slot, o.Pipeline), free: make(chan int, o.Pipeline), over: make(chan struct{})}
	for i := range w.slots {
		w.free <- i
	}
	return w
}

// outlet implements way. The request is the frame of a command.
func (w *pipeline) outlet(c *channel, size int) *outlet {
	before, after := `{"type":"publish","ref":"`, `","channel":"`+c.name+`","data":"`
	text := before + strings.Repeat("0", refDigits) + after + strings.Repeat("x", size) + `"}`
	o := &outlet{channel: c, request: appendText(nil, []byte(text))}
	command := o.request[len(o.request)-len(text):]
	o.ref = command[len(before):][:refDigits]
	o.body = command[len(before)+refDigits+len(after):][:size]
	return o
}

// open implements way. It returns when the server has said welcome.
func (w *pipeline) open(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.target.dial(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	in, err := openWebSocket(conn, w.target, w.target.path("live"))
	if err == nil {
		w.conn, w.stream = conn, stream{in: in, decoder: &conversation{}}
		err = w.awaitWelcome()
	}
	if err != nil {
		w.conn = nil
		_ = conn.Close() // the handshake's error is the news
		return err
	}
	w.reading.Go(w.read)
	return nil
}

func (w *pipeline) awaitWelcome() error {
	_ = w.conn.SetDeadline(time.Now().Add(dialTime)) // fails only where the next read does, too
	for !w.welcomed {
		if err := w.take(); err != nil {
			return err
		}
	}
	return w.conn.SetDeadline(time.Time{})
}

// read listens until the connection ends. What is under way then is of unknown outcome.
func (w *pipeline) read() {
	defer close(w.over)
	var err error
	for err == nil {
		err = w.take()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = fmt.Errorf("publish: %w", err)
	for _, s := range w.slots {
		if s.outlet != nil {
			s.outlet.failed = append(s.outlet.failed, s.number)
			w.unknown++
			w.fail(w.ended)
		}
	}
}

// take reads once, and handles the events that are complete.
func (w *pipeline) take() error {
	ended := w.stream.fill()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		e, ok, err := w.stream.next()
		if !ok {
			return cmp.Or(err, ended)
		}
		if err := w.handle(e); err != nil {
			return err
		}
	}
}

func (w *pipeline) handle(e event) error {
	switch e.kind {
	case welcome:
		w.welcomed = true
	case published:
		return w.succeed(e.data)
	case failed:
		return w.refuse(e.data)
	case ping:
		_, err := w.conn.Write(appendControl(nil, opPong, e.data))
		return err
	case goodBye:
		return errors.New(closeText(e.data))
	}
	return nil
}

const publishedPrefix = typePrefix + `published","ref":"`

// succeed notes that a message was accepted.
func (w *pipeline) succeed(data []byte) error {
	ref, _, _ := bytes.Cut(bytes.TrimPrefix(data, []byte(publishedPrefix)), []byte(`"`))
	s, err := w.release(ref)
	if err == nil {
		w.accept(s.outlet)
	}
	return err
}

// refuse notes that a message was not accepted. What the server says of no message is of
// the connection.
func (w *pipeline) refuse(data []byte) error {
	a, err := parseAnswer(data)
	switch {
	case err != nil:
		return err
	case a.Ref == "":
		return a
	}
	s, err := w.release([]byte(a.Ref))
	if err == nil {
		s.outlet.failed = append(s.outlet.failed, s.number)
		w.fail(fmt.Errorf("publish: %w", a))
	}
	return err
}

// release takes the message with that ref, which is answered, out of its slot.
func (w *pipeline) release(ref []byte) (slot, error) {
	i, ok := parseHex(ref)
	if !ok || len(ref) != refDigits || i >= uint64(len(w.slots)) || w.slots[i].outlet == nil {
		return slot{}, errors.New("the server has answered a command that was not sent")
	}
	s := w.slots[i]
	w.answered(s.intended)
	w.slots[i] = slot{}
	w.free <- int(i) // there is room
	return s, nil
}

// ready implements way. It sends what waits before it waits itself.
func (w *pipeline) ready(ctx context.Context) bool {
	if len(w.free) > 0 { // as nobody else takes any
		return true
	}
	i, ok := w.await(ctx)
	if !ok {
		w.blame()
		return false
	}
	w.free <- i
	return true
}

// blame has a message that cannot be sent count as failed, unless others have failed with the
// connection.
func (w *pipeline) blame() {
	<-w.over
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unknown == 0 {
		w.fail(w.ended)
	}
}

// await returns a slot when one is free, or false when none ever will be.
func (w *pipeline) await(ctx context.Context) (i int, ok bool) {
	if !w.flush(ctx) {
		return 0, false
	}
	defer w.bounded(ctx)()
	select {
	case i = <-w.free:
		return i, true
	case <-w.over:
		return 0, false
	}
}

// publish implements way. Each message has a number of its own, accepted or not.
func (w *pipeline) publish(ctx context.Context, o *outlet, intended time.Duration) bool {
	i := <-w.free
	putHex(o.ref, uint64(i))
	stamp{w.number, o.sent, intended}.put(o.body)
	w.mu.Lock()
	w.slots[i] = slot{o, o.sent, intended}
	w.mu.Unlock()
	o.sent++
	w.out = append(w.out, o.request...)
	if w.paced || len(w.out) >= flushBytes {
		return w.flush(ctx)
	}
	return true
}

// flush writes what waits. It reports false where the connection is over.
func (w *pipeline) flush(ctx context.Context) bool {
	if len(w.out) == 0 {
		return true
	}
	defer w.bounded(ctx)()
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	if err != nil {
		_ = w.conn.Close() // which ends read
	}
	return err == nil
}

// bounded bounds the time of what the connection does until done is called.
func (w *pipeline) bounded(ctx context.Context) (done func()) {
	conn := w.conn
	_ = conn.SetDeadline(time.Now().Add(publishTime)) // fails only where what follows does, too
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(lastAnswerTime)) })
	return func() {
		stop()
		_ = conn.SetDeadline(time.Time{})
	}
}

// settle implements way.
func (w *pipeline) settle(ctx context.Context) {
	for range w.slots {
		if _, ok := w.await(ctx); !ok {
			break
		}
	}
}

// hangUp implements way.
func (w *pipeline) hangUp() {
	if w.conn != nil {
		_ = w.conn.Close() // nothing is left to be lost
		w.reading.Wait()
	}
}
