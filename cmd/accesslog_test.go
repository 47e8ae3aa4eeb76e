package cmd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// The access log has a line for every request until the end, whatever --log-level is, and in the format of the log.
func TestAccessLogUntilTheEnd(t *testing.T) {
	server := exec.Command(build(t, "pregon"), strings.Fields("--listen localhost:0 --broker memory:// --drain-notice 0 --drain-time 10ms --log-level error --log-format json --access-log")...)
	var log bytes.Buffer
	server.Stderr = &log
	url := start(t, server)
	const requests = 500
	for range requests {
		resp, err := http.Post(url+"/publish/chat", "text/plain", strings.NewReader("hola"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Error("the server did not exit with 0:", err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(log.String()) {
		var said struct{ Level, Msg, Request, Route string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if said.Level != "INFO" || said.Msg != "server: access" || said.Route != "/publish/{channel}" {
			t.Errorf("%q", line)
		}
		names[said.Request] = true
	}
	if len(names) != requests {
		t.Errorf("%d lines for %d requests", len(names), requests)
	}
}
