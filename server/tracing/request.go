package tracing

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
)

// A Route is what makes the spans of the requests for one address.
type Route struct {
	path  string
	spans func(http.Handler) http.Handler
}

// Route returns the Route of an address, such as /publish/{channel}.
func (t *Tracer) Route(path string) *Route {
	return &Route{path, otelhttp.NewMiddleware(path,
		otelhttp.WithTracerProvider(t.provider), otelhttp.WithMeterProvider(noopmetric.NewMeterProvider()), otelhttp.WithPropagators(w3c),
		otelhttp.WithSpanNameFormatter(func(path string, r *http.Request) string { return r.Method + " " + path }),
	)}
}

// Serve has answer answer r, within a span. Answer writes to the ResponseWriter that it gets, as the span is told
// the status, and takes the context for what it does.
func (route *Route) Serve(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter, context.Context)) {
	route.spans(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r.Context()) })).
		ServeHTTP(w, route.shown(r))
}

// shown returns what a span may know of r: see the package. What it has beside is of the connection.
func (route *Route) shown(r *http.Request) *http.Request {
	bare := &http.Request{
		Method: r.Method, URL: new(url.URL), Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		TLS: r.TLS, RemoteAddr: r.RemoteAddr, Pattern: route.path, Header: http.Header{}, Body: http.NoBody,
	}
	if local, known := r.Context().Value(http.LocalAddrContextKey).(net.Addr); known {
		bare.Host = local.String()
	}
	if traceparent := r.Header["Traceparent"]; len(traceparent) == 1 { // of two neither counts, says W3C Trace Context
		bare.Header["Traceparent"] = traceparent
	}
	return bare.WithContext(r.Context())
}
