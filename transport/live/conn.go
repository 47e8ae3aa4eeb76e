package live

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/internal/websocket"
	"github.com/pregon/pregon/transport/socket"
)

// What a client may send: see the package's documentation.
const (
	maxWaiting      = 64       // commands
	frameBytes      = 64 << 10 // of a frame, beside twice the longest message
	messageTime     = 30 * time.Second
	errorsPerSecond = 100
	errorsBurst     = 1000
	touchEvery      = time.Second // while nothing is read
)

// A conn is the connection of a client. While nothing is to be done for it, it has no goroutine but
// that which reads, no buffers and no context: what a request's context has would be kept, too.
type conn struct {
	*Transport
	client  transport.Client
	session transport.Session
	socket  *socket.Socket
	ws      *websocket.Conn

	running sync.WaitGroup // counts the goroutines of commands

	mu         sync.Mutex
	ctx        context.Context // of the commands in the queue: it ends with the connection; nil where there are none
	cancel     context.CancelFunc
	ended      bool // the connection has
	queue      queue
	waiting    int                 // bytes of the messages in the queue
	room       chan struct{}       // closed when there may be room in the queue; nil while nobody waits
	unanswered map[string]*command // subscribes that were done and are answered when the history was read
	errors     websocket.Allowance
}

// run reads what the client sends until the connection ends. The session ends behind it, so that the
// hub counts, and waits for, all connections that there are. What is being published is
// published; nobody reads the answers.
func (c *conn) run() {
	defer c.readers.Done()
	c.ws.Serve(c.session.Touch, c.receive)
	c.session.Leave()
	c.abort()
	c.running.Wait()
}

// abort ends what is being done, but for what is being published.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.ctx != nil {
		c.cancel()
	}
}

// begin makes the context of the commands, where there is none. The caller holds the lock.
func (c *conn) begin() {
	if c.ctx != nil {
		return
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if c.ended {
		c.cancel()
	}
}

var frames = sync.Pool{New: func() any { return new([freeBytes]byte) }}

// receive reads a message, and does what it asks for: see command.
func (c *conn) receive(ws *websocket.Conn, m websocket.Message) error {
	if c.socket.Ended() {
		return discard(ws, m) // it could not be answered
	}
	if !m.IsText {
		return &websocket.CloseError{Code: websocket.Unsupported, Reason: "binary"}
	}
	buf := frames.Get().(*[freeBytes]byte)
	defer frames.Put(buf)
	held := 0 // of the budget
	defer func() { c.budget.give(held) }()
	text, whole, err := m.ReadAll(buf[:0], func(more int) (ok bool) {
		if ok = c.budget.take(more); ok {
			held += more
		}
		return ok
	})
	switch {
	case err != nil:
		return err
	case !whole:
		c.refuse(&command{ref: refOf(text)}, busy())
		return nil
	}
	return c.command(ws, text)
}

// command does what text asks for, or has it wait, and returns when there is room for the next one.
func (c *conn) command(ws *websocket.Conn, text []byte) error {
	cmd, err := c.parser.parse(text)
	switch {
	case err == errNoObject:
		return &websocket.CloseError{Code: websocket.InvalidData, Reason: "not a JSON object"}
	case err != nil && !c.refuse(cmd, c.env.Problem(err)):
		return errTooManyErrors
	case err != nil:
		return nil
	}
	ws.Refund(len(text))
	c.enqueue(cmd)
	c.awaitRoom()
	return nil
}

// enqueue has cmd done in its turn.
func (c *conn) enqueue(cmd *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += cmd.size
	c.hold(cmd, 1)
	c.begin()
	c.start(c.queue.add(cmd))
}

// hold has the budget count the message of cmd, or no more, if times is -1.
func (c *conn) hold(cmd *command, times int) {
	if cmd.size > freeBytes {
		c.budget.give(-times * cmd.size)
	}
}

// awaitRoom returns when there is room for another command. A client whose pongs are not read
// meanwhile is not taken for gone.
func (c *conn) awaitRoom() {
	var tick *time.Ticker
	for {
		room := c.full()
		if room == nil {
			return
		}
		if tick == nil {
			tick = time.NewTicker(touchEvery)
			defer tick.Stop()
		}
		select {
		case <-room:
		case <-tick.C:
			c.session.Touch()
		}
	}
}

// full returns nil where there is room, otherwise what is closed when there may be.
func (c *conn) full() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue.commands) < maxWaiting && int64(c.waiting) <= c.env.MaxMessage {
		return nil
	}
	if c.room == nil {
		c.room = make(chan struct{})
	}
	return c.room
}

// start begins what may begin. The caller holds the lock.
func (c *conn) start(s start) {
	ctx := c.ctx
	for _, cmd := range s.others {
		c.running.Go(func() {
			c.do(ctx, cmd)
			c.finish(cmd)
		})
	}
	if len(s.publish) > 0 {
		c.running.Go(func() {
			c.publish(s.publish)
			c.finish(s.publish...)
		})
	}
}

// finish takes commands that are done out of the queue, and begins what they held up.
func (c *conn) finish(done ...*command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range done {
		c.waiting -= cmd.size
		c.hold(cmd, -1)
	}
	c.start(c.queue.done(done...))
	if len(c.queue.commands) == 0 {
		c.cancel()
		c.ctx, c.cancel = nil, nil // nothing is kept for a client that is quiet
	}
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// say sends the frame of o, behind what was sent before.
func (c *conn) say(o object) { c.session.Say(o.frame()) }

// refuse answers cmd, which was not done because of p. It reports false where that is one too many:
// see mayFail.
func (c *conn) refuse(cmd *command, p *transport.Problem) bool {
	c.say(failed(cmd.ref, cmd.channel, p))
	return c.mayFail(p)
}

// mayFail notes that a command has failed because of p. It reports false where more have than may, as
// far as that was the client's doing: then the connection is to end.
func (c *conn) mayFail(p *transport.Problem) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.Status >= http.StatusInternalServerError || c.errors.Spend(1, time.Now())
}

var errTooManyErrors = &websocket.CloseError{Code: websocket.Policy, Reason: "too many commands that fail"}

// busy is the answer to a long command where others take up what there is for them.
func busy() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "too_many_bodies", RetryAfter: 1,
		Detail: "This server is reading as many long messages as it takes; try again."}
}
