package transporttest_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/transporttest"
	"github.com/pregon/pregon/transport/ws"
)

// A correct protocol passes, as the tests of ws and sse show; here are those that must
// not. Each is ws but for one fault.

// A fault is a way to break a correct Transport.
type fault struct {
	name    string
	cases   []string // that must find it
	says    string   // a part of what they say; nothing where that is only that something did not come
	corrupt func(*broken)
}

var faults = []fault{
	{"answers-before-the-broker", []string{"OpenMeansSubscribed", "Refused"}, "before the broker", subscribesLater},
	{"says-nothing-of-errors", []string{"Refused"}, "Serve returned nil", forgetsErrors},
	{"other-errors", []string{"Refused"}, "does not wrap", rewordsErrors},
	{"ignores-the-request's-context", []string{"GoneBeforeAnswer"}, "time was up", ignoresContext},
	{"joins-before-it-looks", []string{"HiddenHijack"}, "only once a session had joined", joinsFirst},
	{"answers-no-Problem", []string{"HiddenHijack"}, "is no Problem", rewordsErrors},
	{"binary-is-text", []string{"Payloads"}, "binary", onMessage(func(m *broker.Message) { m.Binary = false })},
	{"trims", []string{"Payloads"}, "was heard as", onMessage(func(m *broker.Message) { m.Data = []byte(strings.TrimSpace(string(m.Data))) })},
	{"raw-whatever-is-asked", []string{"Payloads", "Order"}, "", oneFormat("raw")},
	{"drops-some", []string{"Order"}, "heard", dropsSome},
	{"doubles", []string{"Order", "Payloads", "OwnChannels", "Last"}, "", doubles},
	{"reorders", []string{"Order"}, "heard", reorders},
	{"wrong-channel", []string{"OwnChannels"}, "", onMessage(func(m *broker.Message) { m.Channel = "c" })},
	{"subscribes-the-first-channel", []string{"OwnChannels", "Order", "OneDoor"}, "", subscribesFirstOnly},
	{"subscribes-one-more", []string{"OwnChannels", "OneDoor"}, "", subscribesMore},
	{"an-encoding-for-each", []string{"OneEncodingPerFormat"}, "different Encodings", encodingForEach},
	{"reuses-memory", []string{"OneEncodingPerFormat"}, "has changed", reusesMemory},
	{"swallows-gaps", []string{"Gaps", "SlowTold"}, "", func(b *broken) {
		b.gap = func(transport.Encoding, transport.Gap) []byte { return nothing }
	}},
	{"gaps-without-a-reason", []string{"Gaps"}, "no reason", func(b *broken) {
		b.gap = func(e transport.Encoding, g transport.Gap) []byte { g.Reason = ""; return e.Gap(g) }
	}},
	{"gaps-of-another-channel", []string{"Gaps"}, "", func(b *broken) {
		b.gap = func(e transport.Encoding, g transport.Gap) []byte { g.Channel = "b"; return e.Gap(g) }
	}},
	{"one-code-for-all", []string{"CloseReasons", "Denied", "Gaps", "NotRecovered", "SlowClosed"}, "ended with code 1001", func(b *broken) {
		b.close = func(c transport.Control, _ transport.CloseReason) []byte { return c.Close(transport.CloseShutdown) }
	}},
	{"closes-without-a-word", []string{"CloseReasons", "Draining"}, "has ended with", func(b *broken) {
		b.close = func(transport.Control, transport.CloseReason) []byte { return nil }
	}},
	{"no-verdicts", []string{"NotRecovered"}, "not that it was not recovered", onAnswers(noAnswers)},
	{"always-recovered", []string{"NotRecovered"}, "not that it was not recovered", onAnswers(alwaysRecovered)},
	{"never-recovered", []string{"Recovered"}, "", onAnswers(neverRecovered)},
	{"verdict-with-another-cursor", []string{"Recovered"}, "behind another message", onAnswers(func(answer func(transport.Subscribed) ([]byte, bool), s transport.Subscribed) ([]byte, bool) {
		s.Position.Seq++
		return answer(s)
	})},
	{"ignores-starts", []string{"Recovered", "Last"}, "another start", onStarts(func(s *transport.Start) { *s = transport.Start{} })},
	{"one-less", []string{"Last"}, "another start", onStarts(func(s *transport.Start) { s.Last = max(0, s.Last-1) })},
	{"other-cursors", []string{"Recovered"}, "cursor of another", onMessage(func(m *broker.Message) { m.Position.Seq++ })},
	{"unbounded", []string{"SlowClosed", "SlowTold"}, "wait for a client", unbounded},
	{"no-pings", []string{"Pings"}, "no bytes", func(b *broken) { b.ping = func(transport.Control) []byte { return nil } }},
	{"pings-are-messages", []string{"Pings"}, "", func(b *broken) {
		b.ping = func(transport.Control) []byte { return []byte("\x81\x04ping") }
	}},
	{"never-touches", []string{"Pings"}, "Touch was not called", func(b *broken) { b.touch = func(transport.Session) {} }},
	{"waits-for-nobody", []string{"Draining"}, "Wait has returned", func(b *broken) { b.wait = func() {} }},
	{"waits-for-ever", []string{"Draining", "ClientGoes"}, "did not return", func(b *broken) { b.wait = func() { select {} } }},
	{"never-leaves", []string{"ClientGoes", "Draining"}, "did not leave", func(b *broken) { b.leave = func(transport.Session) {} }},
	{"never-closes", []string{"ClientGoes"}, "", neverCloses},
	{"serves-for-life", []string{"ClientGoes"}, "taken over", stays},
	{"one-at-a-time", []string{"ConcurrentClients", "OwnChannels"}, "", servesOne},
	{"one-client-for-all", []string{"OneDoor"}, "for a second time", oneClient},
	{"keeps-a-client", []string{"OneDoor"}, "after the connection", keepsClient},
	{"publishes", []string{"OneDoor"}, "Publish was called", publishes},
	{"reads-elsewhere", []string{"OneDoor"}, "Newest was called", reads},
}

// formatOf is the format in which a fault shows, where that is not json.
var formatOf = map[string]string{"one-code-for-all": "text"}

var chosen = flag.String("fault", "", "run the suite on the protocol with this fault, as TestFaults does in processes of its own")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the suite on what corrupt makes of ws, in some formats.
func run(t *testing.T, corrupt func(*broken), formats ...string) {
	transporttest.Run(t, transporttest.Protocol{
		New: func(env transport.Deps) (transport.Transport, error) {
			b := &broken{env: env, encodings: map[transport.Encoding]*brokenEncoding{}}
			corrupt(b)
			b.Transport = ws.New(b.env)
			return b, nil
		},
		Dial:    dial,
		Formats: formats,
		Closes: map[transport.CloseReason]string{
			transport.CloseShutdown: "1001", transport.CloseGap: "4001", transport.CloseIdle: "4002",
			transport.CloseUnrecovered: "4003", transport.CloseSlow: "4008", transport.CloseDenied: "4100",
			transport.CloseExpired: "4009", transport.CloseForbidden: "4100", transport.CloseLimit: "4010",
		},
	})
}

func dial(ctx context.Context, url string, format transport.Format) (transporttest.Conn, error) {
	connected := func() bool { return true }
	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			connected = context.AfterFunc(ctx, func() { _ = c.Close() })
		}
		return c, err
	}}
	c, _, err := dialer.DialContext(ctx, strings.Replace(url, "http", "ws", 1), nil)
	connected()
	if err != nil {
		return nil, err
	}
	return client{c, format}, nil
}

type client struct {
	*websocket.Conn
	format transport.Format
}

func (c client) Next() (transporttest.Event, error) {
	kind, payload, err := c.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return transporttest.Event{}, &transporttest.End{Code: strconv.Itoa(closed.Code)}
	case err != nil:
		return transporttest.Event{}, err
	}
	return transporttest.Decode(c.format, payload, kind == websocket.BinaryMessage)
}

// What the faults are put into passes as long as there is none.
func TestWithoutFault(t *testing.T) {
	t.Parallel()
	run(t, func(*broken) {})
}

// Every fault is found by the cases that are there for it, which print their rule.
func TestFaults(t *testing.T) {
	if *chosen != "" {
		transporttest.SetGuard(time.Second)
		for _, f := range faults {
			if f.name == *chosen {
				run(t, f.corrupt, cmp.Or(formatOf[f.name], "json"))
			}
		}
		return
	}
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, os.Args[0], "-fault="+f.name, "-test.run=^TestFaults$/^("+strings.Join(f.cases, "|")+")$").CombinedOutput()
			text := string(out)
			for _, name := range f.cases {
				if err == nil || !strings.Contains(text, "--- FAIL: TestFaults/"+name+" ") {
					t.Errorf("%s did not find the fault", name)
				}
			}
			if !strings.Contains(text, "rule: ") || !strings.Contains(text, f.says) {
				t.Errorf("no case says %q", f.says)
			}
			if t.Failed() {
				t.Logf("%v\n%s", err, out)
			}
		})
	}
}

// No rule is without a fault that shows that it is tested.
func TestEveryRuleHasAFault(t *testing.T) {
	t.Parallel()
	for _, name := range transporttest.Cases() {
		finds := func(f fault) bool { return slices.Contains(f.cases, name) }
		if !slices.ContainsFunc(faults, finds) {
			t.Errorf("%s has none", name)
		}
	}
}
