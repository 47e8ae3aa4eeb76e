package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// counts is what a subscriber has heard.
type counts struct {
	received, duplicated, reordered, corrupt, gaps int64
}

// A subscriber is one connection that listens to one channel.
type subscriber struct {
	channel   *channel
	epoch     time.Time
	size      int
	recorder  *recorder
	shared    *shared // the connection of its stream and others over HTTP/2; nil where it has one of its own
	conn      net.Conn
	stream    stream
	sequences []sequence // one for each publisher of the channel
	counts    counts
	intended  []time.Duration // of the messages of one read; reused
	confirmed bool            // the server has said that the channel is subscribed
	opened    atomic.Bool     // and not closed
	leaving   atomic.Bool     // we close it
	ended     error           // why the server ended the connection; nil where we did
}

// connect opens the connection, and returns when what is published from then on is
// heard.
func (s *subscriber) connect(ctx context.Context, t target, o *Options) error {
	if s.shared != nil {
		return s.share(ctx, t, o)
	}
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if err := s.open(t, o); err != nil {
		_ = conn.Close() // the handshake's error is the news
		return err
	}
	return nil
}

// share opens a stream of a connection that others have, too.
func (s *subscriber) share(ctx context.Context, t target, o *Options) error {
	stream, err := s.shared.stream(ctx, t, t.path("sse/"+s.channel.name+"?format="+o.Format), o.Credential)
	if err != nil {
		return err
	}
	s.conn, s.stream.in, s.stream.decoder = stream, stream, &events{}
	return nil
}

// open makes the handshake of the transport.
func (s *subscriber) open(t target, o *Options) (err error) {
	path := t.path(o.Transport + "/" + s.channel.name)
	switch o.Transport {
	case "sse":
		s.stream.decoder = &events{}
		s.stream.in, err = openEventStream(s.conn, t, path+"?format="+o.Format)
	case "live":
		s.stream.decoder = &conversation{}
		if s.stream.in, err = openWebSocket(s.conn, t, path); err == nil {
			err = s.awaitSubscribed()
		}
	default:
		s.stream.decoder = &frames{}
		s.stream.in, err = openWebSocket(s.conn, t, path+"?format="+o.Format)
	}
	return err
}

// awaitSubscribed listens until the server has confirmed the channel, which a
// handshake of /live does not wait for.
func (s *subscriber) awaitSubscribed() error {
	_ = s.conn.SetDeadline(time.Now().Add(dialTime)) // fails only where the next read does, too
	for !s.confirmed {
		if err := s.take(); err != nil {
			return err
		}
	}
	return s.conn.SetDeadline(time.Time{})
}

// read listens until the connection ends.
func (s *subscriber) read() {
	for {
		if err := s.take(); err != nil {
			s.end(err)
			return
		}
	}
}

// take reads once, and handles the events that are complete.
func (s *subscriber) take() error {
	ended := s.stream.fill()
	now := time.Since(s.epoch)
	s.intended = s.intended[:0]
	repeatedBefore := s.counts.duplicated
	var err error
	for err == nil {
		var e event
		var ok bool
		if e, ok, err = s.stream.next(); !ok {
			break
		}
		err = s.handle(e)
	}
	if heard := int64(len(s.intended)); heard > 0 {
		s.recorder.add(now, s.intended, heard-(s.counts.duplicated-repeatedBefore))
	}
	return cmp.Or(err, ended)
}

func (s *subscriber) handle(e event) error {
	switch e.kind {
	case message:
		s.hear(e.data)
	case gap:
		s.counts.gaps++
	case ping:
		if _, err := s.conn.Write(appendControl(nil, opPong, e.data)); err != nil {
			return fmt.Errorf("answer a ping: %w", err)
		}
	case subscribed:
		s.confirmed = true
	case failed:
		a, err := parseAnswer(e.data)
		return cmp.Or(err, error(a))
	case goodBye:
		return errors.New(closeText(e.data))
	}
	return nil
}

// hear checks one message.
func (s *subscriber) hear(data []byte) {
	payload, ok := s.channel.wrapping.unwrap(data)
	if !ok && isGap(data) {
		s.counts.gaps++
		return
	}
	m, stamped := parseStamp(payload)
	index, known := s.channel.indexOf(m.publisher)
	if !ok || !stamped || !known || len(payload) != s.size {
		s.counts.corrupt++
		return
	}
	s.counts.received++
	s.intended = append(s.intended, m.intended)
	switch s.sequences[index].hear(m.number) {
	case late:
		s.counts.reordered++
	case repeated:
		s.counts.duplicated++
	}
}

// end notes why the connection ended, unless that was us.
func (s *subscriber) end(err error) {
	if s.leaving.Load() {
		return
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the server closed the connection")
	}
	s.ended = err
	_ = s.conn.Close() // nothing is left to be lost
}

// close ends the connection, which ends read.
func (s *subscriber) close() {
	s.leaving.Store(true)
	if _, ok := s.stream.decoder.(*events); !ok {
		_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = s.conn.Write(appendControl(nil, opClose, []byte{0x03, 0xe8})) // 1000; good manners only
	}
	_ = s.conn.Close()
}
