package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pregon/pregon/transport"
)

// refusedTime is how long a caller that is refused in any case may take for its body.
const refusedTime = 2 * time.Second

// readBody reads at most limit bytes, and nothing of a body that says it has more.
// What it reads counts among all bodies until r has been answered. Of a caller that is refused
// in any case, verdict being why, it reads what is free, for the sake of the order of answers,
// and returns verdict where there is more, or where that takes long.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, verdict error) ([]byte, error) {
	if verdict == nil || limit <= knownBody {
		return readWhole(w, r, limit)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedTime)) // where there is one to set
	body, err := readWhole(w, r, knownBody)
	if p := saidProblem(err); p != nil && (p.Status == http.StatusRequestEntityTooLarge || p.Status == http.StatusRequestTimeout) {
		if r.ProtoMajor < 2 {
			w.Header().Set("Connection", "close")
		}
		stopReading(w)
		return nil, verdict
	}
	return body, err
}

func readWhole(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, &transport.Problem{Status: http.StatusUnsupportedMediaType, Code: "encoding_not_supported",
			Detail: "Send the body without a Content-Encoding.", Header: http.Header{"Connection": {"close"}}}
	}
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	body, err := readAll(w, r, limit)
	if err == nil {
		return body, nil
	}
	if p := bodyProblem(w, err); p != nil {
		return nil, p
	}
	return nil, incomplete()
}

func incomplete() *transport.Problem {
	return &transport.Problem{Status: http.StatusBadRequest, Code: "bad_body",
		Detail: "The body could not be read to its end.", Header: http.Header{"Connection": {"close"}}}
}

// bodyProblem returns the answer to a body that could not be read because of err, nil
// where err has another cause, or there is none.
func bodyProblem(w http.ResponseWriter, err error) *transport.Problem {
	over := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &over):
		return tooLarge()
	case errors.Is(err, errBodies):
		stopReading(w)
		return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "too_many_bodies", RetryAfter: 1,
			Detail: "This server is reading as many long bodies as it takes; try again.", Header: http.Header{"Connection": {"close"}}}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &transport.Problem{Status: http.StatusRequestTimeout, Code: "body_too_slow",
			Detail: "The body did not come to its end in time.", Header: http.Header{"Connection": {"close"}}}
	}
	return nil
}

// knownBody is the longest body for which memory is set aside before it comes, on
// the word of a client.
const knownBody = 16 << 10

// readAll is io.ReadAll with a limit, and with one allocation for a short body
// that says how long it is.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > min(limit, knownBody) {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

func tooLarge() *transport.Problem {
	return &transport.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
		Detail: "The body is longer than this server takes.", Header: http.Header{"Connection": {"close"}}}
}

// Types of bodies, text/plain standing for none.
var (
	messageTypes = []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"}
	batchTypes   = []string{"application/json", "application/x-ndjson", "application/jsonl"}
)

// mediaType returns the Content-Type without parameters, which must be one of
// known.
func mediaType(h http.Header, known []string) (string, error) {
	value := h.Get("Content-Type")
	if value == "" {
		value = "text/plain"
	}
	if slices.Contains(known, value) {
		return value, nil // as nearly everybody writes it
	}
	kind, params, err := mime.ParseMediaType(value)
	charset, given := params["charset"]
	if err != nil || !slices.Contains(known, kind) || given && !isUTF8(charset) {
		return "", &transport.Problem{Status: http.StatusUnsupportedMediaType, Code: "type_not_supported",
			Detail: "Send one of these in UTF-8: " + strings.Join(known, ", ") + "."}
	}
	return kind, nil
}

// isUTF8 reports whether a charset is UTF-8, by its name or the one that many write, or
// a part of it.
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8") || strings.EqualFold(charset, "us-ascii")
}
