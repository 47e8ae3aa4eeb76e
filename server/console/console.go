// Package console is the page at /, for people who try pregon in a browser. It is written with
// the client that any page may use, and with nothing else: what it can do, a page of anyone's can.
//
// All its addresses are relative, so that it works below a prefix. Its policy lets nothing in
// that is not a file of its own; the one exception is a line of script, named by its hash, that
// adds the slash which relative addresses need where the page was asked for without one. What it
// is given, a token or a key, is kept in memory only.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed index.html *.css *.js
var files embed.FS

// A File is a part of the page. It serves itself, and may be used by several goroutines.
type File struct {
	// Path is where the page expects it, from the server's root on.
	Path string

	name    string
	kind    string // media type
	policy  string // Content-Security-Policy, for the page alone
	tag     string // ETag
	content []byte
}

var kinds = map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

const page = "index.html"

// Page returns the page itself, which is at /.
func Page() *File {
	f := newFile(page)
	f.Path, f.policy = "/", policyOf(f.content)
	return f
}

// Parts returns what the page is made of.
func Parts() []*File {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // they are embedded
	}
	var parts []*File
	for _, e := range entries {
		if e.Name() != page {
			parts = append(parts, newFile(e.Name()))
		}
	}
	return parts
}

func newFile(name string) *File {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(content)
	return &File{
		Path: "/console/" + name, name: name, content: content,
		kind: kinds[path.Ext(name)] + "; charset=utf-8",
		tag:  `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
	}
}

// policyOf returns the Content-Security-Policy of a page that has one script of its own in it.
func policyOf(page []byte) string {
	_, behind, _ := bytes.Cut(page, []byte("<script>"))
	script, _, _ := bytes.Cut(behind, []byte("</script>"))
	sum := sha256.Sum256(script)
	return fmt.Sprintf("default-src 'none'; script-src 'self' 'sha256-%s'; style-src 'self'; connect-src 'self' ws: wss:; "+
		"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", base64.StdEncoding.EncodeToString(sum[:]))
}

// ServeHTTP answers with the file. Browsers keep it, and ask each time whether it is still the one.
func (f *File) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	h.Set("X-Content-Type-Options", "nosniff")
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
	}
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.content))
}
