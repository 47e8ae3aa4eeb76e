package cmd_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A command that brings a key or token is let in as its rules say; without one, or with
// another, it ends with the reason.
func TestTokenFile(t *testing.T) {
	key, secret := written(t, "key", goodKey+"\n"), written(t, "secret", tokenSecret)
	url := serve(t, "--broker", "memory://", "--history", "5m", "--publish-key", "@"+key, "--jwt-key", secret)
	_, minted, _ := run(t, "", "token", "--jwt-key", secret, "--sub", "ana", "--subscribe", "chat")
	token := written(t, "token", minted)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"pub chat hola", 1, "401"},
		{"pub chat hola --token-file " + token, 1, "403"},
		{"pub chat hola --token-file " + key, 0, ""},
		{"sub chat", 1, "401"},
		{"sub other --token-file " + token, 1, "403"},
		{"bench --subscribers 2 --messages 2", 1, "401"},
		{"bench --subscribers 2 --messages 2 --token-file " + key, 0, ""},
	} {
		code, stdout, stderr := run(t, "", append(strings.Fields(c.args), "--url", url)...)
		if code != c.code || !strings.Contains(stderr, c.says) || strings.Contains(stdout+stderr, goodKey) || strings.Contains(stdout+stderr, "eyJ") {
			t.Errorf("%s: exit %d, %q", c.args, code, stderr)
		}
	}
}

// A server whose certificate an authority of --ca has signed is trusted, and no other.
func TestCA(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"channel":"chat"}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are a part of the test
	server.StartTLS()
	defer server.Close()
	ca := written(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if code, _, stderr := run(t, "", "pub", "chat", "hola", "--url", server.URL, "--ca", ca); code != 0 {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if code, _, stderr := run(t, "", "pub", "chat", "hola", "--url", server.URL); code != 1 || !strings.Contains(stderr, "certificate") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	// With the authority a load test gets as far as the answer, which is no event stream.
	for _, args := range [][]string{{"--ca", ca}, nil} {
		code, _, stderr := run(t, "", append([]string{"bench", "--transport", "sse", "--subscribers", "1", "--messages", "1", "--drain", "50ms", "--url", server.URL}, args...)...)
		if code != 1 || strings.Contains(stderr, "certificate") != (args == nil) {
			t.Errorf("exit %d, %q", code, stderr)
		}
	}
}
