// Package server puts a broker, the hub and the transports behind HTTP.
//
//	POST /publish/{channel}    publish a message
//	POST /publish              publish a batch, or to many channels (?channel=a&channel=b)
//	GET  /ws/{channel}         listen over WebSocket   (/ws?channel=a&channel=b)
//	GET  /sse/{channel}        listen to an event stream, likewise
//	GET  /history/{channel}    read what was published, or wait for the next
//	DELETE /history/{channel}  forget what was published
//	GET  /healthz              the process lives
//	GET  /readyz               messages go through the broker and come back
//	GET  /metrics              figures, for Prometheus
//	GET  /                     a page to try it all
//
// Errors are problem details (RFC 9457), see [transport.Problem]; only what
// net/http refuses before a request exists is answered in its own words.
//
// This is the one package that knows Echo. Whatever serves a request takes plain
// net/http; routes.go maps the one to the other.
//
// # One door
//
// Routes and Transports do nothing with channels but through the [transport.Client] of
// the request, which package node makes. The hub itself is here for what concerns no
// channel: readiness, figures, draining.
//
// # Credentials
//
// A credential is looked for once, ahead of everything that a caller can make long: in
// Authorization, among the subprotocols, as ?token= and in a cookie, which counts only for pages
// that may have it. From then on Transports, hooks and the log do not get
// to see it: a Transport has the request without it. Answers come in a fixed order: what is wrong with the form of a
// request, 401, 403, and then all else, so that a stranger learns nothing of what there is. The
// transport decides nothing of this: its Client has the caller, and package node asks the policy.
// The server asks it first only to have an answer before anything has begun.
//
// What may change while the server runs is one value, which a request takes once: see
// [Server.Reload].
//
// # Life
//
// [New] starts the hub, [Server.Serve] serves until its context ends and then
// drains: readiness turns red, new listeners are refused, those there are told
// to come back, spread over Options.DrainTime. [Server.Close] ends the rest and
// waits for every goroutine. A Server may be used without Serve: [Server.Handler]
// is an http.Handler, and [Server.Drain] comes before the end of what serves it.
package server
