package cmd_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// problem is what a server answers with status, code and detail.
func problem(status int, code, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"code":"`+code+`","detail":"`+detail+`"}`)
	}
}

// page is what a server answers that is no pregon.
func page(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<h1>hola</h1>")
	}
}

// cut has the server end the connection without an answer.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// quietly starts a server that logs nothing, by TLS if asked to.
func quietly(t *testing.T, secure bool, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // what fails is a part of the test
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.URL
}

// authorityOf returns a file with the certificate of a server.
func authorityOf(t *testing.T, url string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{InsecureSkipVerify: true}) // to learn what it has
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return written(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})))
}

// Where asking again would be answered in the same way, sub says why and ends with 1, instead of trying
// for ever.
func TestSubGivesUpWithTheReason(t *testing.T) {
	plain, secure := quietly(t, false, page(200)), quietly(t, true, page(200))
	other := strings.Replace(secure, "127.0.0.1", "localhost", 1)
	for name, c := range map[string]struct {
		url, says string
		flags     []string
	}{
		"reserved":      {quietly(t, false, problem(403, "channel_reserved", "Reserved.")), "subscribe: the server answered 403 Forbidden: Reserved", nil},
		"no credential": {quietly(t, false, problem(401, "unauthorized", "Who is there?")), "subscribe: the server answered 401 Unauthorized: Who is there?; --token-file brings a key or a token", nil},
		"bad query":     {quietly(t, false, problem(400, "bad_cursor", "No cursor.")), "subscribe: the server answered 400 Bad Request: No cursor", nil},
		"wrong path":    {quietly(t, false, page(404)), "subscribe: the server answered 404 Not Found: is --url the address of a pregon?", nil},
		"other server":  {plain, "subscribe: the answer is no stream of events: is --url the address of a pregon?", nil},
		"self-signed":   {secure, "connect to URL: its certificate is signed by none that is trusted here; if it is right, give the file with its authority's by --ca", nil},
		"no TLS there":  {"https" + strings.TrimPrefix(plain, "http"), "connect to URL: it does not speak https there; write http://", nil},
		"other host":    {other, "connect to URL: its certificate is another host's: certificate is valid for example.com, *.example.com, not localhost", []string{"--ca", authorityOf(t, secure)}},
		"no such host":  {"http://a..b", "connect to URL: there is no such host", nil},
		"only TLS":      {"http" + strings.TrimPrefix(secure, "https"), "subscribe: the server answered 400 Bad Request", nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := run(t, "", append([]string{"sub", "chat", "--url", c.url}, c.flags...)...)
			want := "pregon: " + strings.ReplaceAll(c.says, "URL", c.url)
			if code != 1 || strings.TrimSpace(stderr) != want {
				t.Errorf("exit %d, %q; want %q", code, stderr, want)
			}
		})
	}
}

// For each message pub prints a receipt, and where it fails it says what became of the message.
func TestPubTellsWhatBecameOfTheMessage(t *testing.T) {
	taken := func(rest string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"channel":"chat"`+rest+`}`) }
	}
	const maybe, again = "it may have been published", "it may have been published: with the same --key it is safe to try again"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		args   string
		stdout string
		says   string // of the first line of stderr; @ for "publish: "
	}{
		"taken":               {taken(""), "", "published chat\n", ""},
		"taken and kept":      {taken(`,"id":"ZZ3"`), "", "published chat ZZ3\n", ""},
		"repeated":            {taken(`,"id":"ZZ3","repeated":true`), "--key k", "repeated chat ZZ3\n", ""},
		"quiet":               {taken(`,"id":"ZZ3"`), "-q", "", ""},
		"not allowed":         {problem(403, "forbidden", "Not here."), "", "", "@the server answered 403 Forbidden: Not here; it was not published"},
		"too fast":            {problem(429, "too_fast", "Slow down."), "", "", "@the server answered 429 Too Many Requests: Slow down; it was not published"},
		"broker down":         {problem(503, "broker_unavailable", "Down."), "", "", "@the server answered 503 Service Unavailable: Down; it was not published"},
		"outcome unknown":     {problem(504, "outcome_unknown", "Who knows."), "", "", "@the server answered 504 Gateway Timeout: Who knows; " + maybe},
		"a proxy's answer":    {page(503), "", "", "@the server answered 503 Service Unavailable; " + maybe},
		"cut off":             {cut, "", "", "@wait for the answer: EOF; " + maybe},
		"cut off, with a key": {cut, "--key k", "", "@wait for the answer: EOF; " + again},
		"no pregon":           {page(200), "", "", "@the answer is no receipt: is --url the address of a pregon?; " + maybe},
	} {
		t.Run(name, func(t *testing.T) {
			url := quietly(t, false, c.answer)
			code, stdout, stderr := run(t, "", append([]string{"pub", "chat", "hola", "--url", url}, strings.Fields(c.args)...)...)
			want := strings.Replace(c.says, "@", "pregon: publish: ", 1)
			if stdout != c.stdout || strings.TrimSpace(stderr) != want || (code != 0) != (want != "") {
				t.Errorf("exit %d, %q, %q; want %q and %q", code, stdout, stderr, c.stdout, want)
			}
		})
	}
	code, _, stderr := run(t, "", "pub", "chat", "hola", "--url", "http://127.0.0.1:1")
	if code != 1 || !strings.HasSuffix(stderr, "refused; nothing was published\n") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// Where no WebSocket gets through, lines of standard input are published one by one. The first that is not taken is named;
// those ahead of it have their receipts.
func TestPubNamesTheLine(t *testing.T) {
	n := 0
	url := quietly(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live" {
			http.NotFound(w, r)
			return
		}
		if n++; n == 2 {
			problem(400, "invalid_utf8", "No UTF-8.")(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"channel":"chat"}`)
	})
	code, stdout, stderr := run(t, "uno\ndos\ntres\n", "pub", "chat", "-", "--url", url)
	if want := "pregon: line 2: publish: the server answered 400 Bad Request: No UTF-8; it was not published\n"; code != 1 || stdout != "published chat\n" || stderr != want {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}
