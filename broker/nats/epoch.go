package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pregon/pregon/broker"
)

// A begin is a message of the stream, from which on its messages are of an epoch.
type begin struct{ seq, epoch uint64 }

// Epochs are those of a stream, in their order, at least one. What came before the first is of the epoch ahead of it.
type epochs []begin

// at returns the position of the message with a number.
func (e epochs) at(seq uint64) broker.Position {
	epoch := e[0].epoch - 1
	for _, b := range e {
		if b.seq > seq {
			break
		}
		epoch = b.epoch
	}
	return broker.Position{Epoch: epoch, Seq: seq}
}

// from returns the least number of which at returns p or what is behind it.
func (e epochs) from(p broker.Position) uint64 {
	start, epoch := uint64(0), e[0].epoch-1
	for _, b := range e {
		switch {
		case p.Epoch < epoch:
			return start
		case p.Epoch == epoch:
			return min(max(p.Seq, start), b.seq)
		}
		start, epoch = b.seq, b.epoch
	}
	switch {
	case p.Epoch < epoch:
		return start
	case p.Epoch == epoch:
		return max(p.Seq, start)
	}
	return math.MaxUint64
}

func (e epochs) last() begin { return e[len(e)-1] }

// with returns e with what a message says that begins an epoch.
func (e epochs) with(s stored) epochs {
	text, _, _ := strings.Cut(string(s.data), " ")
	epoch, err := strconv.ParseUint(text, 10, 64)
	if err != nil || epoch == 0 || len(e) > 0 && (s.seq <= e.last().seq || epoch <= e.last().epoch) {
		return e
	}
	return append(e[:len(e):len(e)], begin{s.seq, epoch})
}

// A memory is what a node knows of a stream from its own use: the newest message that it has heard, or that was
// acknowledged to it. So it notices where a server that was started again has lost something.
type memory struct {
	mu    sync.Mutex
	epoch uint64 // the newest that it has heard of
	seq   uint64 // in that epoch
	time  string // when that message was stored, empty where that is not known
}

func (m *memory) note(p broker.Position, at string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case p.Epoch > m.epoch, p.Epoch == m.epoch && p.Seq > m.seq:
		m.epoch, m.seq, m.time = p.Epoch, p.Seq, at
	case p.Epoch == m.epoch && p.Seq == m.seq && m.time == "":
		m.time = at
	}
}

func (m *memory) get() (p broker.Position, at string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return broker.Position{Epoch: m.epoch, Seq: m.seq}, m.time
}

// errBegun is why a witness was not written: another node has been faster.
var errBegun = errors.New("another node has written it")

// attach makes or checks the stream and returns its epochs, and how the stream is. It begins an epoch where the
// stream has none, and where the server may have lost the end of it: see the package's documentation.
func (o Options) attach(ctx context.Context, c *conn, seen *memory) (epochs, *jetstream.StreamInfo, error) {
	known, at := seen.get() // ahead of what the stream says that it has
	info, err := o.ensure(ctx, c)
	for tries := 0; err == nil && tries < maxTries; tries++ {
		w := witness{seen: known, seenTime: at}
		if err = o.ask(ctx, c, &w); err != nil {
			break
		}
		if tries > 0 && pause(ctx, behindPause) != nil {
			break
		}
		if o.clustered() && len(w.epochs) > 0 && w.reached < info.State.LastSeq {
			continue // the server that has answered is behind the others
		}
		switch w.verdict(c, info.State.LastSeq, info.Config.Replicas) {
		case goesOn:
			return w.epochs, info, nil
		case vouched:
			err = o.write(ctx, c, o.names.run(), c.ConnectedServerId(), w.run, true)
		case lost:
			err = o.write(ctx, c, o.names.epoch(), fmt.Sprint(w.next(), " ", c.ConnectedServerId()), w.begun, false)
		}
		if errors.Is(err, errBegun) {
			err = nil
		}
	}
	if err == nil {
		err = fmt.Errorf("the epoch of the stream %s cannot be told: %w", o.names.stream, broker.ErrUnavailable)
	}
	return nil, nil, err
}

// A witness is what is known of the life of a stream.
type witness struct {
	epochs     epochs
	begun, run uint64 // numbers of the newest messages that say which server it is on; 0 where there is none
	server     string // what the newer of them says
	seen       broker.Position
	seenTime   string
	isTime     string // when the message was stored that is at seen now, empty where there is none
	reached    uint64 // up to which number the server that has answered has the stream
}

// ask adds to w what the stream says.
func (o Options) ask(ctx context.Context, c *conn, w *witness) error {
	gets := []get{
		{Next: o.names.epoch(), Batch: o.History.MaxMessages},
		{MultiLast: []string{o.names.run()}},
	}
	if w.seen.Seq > 0 {
		gets = append(gets, get{Seq: w.seen.Seq})
	}
	found, err := c.gets(ctx, o.names.stream, gets...)
	if err == nil && o.clustered() {
		w.reached, err = c.reached(ctx, o)
	}
	if err != nil {
		return err
	}
	for _, s := range found[0] {
		w.epochs = w.epochs.with(s)
		w.begun = s.seq
		_, w.server, _ = strings.Cut(string(s.data), " ")
	}
	for _, s := range found[1] {
		if w.run = s.seq; w.run > w.begun {
			w.server = string(s.data)
		}
	}
	if len(found) > 2 && len(found[2]) > 0 {
		w.isTime = found[2][0].time
	}
	return nil
}

type verdict int

const (
	goesOn  verdict = iota
	vouched         // the server was started again, and has what this node knows of
	lost            // it has not, or nobody can say
)

// verdict says whether the newest epoch goes on. last is the newest number of the stream.
func (w witness) verdict(c *conn, last uint64, replicas int) verdict {
	known := w.seen.Seq > 0 && len(w.epochs) > 0 && w.seen.Epoch == w.epochs.last().epoch
	switch {
	case len(w.epochs) == 0, w.seen.Epoch > w.epochs.last().epoch:
		return lost
	case known && (last < w.seen.Seq || w.seenTime != "" && w.isTime != "" && w.seenTime != w.isTime):
		return lost
	case replicas > 1 || w.server == c.ConnectedServerId():
		return goesOn
	case known:
		return vouched
	}
	return lost
}

// next returns the number of an epoch to begin.
func (w witness) next() uint64 {
	next := max(uint64(time.Now().UnixNano()), w.seen.Epoch+1)
	if len(w.epochs) > 0 {
		next = max(next, w.epochs.last().epoch+1)
	}
	return next
}

// write stores a message that never expires, if the newest of its subject has the number last, and alone where it is
// to replace that.
func (o Options) write(ctx context.Context, c *conn, subject, text string, last uint64, alone bool) error {
	header := natsgo.Header{
		"Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(last, 10)},
		"Nats-TTL":                            {"never"},
	}
	if alone {
		header["Nats-Rollup"] = []string{"sub"}
	}
	answers, err := c.ask(ctx, []request{{subject: subject, data: []byte(text), header: header}})
	if err != nil {
		return fmt.Errorf("begin an epoch: %w: %w", err, broker.ErrUnavailable)
	}
	_, _, err = ackOf(answers[0])
	var refused *apiError
	if errors.As(err, &refused) && (refused.ErrCode == errWrongLast || refused.ErrCode == errWrongLastOf) {
		return errBegun
	}
	if err != nil {
		return fmt.Errorf("begin an epoch: %w", err)
	}
	return nil
}

// An apiError is why JetStream does not store a message.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// ackOf returns the number of the message that an answer says is stored, and whether it was so before.
func ackOf(a answer) (seq uint64, repeated bool, err error) {
	switch {
	case a.err != nil:
		return 0, false, a.err
	case len(a.messages) != 1:
		return 0, false, fmt.Errorf("nothing has answered: %w", broker.ErrUnavailable)
	}
	var ack struct {
		Seq       uint64    `json:"seq"`
		Duplicate bool      `json:"duplicate"`
		Error     *apiError `json:"error"`
	}
	if err := json.Unmarshal(a.messages[0].Data, &ack); err != nil {
		return 0, false, fmt.Errorf("the answer is none of JetStream: %w", broker.ErrUncertain)
	}
	if ack.Error != nil {
		return 0, false, refusedStore(ack.Error)
	}
	return ack.Seq, ack.Duplicate, nil
}

// refusedStore says what it means that JetStream does not store a message. Nothing was done.
func refusedStore(e *apiError) error {
	switch e.ErrCode {
	case errTooLarge, errHeaderTooLarge:
		return fmt.Errorf("%w: %w", e, broker.ErrTooLarge)
	}
	return fmt.Errorf("JetStream does not store it: %w: %w", e, broker.ErrUnavailable)
}

// Numbers of JetStream's errors.
const (
	errTooLarge       = 10054
	errHeaderTooLarge = 10097
	errInProcess      = 10158 // the same message is being stored
	errWrongLast      = 10164 // the newest message of the subject is another one
	errWrongLastOf    = 10071 // the same, with its number
)
