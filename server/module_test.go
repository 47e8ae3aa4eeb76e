package server_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/pregon/pregon/client"
	"github.com/pregon/pregon/server"
)

// The server has the readable client and its types. Pages of any origin may load them, and a
// browser that has them already is told so.
func TestClientModule(t *testing.T) {
	n := start(t, server.Options{})
	for _, c := range []struct {
		path, kind string
		content    []byte
	}{
		{"/pregon.js", "text/javascript; charset=utf-8", client.Module},
		{"/pregon.d.ts", "text/plain; charset=utf-8", client.Types},
	} {
		resp, body := n.raw(get("GET "+c.path, "Origin: https://elsewhere.example"))
		if resp.StatusCode != http.StatusOK || !bytes.Equal([]byte(body), c.content) {
			t.Errorf("%s: %d with %d bytes, want %d", c.path, resp.StatusCode, len(body), len(c.content))
		}
		for name, want := range map[string]string{"Content-Type": c.kind, "Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.path, name, got, want)
			}
		}
		again, rest := n.raw(get("GET "+c.path, "If-None-Match: "+resp.Header.Get("ETag")))
		if again.StatusCode != http.StatusNotModified || rest != "" {
			t.Errorf("%s: %d with %d bytes for one that has it", c.path, again.StatusCode, len(rest))
		}
	}
}
