package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/metrics"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/server/tracing"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/local"
	"github.com/pregon/pregon/transport/socket"
)

// Options are the settings of a Server. Zero values mean the defaults.
type Options struct {
	// Broker carries the messages. It is required, used until Close, and not
	// closed by the Server.
	Broker broker.Broker
	// Logger is where to log; default slog.Default().
	Logger *slog.Logger

	// MaxMessage is the longest message in bytes, and the longest body that is
	// one message; the body of a batch may be 16 times as long. Default 1 MiB.
	MaxMessage int64
	// MaxBodies is how many bytes the bodies of all requests under way may take
	// together, the first 16 KiB of each not counted. Default 64 MiB; at least
	// it is as many as one batch may have. Where Access is not open a quarter of it is for
	// keys alone. The answers with messages and members that wait for their clients may take as many, too.
	MaxBodies int64
	// MaxConnections is how many clients may listen at once; by default as many
	// as the process may have descriptors, less a reserve.
	MaxConnections int
	// AllowOrigins are the origins, such as https://example.com, whose pages may
	// use the server beside its own. In https://*.example.com the "*" stands for
	// one or more labels. "null" is the origin of sandboxed pages and files, and
	// "*" allows all; pages that only these two let in may not use the user's
	// cookies. Default none.
	AllowOrigins []string
	// Hosts are the server's own names, without a port. Where there are any, and
	// wherever Serve listens on a loopback address, a request whose Host is
	// neither one of them, nor localhost, nor an IP address is refused: it may
	// come from a page of a stranger's whose name resolves to this server. Pages
	// of https:// and http:// these names are the server's own.
	Hosts []string

	// Limits are what single callers may have. Zero values are no limits.
	Limits Limits

	// Transports are further ones beside those that are registered, by name. Nil in
	// place of a Maker leaves out the registered one of that name. Names that collide
	// with a registered one, or with a route of the server's own, are refused.
	Transports map[string]transport.Maker
	// Settings are those of single transports, by the name of the transport and then
	// of the setting. See transport.Settings.
	Settings map[string]map[string]string

	// Access is who may do what, and by which credentials. Nil lets everybody do everything.
	Access *access.Policy
	// Cookie is the name of the cookie in which pages may bring a token. Default none.
	Cookie string
	// Authenticate says who made a request, in place of Access, which then reads no
	// credentials but decides all the same. A request of nobody in particular has the zero
	// Identity. Cookies are in r only where they may count: not for pages of other sites than
	// AllowOrigins has by name or pattern. An error refuses the request: with 401, or with the transport.Problem that
	// it is. It may be called concurrently, must not read the body, and is to be quick. A
	// panic in it is a no.
	Authenticate func(r *http.Request) (transport.Identity, error)
	// Open says that everybody may do everything by intent, though others than programs of
	// this machine may reach the server. Without it, a server without Access that listens
	// on a loopback address refuses what a proxy has passed on.
	Open bool
	// NoConsole leaves out the page at /.
	NoConsole bool
	// AccessLog is told, at the level info, of each request when it has ended, and of each client that listens when it has
	// gone. It is called ahead of the last of an answer, so its Handler should be quick. Nil for no such log.
	AccessLog *slog.Logger
	// NoMetrics leaves out the figures at /metrics: Admin has them.
	NoMetrics bool
	// TrustProxies are the addresses of proxies that are believed when they say for whom
	// they ask. Default none.
	TrustProxies []netip.Prefix

	Hooks Hooks // of the program

	// Version is the program's, for the figure pregon_build_info. Default what the build says of its main module.
	Version string

	// CertificateEnds returns when the first of the certificates ends with which the program's listener is
	// served, or the zero time, for the figure pregon_certificate_expiry_timestamp_seconds. Nil shows none. It may be called concurrently.
	CertificateEnds func() time.Time

	// Tracer makes spans of requests, publications and deliveries. Nil makes none, and costs nothing.
	Tracer *tracing.Tracer

	QueueBytes   int           // that may wait for one client; default 4 MiB
	Compress     bool          // for WebSockets that offer permessage-deflate
	DropOldest   bool          // and not disconnect, where more would wait: see hub.Options
	CatchUp      bool          // likewise; it needs a Broker that keeps a history
	WriteTimeout time.Duration // in which a client must take something; default 10 s
	PingInterval time.Duration // default 25 s
	PongTimeout  time.Duration // default 55 s
	DrainNotice  time.Duration // in which readiness is red and all else goes on before that; default none
	DrainTime    time.Duration // over which clients are sent away; default 5 s
}

const (
	queueMessages  = 16 << 10        // that may wait for one client
	maxInbound     = 64 << 10        // bytes of a message from a listening client
	lingerTime     = 2 * time.Second // between our end of a connection and the peer's
	publishTimeout = 5 * time.Second
)

func (o Options) withDefaults() Options {
	setDefault(&o.Logger, slog.Default())
	setDefault(&o.MaxMessage, 1<<20)
	setDefault(&o.MaxBodies, 64<<20)
	setDefault(&o.MaxConnections, connectionLimit())
	setDefault(&o.QueueBytes, 4<<20)
	setDefault(&o.WriteTimeout, 10*time.Second)
	setDefault(&o.PingInterval, 25*time.Second)
	setDefault(&o.PongTimeout, 55*time.Second)
	setDefault(&o.DrainTime, 5*time.Second)
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// reloadable returns what of o may change later.
func (o Options) reloadable() Reloadable {
	return Reloadable{Access: o.Access, Cookie: o.Cookie, AllowOrigins: o.AllowOrigins, Hosts: o.Hosts, Limits: o.Limits}
}

// minInterval is the least of any time in Options: less is a mistake of units.
const minInterval = time.Millisecond

// check returns what makes no sense in o, defaults filled in.
func (o Options) check() error {
	switch {
	case o.Broker == nil:
		return fmt.Errorf("%w: no broker", ErrOptions)
	case o.MaxMessage < 0, o.MaxBodies < 0, o.MaxConnections < 0, o.QueueBytes < 0, o.DrainNotice < 0:
		return fmt.Errorf("%w: a limit is negative", ErrOptions)
	case o.CatchUp && o.DropOldest:
		return fmt.Errorf("%w: both DropOldest and CatchUp", ErrOptions)
	case o.CatchUp && !node.KeepsHistory(o.Broker):
		return fmt.Errorf("%w: CatchUp without a history", ErrOptions)
	case o.Open && o.Access != nil && !o.Access.IsOpen():
		return fmt.Errorf("%w: Open with an Access that is not", ErrOptions)
	case min(o.WriteTimeout, o.PingInterval, o.PongTimeout, o.DrainTime) < minInterval:
		return fmt.Errorf("%w: a time is less than %v", ErrOptions, minInterval)
	}
	return nil
}

// ErrOptions is wrapped by what New says about Options that make no sense.
var ErrOptions = errors.New("server: bad options")

// A Server serves one node.
type Server struct {
	options     Options
	log         *slog.Logger
	hub         *hub.Hub   // for what concerns no channel: readiness, figures, the end
	node        *node.Node // for all else
	sockets     *socket.Group
	transports  map[string]transport.Transport
	local       *local.Host // what the program itself hears
	accepted    *connections
	figures     *metrics.Metrics
	bodies      bodies
	answers     answers
	settings    atomic.Pointer[settings]
	reloading   sync.Mutex // held while settings and the node get a new policy
	foreign     *sayFew    // refused for their origin or host, or as a proxy has passed them on
	refused     *sayFew    // callers
	problems    *problemCounts
	handler     http.Handler
	handedOver  atomic.Bool   // new connections are another process's
	leaving     atomic.Bool   // not ready any more
	draining    atomic.Bool   // nor for new listeners
	stopping    chan struct{} // closed when draining begins
	stopOnce    sync.Once
	ordered     chan struct{} // closed when an operator asks for the end
	orderOnce   sync.Once
	incarnation string       // begins the names of its sessions
	polls       atomic.Int64 // requests that wait for news
	badTokens   tokenCounts
	tellLosses  sync.Once // in the log

	refusedListeners atomic.Uint64 // for whom there was no room
}

// New returns a Server on o.Broker. It does not wait for the broker: see Check.
// The caller closes it.
func New(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	if most := connectionLimit(); o.MaxConnections > most {
		o.Logger.Warn("server: the system's limit of open files allows fewer connections than wanted",
			"wanted", o.MaxConnections, "allowed", most)
		o.MaxConnections = most
	}
	s := &Server{options: o, log: o.Logger, stopping: make(chan struct{}), ordered: make(chan struct{}), incarnation: strings.ToLower(rand.Text()[:8]), refused: newSayFew(), foreign: newSayFew(), problems: newProblemCounts()}
	s.figures = metrics.New(metrics.Options{Version: o.Version, Read: s.snapshot})
	first, err := newSettings(o.reloadable())
	if err != nil {
		return nil, err
	}
	s.settings.Store(first)
	s.sockets = socket.NewGroup(socket.Limits{
		Bytes: o.QueueBytes, Messages: queueMessages, WriteTimeout: o.WriteTimeout, Linger: lingerTime,
	})
	s.local = local.NewHost(s.sockets)
	if s.transports, err = s.makeTransports(o); err != nil {
		return nil, err
	}
	if s.handler, err = s.routes(); err != nil {
		return nil, err
	}
	s.badTokens = newTokenCounts()
	s.answers.most = o.MaxBodies
	s.bodies.most = max(o.MaxBodies, s.longestBatch()*4/3+1)
	s.hub, err = hub.New(ctx, o.Broker, hub.Options{
		Logger: s.log, PingInterval: o.PingInterval, PongTimeout: o.PongTimeout,
		DropOldest: o.DropOldest, CatchUp: o.CatchUp, MaxChannels: o.Limits.Channels, Strangers: s.hasStrangers, Delivered: s.delivered(), Timed: true,
	})
	if err != nil {
		return nil, err
	}
	s.node = node.New(o.Broker, s.hub, node.Options{Logger: s.log, Authenticate: s.authenticateToken, Identifies: o.Authenticate != nil, Access: first.access, MaxMessage: o.MaxMessage, Limits: o.Limits.node(), Hooks: o.Hooks, Publishing: s.publishing(), RoundTrip: s.figures.RoundTrip})
	s.accepted = newConnections(acceptLimit(), s.hub.Sessions, s.log)
	s.accepted.trusted, s.accepted.listenersOf = o.TrustProxies, s.node.Listeners
	s.accepted.limitAddresses(o.Limits.ConnectionsPerAddress)
	return s, nil
}

// Handler returns what answers requests. It is for use with an http.Server of
// the caller's, which must not close the Server before that has stopped: Drain,
// then http.Server.Shutdown, then Close.
// For TLS give its Serve a listener of Secure; ListenAndServeTLS works, at a higher price for each message.
// With TLS that server speaks HTTP/2 by itself. Give it an http.HTTP2Config with a
// WriteByteTimeout, as otherwise a connection whose client takes nothing keeps what serves
// its streams until the system gives it up. Limits of connections are for what Serve accepts.
func (s *Server) Handler() http.Handler { return s.handler }

// Check waits for the first message to go through the broker and come back, and
// otherwise returns what is wrong: see [hub.Hub.Check].
func (s *Server) Check(ctx context.Context) error {
	err := s.hub.Check(ctx)
	if err == nil {
		s.notPromised() // logs it
	}
	return err
}

// Close sends away all clients at once, and waits for everything the Server has
// started. It is to be called when no handler runs any more.
func (s *Server) Close() error {
	s.beginDrain()
	ctx, cancel := context.WithTimeout(context.Background(), s.options.WriteTimeout+2*lingerTime)
	defer cancel()
	s.hub.Drain(ctx, 0)
	s.node.Close()
	s.hub.Close()
	for _, t := range s.transports {
		t.Wait()
	}
	s.local.Wait()
	s.sockets.Wait()
	return nil
}
