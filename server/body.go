package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/pregon/pregon/transport"
)

// readBody reads at most limit bytes, and nothing of a body that says it has more.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, &transport.Problem{Status: http.StatusUnsupportedMediaType, Code: "encoding_not_supported",
			Detail: "Send the body without a Content-Encoding.", Header: http.Header{"Connection": {"close"}}}
	}
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge()
	case err != nil:
		return nil, &transport.Problem{Status: http.StatusBadRequest, Code: "bad_body",
			Detail: "The body could not be read to its end.", Header: http.Header{"Connection": {"close"}}}
	}
	return body, nil
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
	kind, params, err := mime.ParseMediaType(value)
	charset, given := params["charset"]
	if err != nil || !slices.Contains(known, kind) || given && !strings.EqualFold(charset, "utf-8") {
		return "", &transport.Problem{Status: http.StatusUnsupportedMediaType, Code: "type_not_supported",
			Detail: "Send one of these in UTF-8: " + strings.Join(known, ", ") + "."}
	}
	return kind, nil
}
