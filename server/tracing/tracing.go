package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
)

// scope is what all spans say they come from.
const scope = "github.com/pregon/pregon/server"

// Attributes by the semantic conventions of messaging, and two of our own.
const (
	system        = attribute.Key("messaging.system")
	operation     = attribute.Key("messaging.operation.name")
	operationType = attribute.Key("messaging.operation.type")
	destination   = attribute.Key("messaging.destination.name")
	batchCount    = attribute.Key("messaging.batch.message_count")
	bodySize      = attribute.Key("messaging.message.body.size")
	failed        = attribute.Key("pregon.failed")      // messages of a publication
	subscribers   = attribute.Key("pregon.subscribers") // that were handed a message
)

// A Tracer makes the spans of one server. The nil Tracer makes none.
type Tracer struct {
	tracer trace.Tracer
}

// New returns a Tracer whose spans are p's. The caller shuts p down after the server has
// been closed. It returns nil for nil.
func New(p trace.TracerProvider) *Tracer {
	if p == nil {
		return nil
	}
	return &Tracer{tracer: p.Tracer(scope)}
}

// w3c reads and writes traceparent.
var w3c propagation.TraceContext

// Publishing begins the span of a publication, and writes it into ms where it is sampled. The caller calls the
// function with what became of them. It is for node.Options.
func (t *Tracer) Publishing(ctx context.Context, ms []broker.Message) (context.Context, func([]broker.Result)) {
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() && !parent.IsSampled() && !parent.IsRemote() {
		return ctx, func([]broker.Result) {} // it was decided for the request
	}
	ctx, span := t.tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer))
	if !span.IsRecording() {
		return ctx, func([]broker.Result) { span.End() }
	}
	span.SetAttributes(publication(ms)...)
	if text := traceparentOf(ctx); text != "" {
		for i := range ms {
			ms[i].Traceparent = text
		}
	}
	return ctx, func(results []broker.Result) {
		if n := failures(results); n > 0 {
			span.SetAttributes(failed.Int(n))
			span.SetStatus(codes.Error, "") // what an error says may be anything
		}
		span.End()
	}
}

// publication returns what a span says of ms. The channel is that of all of them, if it is one.
func publication(ms []broker.Message) []attribute.KeyValue {
	size, one := 0, true
	for _, m := range ms {
		size += len(m.Data)
		one = one && m.Channel == ms[0].Channel
	}
	attributes := []attribute.KeyValue{
		system.String("pregon"), operation.String("publish"), operationType.String("send"), bodySize.Int(size),
	}
	if len(ms) > 1 {
		attributes = append(attributes, batchCount.Int(len(ms)))
	}
	if one && len(ms) > 0 {
		attributes = append(attributes, destination.String(ms[0].Channel))
	}
	return attributes
}

func failures(results []broker.Result) (n int) {
	for _, r := range results {
		if r.Err != nil {
			n++
		}
	}
	return n
}

// traceparentOf returns the header of the span of ctx, empty where it is not sampled.
func traceparentOf(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Delivered makes the span of a delivery. It is for hub.Options.
func (t *Tracer) Delivered(d hub.Delivery) {
	parent := w3c.Extract(context.Background(), propagation.MapCarrier{"traceparent": d.Traceparent})
	_, span := t.tracer.Start(parent, "deliver", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(d.Received))
	if span.IsRecording() {
		span.SetAttributes(
			system.String("pregon"), operation.String("deliver"), operationType.String("process"),
			destination.String(d.Channel), subscribers.Int(d.Subscribers),
		)
		span.AddEvent("first write", trace.WithTimestamp(d.First))
		span.AddEvent("last write", trace.WithTimestamp(d.Last))
	}
	span.End(trace.WithTimestamp(d.Last))
}
