package tracing

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// A Route is what makes the spans of the requests for one address.
type Route struct {
	path   string
	tracer trace.Tracer
	told   func(http.Handler) http.Handler // tells the span of a request what there is to tell
}

// Route returns the Route of an address, such as /publish/{channel}.
func (t *Tracer) Route(path string) *Route {
	return &Route{path, t.tracer, otelhttp.NewMiddleware(path,
		otelhttp.WithTracerProvider(begun{}), otelhttp.WithMeterProvider(noopmetric.NewMeterProvider()), otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
		otelhttp.WithSpanNameFormatter(func(path string, r *http.Request) string { return r.Method + " " + path }),
	)}
}

// Serve has answer answer r, within a span. Answer writes to the ResponseWriter that it gets, as the span is told
// the status, and takes the context for what it does.
func (route *Route) Serve(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter, context.Context)) {
	ctx, span := route.begin(r)
	if !span.IsRecording() { // here, as to tell a span costs more than to publish
		answer(w, ctx)
		span.End()
		return
	}
	route.told(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r.Context()) })).
		ServeHTTP(w, route.shown(ctx, r))
}

// begin begins the span of r, below that of the caller.
func (route *Route) begin(r *http.Request) (context.Context, trace.Span) {
	ctx := r.Context()
	if traceparent := r.Header["Traceparent"]; len(traceparent) == 1 { // of two neither counts
		ctx = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent[0]})
	}
	return route.tracer.Start(ctx, r.Method+" "+route.path, trace.WithSpanKind(trace.SpanKindServer))
}

// shown returns what a span may know of r: see the package. What it has beside is of the connection.
func (route *Route) shown(ctx context.Context, r *http.Request) *http.Request {
	bare := &http.Request{
		Method: r.Method, URL: new(url.URL), Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		TLS: r.TLS, RemoteAddr: r.RemoteAddr, Pattern: route.path, Header: http.Header{}, Body: http.NoBody,
	}
	if local, known := ctx.Value(http.LocalAddrContextKey).(net.Addr); known {
		bare.Host = local.String()
	}
	return bare.WithContext(ctx)
}
