package console_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/pregon/pregon/server/console"
)

// all is every part of the page, and the page.
func all() []*console.File { return append(console.Parts(), console.Page()) }

// file returns the answer with a part of the page.
func file(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	for _, f := range all() {
		if f.Path == path {
			f.ServeHTTP(w, r)
			return w
		}
	}
	t.Fatalf("the page has no %s", path)
	return nil
}

// All that the page and its modules name is there, by a relative address.
func TestEveryPartIsThere(t *testing.T) {
	named := regexp.MustCompile(`(?:href|src)="([^":]+)"|from "([^"]+)"`)
	for _, f := range all() {
		if strings.HasSuffix(f.Path, ".css") {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(file(t, f.Path).Body.String(), -1) {
			switch name := m[1] + m[2]; {
			case name == "../pregon.js":
			case strings.HasPrefix(name, "console/"):
				file(t, "/"+name)
			case strings.HasPrefix(name, "./"):
				file(t, "/console/"+strings.TrimPrefix(name, "./"))
			default:
				t.Errorf("%s names %s", f.Path, name)
			}
		}
	}
}

// Nothing that is not a file of the page is run or shown, and nobody frames it.
func TestPolicy(t *testing.T) {
	policy := file(t, "/").Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self' 'sha256-", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
}

// Data never becomes HTML.
func TestNothingIsReadAsHTML(t *testing.T) {
	html := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|Function\(|setHTML|localStorage|sessionStorage|cookie`)
	for _, f := range all() {
		if found := html.FindString(file(t, f.Path).Body.String()); found != "" {
			t.Errorf("%s uses %s", f.Path, found)
		}
	}
}

// A browser keeps the page, and is told that it has not changed.
func TestUnchanged(t *testing.T) {
	for _, f := range all() {
		first := file(t, f.Path)
		h := first.Header()
		if h.Get("Cache-Control") != "no-cache" || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Type"), "charset=utf-8") {
			t.Errorf("%s: %v", f.Path, h)
		}
		if again := file(t, f.Path, "If-None-Match", h.Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s: %d with %d bytes, want 304", f.Path, again.Code, again.Body.Len())
		}
	}
}
