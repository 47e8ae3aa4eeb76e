package transport

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// A Problem is an error answer to an HTTP request: an object of problem details
// as in RFC 9457, with a code for programs. It never contains the caller's input.
type Problem struct {
	Status     int         // HTTP status
	Code       string      // stable, for programs: bad_channel, too_large …
	Detail     string      // one sentence for people
	RetryAfter int         // seconds; 0 for none
	Header     http.Header // further headers, may be nil
	Request    string      // names the request in the server's log; the server sets it

	// Extensions are further members of the object (RFC 9457, section 3.2).
	// They must encode as JSON and not repeat the names of the others.
	Extensions map[string]any
}

// Error implements error.
func (p *Problem) Error() string { return strconv.Itoa(p.Status) + " " + p.Code + ": " + p.Detail }

// ServeHTTP writes the answer. A Connection header is for HTTP/1 only: over HTTP/2 the connection
// is not this request's alone.
func (p *Problem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range p.Header {
		if name != "Connection" || r.ProtoMajor < 2 {
			h[name] = values
		}
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	if body, err := p.body(); err == nil {
		_, _ = w.Write(append(body, '\n')) // a client that has gone is no error of ours
	}
}

// body returns the object, the extensions last.
func (p *Problem) body() ([]byte, error) {
	body, err := json.Marshal(struct {
		Type    string `json:"type"`
		Title   string `json:"title"`
		Status  int    `json:"status"`
		Code    string `json:"code"`
		Detail  string `json:"detail"`
		Request string `json:"request,omitempty"`
	}{"about:blank", http.StatusText(p.Status), p.Status, p.Code, p.Detail, p.Request})
	if err != nil || len(p.Extensions) == 0 {
		return body, err
	}
	more, err := json.Marshal(p.Extensions)
	if err != nil {
		return body, nil // the answer matters more than its extensions
	}
	return append(append(body[:len(body)-1], ','), more[1:]...), nil
}
