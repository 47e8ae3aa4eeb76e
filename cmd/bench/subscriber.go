package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A subscriber's buffer begins small, as most of many connections are idle most
// of the time, and grows where there is more to read.
const (
	minBuffer = 4 << 10
	maxBuffer = 64 << 10
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
	conn      net.Conn
	in        io.Reader
	decoder   decoder
	sequences []sequence // one for each publisher of the channel
	counts    counts
	intended  []time.Duration // of the messages of one read; reused
	opened    atomic.Bool     // and not closed
	leaving   atomic.Bool     // we close it
	ended     error           // why the server ended the connection; nil where we did
}

// connect opens the connection. The server's answer means that what is published
// from then on is heard.
func (s *subscriber) connect(ctx context.Context, t target, o *Options) error {
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	path := t.path(o.Transport, s.channel.name) + "?format=" + o.Format
	s.conn, s.decoder = conn, &frames{}
	if o.Transport == "sse" {
		s.decoder = &events{}
		s.in, err = openEventStream(conn, t, path)
	} else {
		s.in, err = openWebSocket(conn, t, path)
	}
	if err != nil {
		_ = conn.Close() // the handshake's error is the news
	}
	return err
}

// read listens until the connection ends.
func (s *subscriber) read() {
	buf := make([]byte, minBuffer)
	filled := 0
	for {
		n, err := s.in.Read(buf[filled:])
		filled += n
		used, problem := s.take(buf[:filled])
		if problem == nil {
			problem = err
		}
		if problem != nil {
			s.end(problem)
			return
		}
		full := filled == len(buf)
		filled = copy(buf, buf[used:filled])
		if full && (len(buf) < maxBuffer || filled == len(buf)) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// take handles the events that are complete in b, which arrived by now, and
// returns how many bytes they take up.
func (s *subscriber) take(b []byte) (used int, err error) {
	now := time.Since(s.epoch)
	s.intended = s.intended[:0]
	repeatedBefore := s.counts.duplicated
	for err == nil {
		var e event
		var n int
		e, n, err = s.decoder.next(b[used:])
		if err != nil || n == 0 {
			break
		}
		used += n
		err = s.handle(e)
	}
	if heard := int64(len(s.intended)); heard > 0 {
		s.recorder.add(now, s.intended, heard-(s.counts.duplicated-repeatedBefore))
	}
	return used, err
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
	if _, ok := s.decoder.(*frames); ok {
		_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = s.conn.Write(appendControl(nil, opClose, []byte{0x03, 0xe8})) // 1000; good manners only
	}
	_ = s.conn.Close()
}
