package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/pregon/pregon/client"
)

var (
	clientModule = newModule("text/javascript", client.Module)
	clientTypes  = newModule("text/plain", client.Types) // TypeScript has no media type
)

// A module is a part of the client, which pages of any origin may load: there is nothing secret in it.
type module struct {
	kind    string // media type
	tag     string // ETag
	content []byte
}

func newModule(kind string, content []byte) *module {
	sum := sha256.Sum256(content)
	return &module{kind: kind + "; charset=utf-8", tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, content: content}
}

// serve answers with the module. Browsers keep it, and ask each time whether it is still the one.
func (m *module) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", m.kind)
	h.Set("ETag", m.tag)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(m.content))
	return nil
}
