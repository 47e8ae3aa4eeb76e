package tracing

import (
	"context"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// begun is the TracerProvider of otelhttp. It begins no span, but gives it the one that the context has, so
// that a request which is not sampled need not come by it.
type begun struct{ embedded.TracerProvider }

// Tracer implements trace.TracerProvider.
func (begun) Tracer(string, ...trace.TracerOption) trace.Tracer { return begunTracer{} }

type begunTracer struct{ embedded.Tracer }

// Start implements trace.Tracer.
func (begunTracer) Start(ctx context.Context, _ string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	span := trace.SpanFromContext(ctx)
	config := trace.NewSpanStartConfig(options...)
	span.SetAttributes(config.Attributes()...)
	return ctx, span
}
