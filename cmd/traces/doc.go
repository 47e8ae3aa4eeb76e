// Package traces exports the spans of a server as the standard variables of OpenTelemetry ask for, over
// OTLP by HTTP.
//
// It is off unless OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp is
// set, and with OTEL_SDK_DISABLED=true in any case. All else is the SDK's: headers, certificates, the sampler,
// the resource, and the bounds of the queue have their standard names and defaults.
//
// The sampler is the SDK's default, too, parentbased_always_on: an operator that sets the endpoint and nothing else expects to
// see something, and a publisher that has decided is obeyed. At many thousand publications per second without a traceparent
// that is too much to export: OTEL_TRACES_SAMPLER=parentbased_always_off leaves the decision to publishers alone.
//
// OTLP over gRPC is not in: it would be a second way to the same collectors, which take both. The SDK and its exporter make
// the program 47 MB, from 37, as it is. What the SDK would only
// log and go without, such as a sampler that it does not have, is an error here, as is all else that
// is wrong with a command line; it names the variable and never the value, which may have a password.
//
// # A collector that is away
//
// Spans wait in a queue of OTEL_BSP_MAX_QUEUE_SIZE (2,048) and are dropped when it is full: nothing
// waits for the collector. The first export that fails is a line in the log, and the next that succeeds another. The
// end waits for the last export at most 2 s.
package traces
