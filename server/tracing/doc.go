// Package tracing makes spans of OpenTelemetry of what a node does. Below the command line it is the only
// package that knows OpenTelemetry, and it knows the API alone: what becomes of spans is for the
// TracerProvider that a program gives.
//
//	POST /publish/{channel}     server span, of the requests that publish, read histories and members
//	└─ publish                  from the node to the broker's answer
//	   └─ deliver               of each node, one for each of its workers that has subscribers
//
// # Which spans
//
// Requests have spans where they are answered in bounded time. The routes of transports have none: a
// WebSocket or an event stream that is open for hours would be a span of hours. Their publications have, and a
// publication outside a request begins a trace of its own.
//
// A batch is one publish span, not one for each message, and all its messages are delivered as children of it:
// 10,000 spans would say no more.
//
// A deliver span is made when all is over, from the times that the hub has noted ([hub.Delivery]). So the path of a
// message has no object of OpenTelemetry in it, one whose worker ends early leaves nothing behind, and the
// times of a span are those of one clock. It begins when the message's turn came, and has the events "first write" and "last write".
// Clients that are fed from the history at their own pace are in no span.
//
// # The trace of a message
//
// The publish span goes with the message (broker.Message.Traceparent) where it is sampled, and only there, so that
// what is not traced costs no byte. Whether it is sampled is the publisher's decision, made in
// its header traceparent, as long as the provider's sampler respects parents, as OpenTelemetry's own
// does. A request without the header is the provider's to decide. The header tracestate is neither read nor carried on.
//
// # What is in no span
//
// Credentials, subjects, idempotency keys, messages, and what errors say. It cannot get there: what makes the span of a
// request gets a request of its own, which has the route and not the path, no query, no Host, and of all headers
// only traceparent. The names of channels are there, as one cannot find a message without; a deployment that
// puts the subject into the names of channels has it there.
//
// # Cost
//
// A nil [Tracer] is off: nothing is wrapped, no clock is read and nothing is allocated. A request that is not sampled costs
// the decision. otelhttp, which gathers what a span says of a request before it asks, and figures that nobody reads,
// would cost some 50 allocations and about the time of the publication itself: it is called only where the span is recorded.
//
// # Concurrency
//
// All methods may be called concurrently. The package starts no goroutine.
package tracing
