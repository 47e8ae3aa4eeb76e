//go:build unix

package cmd_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pregon/pregon/broker/redis/redistest"
)

var (
	redirectsAt = regexp.MustCompile(`sent to https" address=(\S+)`)
	takenOverBy = regexp.MustCompile(`taken over" pid=(\d+)`)
)

// logged reads a log until a line matches, and returns what is in its parentheses.
func logged(t *testing.T, log *bufio.Reader, what *regexp.Regexp) string {
	t.Helper()
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("%v was not logged: %v", what, err)
		}
		if found := what.FindStringSubmatch(line); found != nil {
			return found[1]
		}
	}
}

// redirected asks without TLS for a host, and returns the status and where it is sent.
func redirected(t *testing.T, addr, host string) (status int, where string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/publish/a?x=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// A name that the certificate is not for is a warning at the start. The port of --redirect sends requests to https for the names that the server has, those of a reloaded file
// included, and goes on where another process takes over.
func TestRedirecting(t *testing.T) {
	t.Parallel()
	flags, _ := certified(t)
	file := written(t, "pregon.yaml", "hosts: [example.com, rt.elsewhere.test]\nrules: []\n")
	p := exec.Command(os.Args[0], append(flags, "--redirect", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--config", file,
		"--broker", redistest.Start(t).URL(), "--drain-notice", "0", "--drain-time", "10ms")...)
	p.Env = append(os.Environ(), asPregon+"=1")
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := bufio.NewReader(stderr)
	start(t, p)
	if host := logged(t, log, regexp.MustCompile(`is not for a name of this server" host=(\S+)`)); host != "rt.elsewhere.test" {
		t.Errorf("a warning of %s", host)
	}
	addr := logged(t, log, redirectsAt)
	sends := func(host string, wantStatus int, wantWhere string) {
		t.Helper()
		if status, where := redirected(t, addr, host); status != wantStatus || where != wantWhere {
			t.Errorf("%s: %d %q", host, status, where)
		}
	}
	sends("rt.elsewhere.test", 308, "https://rt.elsewhere.test/publish/a?x=1")
	sends("www.example.com", 421, "")
	if err := os.WriteFile(file, []byte("hosts: [www.example.com]\nrules: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = p.Process.Signal(syscall.SIGHUP)
	logged(t, log, regexp.MustCompile(`(reloaded)`))
	sends("www.example.com", 308, "https://www.example.com/publish/a?x=1")

	_ = p.Process.Signal(syscall.SIGUSR2)
	pid, err := strconv.Atoi(logged(t, log, takenOverBy))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if state, err := p.Process.Wait(); err != nil || !state.Success() {
		t.Error("the first process:", state, err)
	}
	sends("www.example.com", 308, "https://www.example.com/publish/a?x=1")
	_ = syscall.Kill(pid, syscall.SIGTERM)
	if rest, err := io.ReadAll(log); err != nil || strings.Contains(string(rest), "level=ERROR") { // its end is that of the second process
		t.Errorf("%v %s", err, rest)
	}
}
