package transport

import "net/http"

// A Router is a Transport with addresses of its own below its name, beside /{name} and
// /{name}/{channel}, at which clients listen by Serve.
//
// The server treats requests to them like all others: hosts and origins are checked, callers
// found out, whose credentials Serve does not see, the bytes of bodies bounded, and what a Route returns is answered as a problem.
type Router interface {
	Transport
	// Routes returns them. It is called once, by server.New, which refuses a Route that
	// is not valid or is there twice.
	Routes() []Route
}

// A Route is an address below a Transport's name and one method that it takes.
type Route struct {
	// Method is in upper case. OPTIONS, which the server answers, is not among them.
	Method string

	// Path is what follows /{name} in the address: nothing, or parts that begin with a
	// slash, of which the last may be * for any rest. A Route with GET and no path, or /*,
	// takes the place of the address at which clients listen by Serve, and one with
	// another path that of the channel of that name.
	Path string

	// Listens says that clients listen here: no more are let in when the server drains or
	// has as many as it takes, and a Retrier is asked what to answer.
	Listens bool

	// Serve answers r, whose caller may do what c does. Where it returns an error it has
	// written nothing; a *Problem says what to answer. A body ends with an error beyond
	// the length of the longest batch, to be returned as it is. Paths are as the client
	// wrote them: broker.ParseChannel takes a channel out of r.URL.EscapedPath.
	Serve func(w http.ResponseWriter, r *http.Request, c Client) error
}
