package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/tracing"
	"github.com/pregon/pregon/transport"
)

const (
	traceID       = "0af7651916cd43dd8448eb211c80319c"
	publisherSpan = "b7ad6b7169203331"
	isSampled     = "00-" + traceID + "-" + publisherSpan + "-01"
	isNotSampled  = "00-" + traceID + "-" + publisherSpan + "-00"
)

// Spans are those that have ended, in that order.
type spans chan sdktrace.ReadOnlySpan

func (s spans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (s spans) OnEnd(span sdktrace.ReadOnlySpan)                { s <- span }
func (s spans) Shutdown(context.Context) error                  { return nil }
func (s spans) ForceFlush(context.Context) error                { return nil }

// newTracer returns a Tracer as a program makes it that says nothing of sampling, and its spans.
func newTracer() (*tracing.Tracer, spans) {
	ended := make(spans, 1000)
	return tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(ended))), ended
}

// next returns the next span.
func (s spans) next(t *testing.T) sdktrace.ReadOnlySpan {
	t.Helper()
	select {
	case span := <-s:
		return span
	case <-time.After(patience):
		t.Fatal("there is no span")
		return nil
	}
}

// attributeOf returns the text of an attribute.
func attributeOf(span sdktrace.ReadOnlySpan, key string) string {
	for _, a := range span.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return "none"
}

// postIn makes a request with a traceparent.
func (n *node) postIn(path, traceparent, body string) int {
	n.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+n.addr+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	if traceparent != "" {
		r.Header.Set("traceparent", traceparent)
	}
	r.Header.Set("Content-Type", map[bool]string{true: "application/json", false: "text/plain"}[strings.HasPrefix(body, "[")])
	response, err := n.client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// One trace leads from the publisher through its node and the broker to the sockets of every node, with
// a history and without.
func TestTraceOfAPublication(t *testing.T) {
	for _, history := range []string{"", "?history=1m"} {
		t.Run("on redis://"+history, func(t *testing.T) {
			redis := redistest.Start(t)
			tracer, here := newTracer()
			one := start(t, server.Options{Broker: open(t, redis.URL()+history), Tracer: tracer})
			tracer, there := newTracer()
			two := start(t, server.Options{Broker: open(t, redis.URL()+history), Tracer: tracer})
			one.ws("/ws/chat")
			two.ws("/ws/chat")
			two.ws("/ws/chat?format=json")
			if status := one.postIn("/publish/chat?message=hola", isSampled, ""); status != http.StatusOK {
				t.Fatal(status)
			}
			byName := map[string]sdktrace.ReadOnlySpan{}
			for range 3 { // delivering may end before the answer does
				span := here.next(t)
				byName[span.Name()] = span
			}
			request, publish, deliver := byName["POST /publish/{channel}"], byName["publish"], byName["deliver"]
			if request == nil || publish == nil || deliver == nil {
				t.Fatalf("the spans are %v", byName)
			}
			checkChild(t, request, publisherSpan)
			checkChild(t, publish, request.SpanContext().SpanID().String())
			checkChild(t, deliver, publish.SpanContext().SpanID().String())
			if route, status := attributeOf(request, "http.route"), attributeOf(request, "http.response.status_code"); route != "/publish/{channel}" || status != "200" {
				t.Errorf("the request is of %s and has the status %s", route, status)
			}
			if channel := attributeOf(publish, "messaging.destination.name"); channel != "chat" {
				t.Errorf("published in %q", channel)
			}
			heard := 0
			for heard < 2 {
				span := there.next(t)
				checkDelivery(t, span)
				checkChild(t, span, publish.SpanContext().SpanID().String())
				var n int
				_, _ = fmt.Sscan(attributeOf(span, "pregon.subscribers"), &n)
				heard += n
			}
			checkDelivery(t, deliver)
		})
	}
}

// checkChild checks that a span is in the publisher's trace, and below parent.
func checkChild(t *testing.T, span sdktrace.ReadOnlySpan, parent string) {
	t.Helper()
	if got := span.SpanContext().TraceID().String(); got != traceID {
		t.Errorf("%s is in the trace %s, want %s", span.Name(), got, traceID)
	}
	if got := span.Parent().SpanID().String(); got != parent {
		t.Errorf("%s is below %s, want %s", span.Name(), got, parent)
	}
}

// checkDelivery checks what a delivery says of itself.
func checkDelivery(t *testing.T, span sdktrace.ReadOnlySpan) {
	t.Helper()
	events := span.Events()
	if span.Name() != "deliver" || attributeOf(span, "messaging.destination.name") != "chat" || len(events) != 2 {
		t.Fatalf("%s %v has the events %v", span.Name(), span.Attributes(), events)
	}
	times := []time.Time{span.StartTime(), events[0].Time, events[1].Time, span.EndTime()}
	if events[0].Name != "first write" || events[1].Name != "last write" || !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Errorf("%s, %s at %v", events[0].Name, events[1].Name, times)
	}
}

// Sampling is the publisher's decision: where it has said no there is no span and nothing goes with the
// message; what makes no sense is no decision, and begins another trace.
func TestTheTracePublisherDecides(t *testing.T) {
	for _, c := range []struct {
		name, traceparent string
		sampled           bool
	}{
		{"sampled", isSampled, true},
		{"not sampled", isNotSampled, false},
		{"none", "", true},
		{"no traceparent", "00-" + strings.Repeat("0", 32) + "-" + publisherSpan + "-00", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := memory.New()
			t.Cleanup(func() { _ = b.Close() })
			feed, err := b.Feed(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = feed.Close() })
			if err := feed.Subscribe(t.Context(), "chat"); err != nil {
				t.Fatal(err)
			}
			tracer, ended := newTracer()
			n := start(t, server.Options{Broker: b, Tracer: tracer})
			n.ws("/ws/chat")
			n.postIn("/publish/chat", c.traceparent, "hola")
			m, err := feed.Next()
			if err != nil || (m.Traceparent != "") != c.sampled {
				t.Errorf("%q goes with the message, %v", m.Traceparent, err)
			}
			n.stop()
			if (len(ended) == 3) != c.sampled || !c.sampled && len(ended) > 0 {
				t.Errorf("there are %d spans", len(ended))
			}
			if strings.Contains(m.Traceparent, traceID) != (c.name == "sampled") {
				t.Errorf("the trace is %q", m.Traceparent)
			}
		})
	}
}

// Nobody but the server says which trace a message is in: neither a program that publishes nor its hook.
func TestTracesAreNotBelieved(t *testing.T) {
	b := memory.New()
	t.Cleanup(func() { _ = b.Close() })
	feed, err := b.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = feed.Close() })
	if err := feed.Subscribe(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	n := start(t, server.Options{Broker: b, Hooks: server.Hooks{
		OnPublish: func(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
			m.Traceparent = isSampled
			return m, nil
		},
	}})
	m := broker.Message{Channel: "chat", Data: []byte("hola"), Traceparent: isSampled}
	for _, result := range n.server.Publish(t.Context(), m, m) {
		if heard, err := feed.Next(); result.Err != nil || err != nil || heard.Traceparent != "" {
			t.Errorf("a message is in the trace %q, %v, %v", heard.Traceparent, result.Err, err)
		}
	}
}

// A batch is one span, and its messages are delivered below it.
func TestTraceOfABatch(t *testing.T) {
	tracer, ended := newTracer()
	n := start(t, server.Options{Tracer: tracer})
	n.ws("/ws/a")
	n.postIn("/publish", isSampled, `[{"channel":"a","data":"1"},{"channel":"b","data":"2"},{"channel":"a","data":"3"}]`)
	n.stop()
	close(ended)
	names := map[string]int{}
	for span := range ended {
		names[span.Name()]++
		if span.Name() == "publish" && (attributeOf(span, "messaging.batch.message_count") != "3" || attributeOf(span, "messaging.destination.name") != "none") {
			t.Errorf("the batch has %v", span.Attributes())
		}
	}
	if fmt.Sprint(names) != "map[POST /publish:1 deliver:2 publish:1]" {
		t.Errorf("the spans are %v", names)
	}
}

// What is published over /live is a trace of its own: its handshake, which may be hours ago, is in none.
func TestTraceOfAConversation(t *testing.T) {
	tracer, ended := newTracer()
	n := start(t, server.Options{Tracer: tracer})
	c := n.ws("/live/chat")
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"publish","ref":1,"channel":"chat","data":"hola"}`)); err != nil {
		t.Fatal(err)
	}
	spans := map[string]sdktrace.ReadOnlySpan{}
	for range 2 {
		span := ended.next(t)
		spans[span.Name()] = span
	}
	publish, deliver := spans["publish"], spans["deliver"]
	if publish == nil || deliver == nil || publish.Parent().IsValid() || deliver.Parent().SpanID() != publish.SpanContext().SpanID() {
		t.Errorf("the spans are %v", spans)
	}
}

// A request that is refused is in its span with the status of the answer, and one that the broker fails with
// an error; what the error says is not.
func TestTraceOfAFailure(t *testing.T) {
	b := memory.New()
	tracer, ended := newTracer()
	n := start(t, server.Options{Broker: b, Tracer: tracer})
	if status := n.postIn("/publish/__x?message=secreto", isSampled, ""); status != http.StatusForbidden {
		t.Fatal(status)
	}
	if span := ended.next(t); attributeOf(span, "http.response.status_code") != "403" {
		t.Errorf("refused with %v", span.Attributes())
	}
	_ = b.Close()
	status := n.postIn("/publish/chat?message=secreto", isSampled, "")
	publish, request := ended.next(t), ended.next(t)
	if publish.Name() != "publish" || publish.Status().Code != codes.Error || attributeOf(publish, "pregon.failed") != "1" {
		t.Errorf("%s has failed with %v, %v", publish.Name(), publish.Status(), publish.Attributes())
	}
	if attributeOf(request, "http.response.status_code") != fmt.Sprint(status) || status < 500 {
		t.Errorf("answered with %d, and in the span %v", status, request.Attributes())
	}
	for _, span := range []sdktrace.ReadOnlySpan{publish, request} {
		if all := fmt.Sprintf("%+v", span); strings.Contains(all, "secreto") || len(span.Events()) > 0 {
			t.Errorf("%s says too much: %s", span.Name(), all)
		}
	}
}

// What may last for hours is in no span, nor are probes.
func TestListeningIsNotTraced(t *testing.T) {
	tracer, ended := newTracer()
	n := start(t, server.Options{Tracer: tracer})
	n.ws("/ws/chat")
	n.ws("/live")
	n.get("/healthz")
	n.stop()
	close(ended)
	for span := range ended {
		t.Errorf("there is a span %s", span.Name())
	}
}
