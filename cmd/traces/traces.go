package traces

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pregon/pregon/server/tracing"
)

// endTime is how long the end may take to export what waits.
const endTime = 2 * time.Second

// Start returns a Tracer whose spans are exported as the environment asks, nil where it does not, and a function that
// exports what waits and ends it, to be called once. An error matches ErrVariable where a variable makes no
// sense. Version is that of the program.
func Start(ctx context.Context, version string, log *slog.Logger) (*tracing.Tracer, func(), error) {
	asked, err := isAsked()
	if err != nil || !asked {
		return nil, func() {}, err
	}
	of, err := describe(ctx, version)
	if err != nil {
		return nil, nil, err
	}
	// What the SDK says of itself quotes variables, which may have passwords; what matters is checked before.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	collector, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("export traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(of), sdktrace.WithBatcher(&watched{SpanExporter: collector, log: log}))
	return tracing.New(provider), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		_ = provider.Shutdown(ctx) // that the collector is away is in the log
	}, nil
}

// describe returns what all spans say of this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES beat it.
func describe(ctx context.Context, version string) (*resource.Resource, error) {
	of, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "pregon"), attribute.String("service.version", version), attribute.String("service.instance.id", rand.Text()),
	), resource.WithFromEnv())
	if err != nil {
		return nil, wrong("OTEL_RESOURCE_ATTRIBUTES", "it is no list of name=value with commas between")
	}
	return of, nil
}

// A watched exporter logs when exporting begins to fail, and when it succeeds again.
type watched struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans implements trace.SpanExporter. It is called by one goroutine at a time.
func (w *watched) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := w.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !w.failing.Swap(true):
		w.log.Warn("traces cannot be exported; until they can, spans are dropped", "error", err)
	case err == nil && w.failing.Swap(false):
		w.log.Info("traces are exported again")
	}
	return nil // it has been said
}
