package waysin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access/token/tokentest"
	"github.com/pregon/pregon/server/tracing"
	"github.com/pregon/pregon/transport"
)

// sayAgain is after how long the log is told of a refusal again, whatever there was.
const sayAgain = time.Second

// call answers a request within the program, for as long as an answer that goes on has its headers.
func (s *site) call(request *http.Request) answer {
	ctx, leave := context.WithCancel(request.Context())
	defer leave()
	w := &leaving{ResponseRecorder: httptest.NewRecorder(), leave: leave}
	s.server.Handler().ServeHTTP(w, request.WithContext(ctx))
	return answerOf(w.Code, w.Header(), w.Body.String())
}

// A leaving is a client that leaves once it has the first bytes of an answer that goes on.
type leaving struct {
	*httptest.ResponseRecorder
	leave func()
}

func (l *leaving) Flush() {
	l.ResponseRecorder.Flush()
	l.leave()
}

// inProgram returns the request as the server's handler gets it. What cannot stand in a request over the wire can
// stand there.
func (w way) inProgram(channel, credential string, c carrier) *http.Request {
	e := c.bring(credential)
	target, body := strings.ReplaceAll(w.target, "CHANNEL", channel), strings.ReplaceAll(w.body, "CHANNEL", channel)
	if e.query != "" {
		target = strings.TrimSuffix(target, "?") + map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")] + e.query
	}
	r := httptest.NewRequest(w.method, target, strings.NewReader(body))
	r.Host = host
	for _, line := range append(w.header[:len(w.header):len(w.header)], e.lines...) {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// No key and no token is in what is logged (down to the debug level), what hooks and transports see, an answer, a
// metric, or a span, be it as it came or encoded: neither of callers that are refused nor of those that are let in.
func TestCredentialsDoNotLeak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kit := tokentest.NewKit(time.Now())
		spy := newSpy()
		own := map[string]transport.Maker{"spy": spy.make}
		traced := tracetest.NewInMemoryExporter()
		tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(traced), sdktrace.WithResource(nil)))
		s := newSite(t, server.Options{Access: policy(t, verifier(t, kit)), Transports: own, Tracer: tracer})
		all, seen := ways(t, own), map[string]int{}
		for i, credential := range secretsOf(kit) {
			var told strings.Builder // to the caller
			for j, c := range carriers {
				for k := (i + j) % 2; k < len(all); k += 2 { // the others with the next one
					got := s.call(all[k].inProgram(s.channel("room"), credential, c))
					_, _ = fmt.Fprintf(&told, "%d %v %s\n", got.status, got.header, got.body)
					time.Sleep(sayAgain)
				}
			}
			figures := s.call(way{method: "GET", target: "/metrics"}.inProgram("", appKey, inHeader))
			for where, text := range map[string]string{
				"the log": s.log.take(), "a hook": s.hooks.take(), "a transport": spy.seen.take(), "an answer": told.String(), "a metric": figures.body, "a span": shownSpans(traced.GetSpans()),
			} {
				if form, leaks := leakOf(credential, text); leaks {
					t.Errorf("%.30s… is in %s as %.40s…", credential, where, form)
				}
				seen[where] += len(text)
			}
			traced.Reset()
		}
		for _, where := range []string{"the log", "a hook", "a transport", "an answer", "a metric", "a span"} {
			if seen[where] == 0 {
				t.Errorf("nothing is in %s", where)
			}
		}
	})
}

// shownSpans returns all that is in spans.
func shownSpans(spans tracetest.SpanStubs) string {
	if len(spans) == 0 {
		return ""
	}
	return fmt.Sprintf("%+v", spans)
}

// secretsOf returns keys, and tokens of which some are good.
func secretsOf(kit *tokentest.Kit) []string {
	credentials := []string{noKey}
	for _, c := range callers(kit) {
		if c.credential != "" {
			credentials = append(credentials, c.credential)
		}
	}
	for _, b := range kit.Bad() {
		credentials = append(credentials, b.Raw)
	}
	return credentials
}

// The test would see what there is to see.
func TestLeaksAreSeen(t *testing.T) {
	t.Parallel()
	token := tokentest.NewKit(time.Now()).HS256(tokentest.Object{{"sub", `"u1"`}})
	_, signature, _ := strings.Cut(token, ".")
	for _, secret := range []string{appKey, token} {
		for _, text := range []string{
			secret, "token=" + secret + "&", `"` + secret + `"`, inOffer.bring(secret).lines[0], inHeader.bring(secret).lines[0], inCookie.bring(secret).lines[0],
			fmt.Sprintf("%x", secret), strings.Join(inBase64("Basic "+secret), " "),
		} {
			if _, leaks := leakOf(secret, text); !leaks {
				t.Errorf("%s is not seen in %s", secret, text)
			}
		}
	}
	if _, leaks := leakOf(token, "signature "+signature); !leaks {
		t.Error("a part is not seen")
	}
	if form, leaks := leakOf(token, appKey); leaks {
		t.Error("seen where it is not:", form)
	}
}
