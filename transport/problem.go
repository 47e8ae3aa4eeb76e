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
}

// Error implements error.
func (p *Problem) Error() string { return strconv.Itoa(p.Status) + " " + p.Code + ": " + p.Detail }

// ServeHTTP writes the answer.
func (p *Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	for name, values := range p.Header {
		h[name] = values
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(p.Status), p.Status, p.Code, p.Detail})
	if err == nil {
		_, _ = w.Write(append(body, '\n')) // a client that has gone is no error of ours
	}
}
