package cmd_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A server that is told of a collector, and of nothing else, exports the trace of a publication there; no span has what
// the request has beside.
func TestTracesReachACollector(t *testing.T) {
	got := make(chan []byte, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- body
	}))
	defer collector.Close()
	server := exec.Command(build(t, "pregon"), "--listen", "localhost:0", "--broker", "memory://", "--drain-time", "10ms")
	server.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL)
	url := start(t, server)
	stream := hear(t, url+"/sse/chat")
	r, err := http.NewRequest(http.MethodPost, url+"/publish/chat?message=secreto", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r.Header.Set("tracestate", "a=secreto")
	r.Header.Set("User-Agent", "secreto")
	response, err := http.DefaultClient.Do(r)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	_ = response.Body.Close()
	await(t, stream, "secreto")
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Error("the server did not exit with 0:", err)
	}
	close(got)
	var all []byte
	for body := range got {
		all = append(all, body...)
	}
	trace := []byte("\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c")
	if n := bytes.Count(all, trace); n != 3 {
		t.Errorf("%d spans are in the publisher's trace", n)
	}
	for _, name := range []string{"POST /publish/{channel}", "publish", "deliver"} {
		if !bytes.Contains(all, []byte(name)) {
			t.Errorf("there is no span %s", name)
		}
	}
	if bytes.Contains(all, []byte("secreto")) {
		t.Errorf("too much is in a span: %q", all)
	}
}

// What OpenTelemetry's variables cannot be is a mistake like any on the command line.
func TestTracesThatCannotBe(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	code, _, stderr := run(t, "", "--listen", "localhost:0", "--broker", "memory://")
	if code != 2 || !strings.Contains(stderr, "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
