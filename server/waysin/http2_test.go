package waysin_test

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// visits calls test for each way in, over HTTP/1.1 and, where there is that way, over HTTP/2. With -short it is
// not for the latter, by which the same code is come to.
func (s *site) visits(t *testing.T, all []way, test func(v *visitor, w way)) {
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			test(s.visitor(t), w)
		})
		two, ok := w.overHTTP2()
		if !ok || testing.Short() {
			continue
		}
		t.Run(w.name+" over HTTP/2", func(t *testing.T) {
			t.Parallel()
			v := s.visitor(t)
			v.two = &http.Transport{Protocols: new(http.Protocols)}
			v.two.Protocols.SetUnencryptedHTTP2(true)
			defer v.two.CloseIdleConnections()
			test(v, two)
		})
	}
}

// overHTTP2 returns w without what HTTP/2 does not have, and reports whether there is such a way: no
// connection is upgraded there, but event streams need none.
func (w way) overHTTP2() (way, bool) {
	upgrades := slices.Contains(w.header, "Upgrade: websocket")
	w.header = slices.DeleteFunc(slices.Clone(w.header), func(line string) bool {
		return strings.HasPrefix(line, "Connection:") || strings.HasPrefix(line, "Upgrade:")
	})
	return w, !upgrades || strings.HasPrefix(w.name, "sse")
}

// askOverHTTP2 is ask over HTTP/2, on one connection.
func (v *visitor) askOverHTTP2(w way, channel string, e extra) answer {
	v.t.Helper()
	raw := w.request(channel, e)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		v.t.Fatalf("%.80q: %v", raw, err)
	}
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", v.site.addr
	resp, err := v.two.RoundTrip(r)
	if err != nil {
		v.t.Fatalf("no answer to %.80q: %v", raw, err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		v.t.Fatal("answered over", resp.Proto)
	}
	a := answerOf(resp.StatusCode, resp.Header, "")
	if a.goesOn() {
		return a
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatalf("half an answer to %.80q: %v", raw, err)
	}
	return answerOf(resp.StatusCode, resp.Header, string(body))
}

// canSend reports whether v can send a credential so: a client of HTTP/2 refuses what may not be in a
// header, and what is longer than the server has said it takes.
func (v *visitor) canSend(c carrier, credential string) bool {
	if v.two != nil && (len(credential) > 8<<10 || c.name != inQuery.name && strings.ContainsFunc(credential, unicode.IsControl)) {
		return false
	}
	return sendable(c, credential)
}
