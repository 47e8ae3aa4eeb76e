package server_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
	"github.com/pregon/pregon/server/tracing"
)

// BenchmarkPublish is what a publication costs beside net/http and the system, by a stranger
// where everybody may, with spans and without, and by a token where 100 rules and limits count. Of its allocations
// the recorder and the request are 22.
func BenchmarkPublish(b *testing.B) {
	kit := tokentest.NewKit(time.Now())
	for _, c := range []struct {
		name, credential string
		access           *access.Policy
		limits           server.Limits
		traceparent      string           // where there are spans
		log              slog.Handler     // of the access log
		sampler          sdktrace.Sampler // of spans without a caller's
	}{
		{name: "open"},
		{name: "access log", log: slog.NewTextHandler(io.Discard, nil)},
		{name: "never sampled", sampler: sdktrace.ParentBased(sdktrace.NeverSample())},
		{name: "not sampled", traceparent: isNotSampled},
		{name: "sampled", traceparent: isSampled},
		{"token", kit.HS256(kit.Claims()), hundredRules(b, kit), server.Limits{PublishRate: access.Rate{Events: 1_000_000, Per: time.Second}}, "", nil, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := memory.New()
			defer m.Close()
			o := server.Options{Broker: m, Access: c.access, Limits: c.limits}
			if c.traceparent != "" {
				o.Tracer = tracing.New(sdktrace.NewTracerProvider())
			}
			if c.sampler != nil {
				o.Tracer = tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSampler(c.sampler)))
			}
			if c.log != nil {
				o.AccessLog = slog.New(c.log)
			}
			s, err := server.New(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			text := strings.Repeat("x", 128)
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/publish/chat", strings.NewReader(text))
				r.Header.Set("Content-Type", "text/plain")
				if c.traceparent != "" {
					r.Header.Set("traceparent", c.traceparent)
				}
				if c.credential != "" {
					r.Header.Set("Authorization", "Bearer "+c.credential)
				}
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// hundredRules is a policy with 100 rules, the last of which is the one that has the channel.
func hundredRules(b *testing.B, kit *tokentest.Kit) *access.Policy {
	verifier, err := token.New([]token.Issuer{{Secret: kit.Secret}}, token.Options{})
	if err != nil {
		b.Fatal(err)
	}
	c := access.Config{Tokens: verifier}
	for i := range 33 {
		c.Rules = append(c.Rules, access.Rule{Channels: []string{fmt.Sprintf("kind%d.**", i)}, Subscribe: access.Anyone},
			access.Rule{Channels: []string{fmt.Sprintf("*.kind%d.*", i)}, Subscribe: access.Grant},
			access.Rule{Channels: []string{fmt.Sprintf("user%d.{sub}", i)}, Subscribe: access.Token})
	}
	c.Rules = append(c.Rules, access.Rule{Channels: []string{"*"}, Subscribe: access.Grant, Publish: access.Grant})
	p, err := access.New(c)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkElsewhere is how long a message takes in a channel with one client, while
// another channel's 200 clients are sent 150 messages of 128 KiB: the median of the
// runs' 99th percentiles. What clients that never read cost the others is the
// difference to the same load with clients that do. Use -benchtime 5x.
func BenchmarkElsewhere(b *testing.B) {
	for _, c := range []struct {
		name   string
		beside func(net.Conn, *bufio.Reader)
	}{
		{"readers", func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }},
		{"never-readers", func(net.Conn, *bufio.Reader) {}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var tails []time.Duration
			for b.Loop() {
				tails = append(tails, elsewhere(b, c.beside))
			}
			slices.Sort(tails)
			b.ReportMetric(float64(tails[len(tails)/2].Microseconds())/1000, "p99-ms")
		})
	}
}

// elsewhere is one run of BenchmarkElsewhere on a server of its own.
func elsewhere(b *testing.B, beside func(net.Conn, *bufio.Reader)) time.Duration {
	const clients, messages, size = 200, 150, 128 << 10
	n := start(b, server.Options{})
	var running sync.WaitGroup
	conns := make([]net.Conn, clients)
	for i := range conns {
		c, r := n.rawWS("/ws/big?format=raw")
		conns[i] = c
		running.Go(func() { beside(c, r) })
	}
	_, r := n.rawWS("/ws/small?format=raw")
	text := strings.Repeat("x", size)
	loaded := make(chan struct{})
	running.Go(func() {
		defer close(loaded)
		for range messages {
			n.publish("big", text)
		}
	})
	took := measure(n, r, loaded)
	for _, c := range conns {
		_ = c.Close()
	}
	running.Wait()
	n.stop()
	slices.Sort(took)
	return took[len(took)*99/100]
}

// measure publishes to small every few milliseconds, while big is loaded and a second
// longer, and returns how long each message took.
func measure(n *node, r io.Reader, loaded <-chan struct{}) (took []time.Duration) {
	const every, longer = 5 * time.Millisecond, time.Second
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for left := longer; left > 0; {
			<-tick.C
			n.publish("small", strconv.FormatInt(time.Now().UnixNano(), 10))
			select {
			case <-loaded:
				left -= every
			default:
			}
		}
		n.publish("small", "end")
	}()
	for {
		_, text := nextFrame(n.t, r)
		at, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return took
		}
		took = append(took, time.Duration(time.Now().UnixNano()-at))
	}
}
