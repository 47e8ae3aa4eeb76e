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
	path    string
	name    string // of its spans
	options []trace.SpanStartOption
	tracer  trace.Tracer
	told    func(http.Handler) http.Handler // tells the span of a request what there is to tell
}

// Route returns the Route of a method and an address, such as /publish/{channel}.
func (t *Tracer) Route(method, path string) *Route {
	name, kind := method+" "+path, []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	return &Route{path, name, kind, t.tracer, otelhttp.NewMiddleware(path,
		otelhttp.WithTracerProvider(begun{}), otelhttp.WithMeterProvider(noopmetric.NewMeterProvider()), otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name }),
	)}
}

// Begin begins the span of r, below that of the caller, and returns the context for what r asks for. Where it is recorded,
// r is to be answered by Serve. Where it is not there is nothing to be told, which would cost more than to publish.
func (route *Route) Begin(r *http.Request) (ctx context.Context, recorded bool) {
	ctx = r.Context()
	if traceparent := r.Header["Traceparent"]; len(traceparent) == 1 { // of two neither counts
		ctx = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent[0]})
	}
	ctx, span := route.tracer.Start(ctx, route.name, route.options...)
	if recorded = span.IsRecording(); !recorded {
		span.End() // which has no effect but for a provider that wants it
	}
	return ctx, recorded
}

// Serve has answer answer r, which has the context of Begin, and ends its span. Answer writes to the ResponseWriter that it
// gets, as the span is told the status, and takes the context for what it does.
func (route *Route) Serve(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter, context.Context)) {
	route.told(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r.Context()) })).
		ServeHTTP(w, route.shown(r))
}

// shown returns what a span may know of r: see the package. What it has beside is of the connection.
func (route *Route) shown(r *http.Request) *http.Request {
	bare := &http.Request{
		Method: r.Method, URL: new(url.URL), Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		TLS: r.TLS, RemoteAddr: r.RemoteAddr, Pattern: route.path, Header: http.Header{}, Body: http.NoBody,
	}
	ctx := r.Context()
	if local, known := ctx.Value(http.LocalAddrContextKey).(net.Addr); known {
		bare.Host = local.String()
	}
	return bare.WithContext(ctx)
}
