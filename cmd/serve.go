package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/cmd/handover"
	"github.com/pregon/pregon/cmd/lines"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/config"
	"github.com/pregon/pregon/server/hub"
)

// checkTime is how long the start-up test of the broker may take.
const checkTime = 5 * time.Second

// minMessage is the least limit of a message that makes sense: below it a
// problem of one sentence is longer.
const minMessage = 126

// minTime is the least of any time that is given: less is a mistake of units.
const minTime = 10 * time.Millisecond

// catchUp is the policy for slow clients that only a history makes possible.
const catchUp = "catch-up"

type serveCommand struct {
	Listen         string        `default:"localhost:8000" placeholder:"HOST:PORT" help:"Address to listen on; port 0 takes a free one. Default ${default}."`
	Admin          string        `placeholder:"HOST:PORT" help:"Address for operators: /metrics, which the other address then has not, /channels, /clients, /drain and /debug/pprof. Off loopback it needs a key with admin: true."`
	Broker         string        `default:"miniredis://" placeholder:"URL" help:"Broker, such as redis://localhost:6379; see pregon brokers. Default ${default}, which is embedded."`
	Keep           historyFlags  `embed:""`
	Access         accessFlags   `embed:""`
	BrokerRequired bool          `help:"Exit where the broker cannot be reached at start, instead of trying on."`
	LogLevel       slog.Level    `default:"info" placeholder:"LEVEL" help:"Lowest level to log: debug, info, warn or error. Default ${default}."`
	LogFormat      string        `default:"text" enum:"text,json" help:"How to log: text or json. Default ${default}."`
	AccessLog      bool          `help:"Log a line for each request when it has ended, and for each client that listens when it has gone."`
	MaxMessage     config.Size   `default:"1MiB" placeholder:"SIZE" help:"Longest message. Default ${default}."`
	MaxConnections int           `default:"0" placeholder:"N" help:"Most clients at once. By default as many as the system's limit of open files allows."`
	AllowOrigin    []string      `placeholder:"ORIGIN" help:"Let pages of this origin use the server: https://example.com, https://*.example.com, null, or * for all. May be repeated."`
	Host           []string      `placeholder:"NAME" help:"Name of this server; requests for other names are refused, but for localhost and IP addresses. May be repeated. On a loopback address they are refused without it, too."`
	Cookie         string        `placeholder:"NAME" help:"Name of a cookie that may have a token, from pages of the server's own origins and those that are allowed by name."`
	TrustProxy     []string      `placeholder:"CIDR" help:"Believe the proxies at this address or network when they say for whom they ask (X-Forwarded-For). May be repeated."`
	Limits         limitFlags    `embed:""`
	NoConsole      bool          `help:"Leave out the page at /."`
	QueueBytes     config.Size   `default:"4MiB" placeholder:"SIZE" help:"Most bytes that may wait for one client before it is disconnected. Default ${default}."`
	Compress       bool          `help:"Compress messages for WebSockets that offer permessage-deflate: once a message, for all of them."`
	SlowClients    string        `default:"disconnect" enum:"disconnect,drop-oldest,catch-up" placeholder:"POLICY" help:"What to do when a client's queue is full: disconnect; drop-oldest, which drops messages and tells a gap where the format can (text and raw WebSockets are disconnected all the same); or with --history catch-up, which feeds it from the history at its own pace. Default ${default}."`
	WriteTimeout   time.Duration `default:"10s" help:"Longest time in which a client takes nothing. Default ${default}."`
	PingInterval   time.Duration `default:"25s" help:"Time between pings. Default ${default}."`
	PongTimeout    time.Duration `default:"55s" help:"Silence after which a WebSocket client is gone; more than --ping-interval. Default ${default}."`
	DrainNotice    time.Duration `default:"2s" help:"Time for which /readyz is red at the end, and all else goes on, before clients are sent away. Default ${default}."`
	DrainTime      time.Duration `default:"5s" help:"Time over which clients are sent away at the end. Default ${default}."`
	TLS            tlsFlags      `embed:""`

	file settingsFile
}

// Validate is called by kong.
func (c *serveCommand) Validate(kctx *kong.Context) error { return c.located(c.check(kctx)) }

// check says what of the flags makes no sense.
func (c *serveCommand) check(kctx *kong.Context) error {
	if err := checkListen(c.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if c.Admin != "" && checkListen(c.Admin) != nil {
		return fmt.Errorf("--admin: %w", checkListen(c.Admin))
	}
	for name, d := range map[string]time.Duration{
		"write-timeout": c.WriteTimeout, "ping-interval": c.PingInterval, "pong-timeout": c.PongTimeout, "drain-time": c.DrainTime,
	} {
		if d < minTime {
			return fmt.Errorf("--%s: must be at least %v", name, minTime)
		}
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	switch {
	case c.DrainNotice != 0 && c.DrainNotice < minTime:
		return fmt.Errorf("--drain-notice: must be 0 or at least %v", minTime)
	case c.MaxMessage < minMessage:
		return fmt.Errorf("--max-message: must be at least %d bytes", minMessage)
	case c.QueueBytes < minMessage:
		return fmt.Errorf("--queue-bytes: must be at least %d bytes", minMessage)
	case c.MaxConnections < 0:
		return errors.New("--max-connections: must not be negative")
	case c.PongTimeout <= c.PingInterval:
		return errors.New("--pong-timeout: must be more than --ping-interval")
	}
	if err := c.TLS.check(kctx, c.file); err != nil {
		return err
	}
	if err := c.Access.check(kctx); err != nil {
		return err
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	return c.Keep.check()
}

// checkNames says what is wrong with the origins, hosts and networks that are named.
func (c *serveCommand) checkNames() error {
	for _, origin := range c.AllowOrigin {
		if server.CheckOrigin(origin) != nil {
			return fmt.Errorf("--allow-origin: %q is none of https://host[:port], https://*.host[:port], null and *", origin)
		}
	}
	for _, host := range c.Host {
		if server.CheckHost(host) != nil {
			return fmt.Errorf("--host: %q is not a host name without a port, in its ASCII form", host)
		}
	}
	for _, network := range c.TrustProxy {
		if _, err := config.ParseNetwork(network); err != nil {
			return fmt.Errorf("--trust-proxy: %w", err)
		}
	}
	return nil
}

// Run serves until ctx ends or the process is told to stop. A second signal ends
// the process at once.
func (c *serveCommand) Run(ctx context.Context, out *console) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	defer runtime.KeepAlive(tuneGC())
	defer background(ctx, tidy)()
	// A server outlives those who read what it prints.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	asked, ignore := expectWishes()
	defer ignore()
	said := lines.NewWriter(out.stderr)
	defer said.Close()
	log := c.logger(said, c.LogLevel)
	sockets, err := handover.Inherit()
	if err != nil {
		return fmt.Errorf("%w%w", err, errUsage)
	}
	defer sockets.Close()
	slog.SetDefault(log) // for drivers, which are opened by URL only
	c.warnOfSecrets(log, out.args)
	keysets := token.NewKeysets(token.KeysetsOptions{Logger: log})
	defer keysets.Close()
	entry := &entry{serve: c, keysets: keysets, log: log, accessLog: c.accessLogger(said), wishes: asked}
	if err := entry.read(); err != nil {
		return err
	}
	if err := cmp.Or(c.checkExposure(ctx, entry.admission, out), c.checkAdmin(ctx, entry.admission)); err != nil {
		return err
	}
	return c.serve(ctx, entry, sockets, out)
}

// serve opens the broker and the port, and serves.
func (c *serveCommand) serve(ctx context.Context, e *entry, sockets *handover.Listeners, out *console) error {
	tracer, exported, err := startTraces(ctx, e.log)
	if err != nil {
		return err
	}
	defer exported()
	b, err := c.Keep.open(ctx, c.Broker)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // nothing is left to be lost
	if err := c.useHistory(b, e); err != nil {
		return err
	}
	d, err := c.openDoors(ctx, sockets, e, out)
	if err != nil {
		return err
	}
	defer d.close()
	addr := d.public.Addr()
	options := c.options(b, addr, e, tracer, out.settings)
	options.CertificateEnds = d.secure.ends
	s, err := server.New(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // never fails
	if err := errors.Join(sockets.Unused(), c.test(ctx, s, sockets.HandedOver(), e.log)); err != nil {
		return err
	}
	c.warnOfLongest(ctx, b, e.log)
	defer e.reloadAtSignals(ctx, s, addr)()
	ctx, stop := c.replaceAtSignals(ctx, e.wishes.replace, b, sockets, e.log)
	defer stop()
	defer d.redirecting.begin(ctx, e.log)()
	defer background(ctx, d.secure.watch)() // which may have both ports asked
	c.greet(out.stdout, addr, e.admission)
	defer serveAdmin(ctx, s, d.operators, e.log)()
	tellSystemd(e.log, sockets.Ready())
	return s.Serve(ctx, d.public)
}

// useHistory tells the broker what rules say about histories, and refuses what it cannot do.
func (c *serveCommand) useHistory(b broker.Broker, e *entry) error {
	history, keeps := broker.HistoryOf(b)
	if c.SlowClients == catchUp && !keeps {
		return fmt.Errorf("--slow-clients: %s needs --history%w", catchUp, errUsage)
	}
	if keeps {
		e.history = history
	}
	if err := e.checkRetention(e.admission); err != nil {
		return err
	}
	e.retain(e.admission)
	return nil
}

// tuneGC trades a little processor time for memory, unless the user has a say in
// GOGC: what a connection leaves behind when it opens, mostly net/http's buffers,
// is more than what it keeps. So that a small heap is not collected all the time,
// it returns ballast, to be kept: bytes that count and that nobody touches, so
// that the system never provides them.
func tuneGC() (ballast []byte) {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(50)
	return make([]byte, 8<<20)
}

func (c *serveCommand) logger(w io.Writer, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// accessLogger returns the logger of requests, nil without --access-log. It does not depend on --log-level, and
// its lines may wait a little, as there may be one for each publication.
func (c *serveCommand) accessLogger(said *lines.Writer) *slog.Logger {
	if !c.AccessLog {
		return nil
	}
	return c.logger(said.Later(), slog.LevelInfo)
}

// test tests the broker. What only somebody can mend ends the program; a broker
// that cannot be reached yet may be there soon, unless it is required.
func (c *serveCommand) test(ctx context.Context, s *server.Server, required bool, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := s.Check(ctx)
	switch {
	case err == nil, errors.Is(ctx.Err(), context.Canceled):
		return nil
	case required, c.BrokerRequired, errors.Is(err, broker.ErrDenied), errors.Is(err, hub.ErrUnheard):
		return fmt.Errorf("broker %s: %w", redacted(c.Broker), err)
	}
	log.Warn("the broker cannot be reached, trying on", "broker", redacted(c.Broker), "error", err)
	return nil
}

// warnOfSecrets tells what other users of the machine can read.
func (c *serveCommand) warnOfSecrets(log *slog.Logger, args []string) {
	if userinfo.MatchString(c.Broker) && strings.Contains(strings.Join(args, " "), c.Broker) {
		log.Warn("a password on the command line is seen by every user of the machine; use PREGON_BROKER")
	}
	key, err := os.Stat(c.TLS.Key)
	if err == nil && runtime.GOOS != "windows" && key.Mode().Perm()&0o004 != 0 {
		log.Warn("the file of --tls-key can be read by every user of the machine")
	}
}
