package cmd_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// examined runs the doctor on a server, and returns what it printed.
func examined(t *testing.T, args ...string) (bad, warn, stdout string) {
	t.Helper()
	code, stdout, stderr := run(t, "", append([]string{"doctor"}, args...)...)
	bad, warn = strings.Join(subjects(stdout, "bad"), " "), strings.Join(subjects(stdout, "warn"), " ")
	if (code != 0) != (bad != "") || !strings.Contains(stdout, "figures") {
		t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
	}
	return bad, warn, stdout
}

// asked makes a request with a header, and returns the answer, whose body is not read.
func asked(t *testing.T, url, header, value string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(header, value)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// minted returns a token that the test's secret signs.
func minted(t *testing.T, secret string, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t, "", append([]string{"token", "--jwt-key", secret, "--sub", "u1"}, args...)...)
	if code != 0 {
		t.Fatal(stderr)
	}
	return "Bearer " + strings.TrimSpace(stdout)
}

// readsNothing listens to a channel, and reads none of what is then published: more than may wait for it.
func readsNothing(t *testing.T, url string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := io.WriteString(conn, "GET /sse/much HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	until(t, url, `pregon_connections\{transport="sse"\} 1`)
	for range 40 {
		resp, err := http.Post(url+"/publish/much", "text/plain", strings.NewReader(strings.Repeat("x", 512<<10)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

// until waits for a server to show a figure.
func until(t *testing.T, url, figure string) {
	t.Helper()
	pattern, shown := regexp.MustCompile("(?m)^"+figure), ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if shown = string(body); pattern.MatchString(shown) {
			return
		}
	}
	t.Fatalf("no %s in\n%s", figure, shown)
}

// After each deed the doctor names what happened, by exactly that finding.
func TestDoctorOfDeeds(t *testing.T) {
	folder := t.TempDir()
	secret, config := filepath.Join(folder, "secret"), filepath.Join(folder, "pregon.yaml")
	write(t, secret, "0123456789abcdef0123456789abcdef")
	write(t, config, "tokens:\n  - {secret-file: secret, audience: pregon}\nrules:\n  - {channels: [\"**\"], subscribe: anyone, publish: anyone}\n")
	for name, c := range map[string]struct {
		args []string
		do   func(t *testing.T, url string)
		warn string
		says string
	}{
		"nothing": {nil, func(*testing.T, string) {}, "", "ok    tokens        None."},
		"many connections": {[]string{"--max-connections", "30"}, func(t *testing.T, url string) {
			for range 25 {
				asked(t, url+"/sse/a", "Accept", "text/event-stream")
			}
		}, "limits", "25 of 30 connections"},
		"a client that reads nothing": {[]string{"--queue-bytes", "1MiB"}, func(t *testing.T, url string) {
			readsNothing(t, url)
			until(t, url, `pregon_slow_clients_total\{outcome="disconnected"\} 1`)
		}, "slow", "1 disconnected"},
		"a page of another site": {nil, func(t *testing.T, url string) {
			asked(t, url+"/sse/a", "Origin", "https://other.example")
		}, "refused", "--allow-origin"},
		"a token for another audience": {[]string{"--config", config}, func(t *testing.T, url string) {
			asked(t, url+"/sse/a", "Authorization", minted(t, secret, "--audience", "other"))
		}, "tokens", "1 wrong_audience"},
		"a token of another issuer": {[]string{"--config", config}, func(t *testing.T, url string) {
			other := filepath.Join(t.TempDir(), "other")
			write(t, other, "fedcba9876543210fedcba9876543210")
			asked(t, url+"/sse/a", "Authorization", minted(t, other, "--audience", "pregon"))
		}, "tokens", "1 wrong_signature"},
		"a key that is none": {[]string{"--config", config}, func(t *testing.T, url string) {
			asked(t, url+"/sse/a", "Authorization", "Bearer not-a-key-of-this-server")
		}, "", "1 unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, append(c.args, "--ping-interval", "1s", "--pong-timeout", "9s")...)
			c.do(t, url)
			if bad, warn, stdout := examined(t, "--url", url); bad != "" || warn != c.warn || !strings.Contains(stdout, c.says) {
				t.Errorf("bad %q, warned %q\n%s", bad, warn, stdout)
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What operators' address says is read from there, and each figure gives its own finding, from the value on at
// which there is something to do.
func TestDoctorOfFigures(t *testing.T) {
	server := serve(t, "--admin", "localhost:0", "--ping-interval", "1s", "--pong-timeout", "9s")
	for name, c := range map[string]struct{ figures, bad, warn, says string }{
		"a quiet server":      {"process_start_time_seconds 1.7e9", "", "", "since the server's start at 2023-11-14T22:13:20Z"},
		"four fifths":         {"process_open_fds 80\nprocess_max_fds 100", "", "", "80 of 100 descriptors"},
		"descriptors":         {"process_open_fds 81\nprocess_max_fds 100", "", "limits", "LimitNOFILE="},
		"bodies":              {"pregon_bodies_bytes 61\npregon_bodies_limit_bytes 64", "", "limits", "61 of 64 bytes of bodies"},
		"two limits":          {"process_open_fds 81\nprocess_max_fds 100\npregon_bodies_bytes 61\npregon_bodies_limit_bytes 64", "", "limits limits", "81 of 100"},
		"the link is down":    {"pregon_broker_link_up 0\npregon_broker_link_restored_total 3", "broker", "", "pregon doctor --broker"},
		"the link came back":  {"pregon_broker_link_up 1\npregon_broker_link_restored_total 3", "", "broker", "3 times"},
		"it never was away":   {"pregon_broker_link_up 1\npregon_broker_link_restored_total 0", "", "", "never lost"},
		"a certificate":       {fmt.Sprintf("pregon_certificate_expiry_timestamp_seconds %d", time.Now().AddDate(0, 1, 0).Unix()), "", "", "ok    certificate"},
		"one that ends soon":  {fmt.Sprintf("pregon_certificate_expiry_timestamp_seconds %d", time.Now().AddDate(0, 0, 13).Unix()), "", "certificate", "not renewed"},
		"gaps":                {`pregon_gaps_total{reason="link-lost"} 2` + "\n" + `pregon_gaps_total{reason="not-retained"} 7`, "", "gaps", "7 not-retained, 2 link-lost."},
		"dropped messages":    {"pregon_slow_clients_messages_dropped_total 9", "", "slow", "9 messages dropped"},
		"everyday refusals":   {`pregon_refusals_total{code="forbidden"} 1e6`, "", "", "1000000 forbidden"},
		"tokens that expired": {`pregon_tokens_refused_total{reason="expired"} 4`, "", "", "4 expired"},
		"not a pregon's":      {"pregon_ready{", "figures", "", "--admin-url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "pregon_ready 1\n%s\n", c.figures)
			}))
			defer admin.Close()
			if bad, warn, stdout := examined(t, "--url", server, "--admin-url", admin.URL); bad != c.bad || warn != c.warn || !strings.Contains(stdout, c.says) {
				t.Errorf("bad %q, warned %q\n%s", bad, warn, stdout)
			}
		})
	}
}

// Where the figures are not to be had, the doctor says so, and examines the rest.
func TestDoctorWithoutFigures(t *testing.T) {
	server := serve(t, "--admin", "localhost:0", "--ping-interval", "1s", "--pong-timeout", "9s")
	bad, warn, stdout := examined(t, "--url", server)
	if bad != "" || warn != "" || !strings.Contains(stdout, "give that address as --admin-url") || strings.Contains(stdout, "limits") {
		t.Errorf("bad %q, warned %q\n%s", bad, warn, stdout)
	}
	bad, _, stdout = examined(t, "--url", server, "--admin-url", "http://"+closedPort(t))
	if bad != "figures" || !strings.Contains(stdout, "ok    silence") {
		t.Errorf("bad %q\n%s", bad, stdout)
	}
}
