package deploy_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the transcripts of README.md anew")

// A fault is planted in a server that runs, and is named by each of the three that an operator may have: the log, the
// figures and the doctor.
type fault struct {
	heading string // above its transcript in README.md
	plant   func(t *testing.T, r *running)
	log     []string // what the log says then, and names it first
	figures []string // what has moved then, and names it first
	doctor  string   // what names it there
}

var faults = []fault{
	{"A link to Redis that is mute", muteRedis, []string{"went silent", "not ready"}, []string{"pregon_broker_link_up 1 → 0", "pregon_ready 1 → 0"}, "bad   broker link "},
	{"A client that reads at a tenth", readAtATenth, []string{"did not read fast enough"}, []string{`pregon_slow_clients_total{outcome="disconnected"} 0 → 1`}, "warn  slow clients "},
	{"A token for another audience", tokenForAnother, []string{"wrong audience"}, []string{`pregon_tokens_refused_total{reason="wrong_audience"} 0 → 1`}, "1 wrong_audience"},
}

// Each of three faults is named by the log alone, by the figures alone and by the doctor alone, in the words that
// README.md has of them.
func TestThreeFaults(t *testing.T) {
	t.Parallel()
	program := build(t)
	var got [3]string
	t.Run("each", func(t *testing.T) {
		for i, f := range faults {
			t.Run(f.heading, func(t *testing.T) {
				t.Parallel()
				got[i] = f.play(t, program)
			})
		}
	})
	readme := text(t, "README.md")
	for i, f := range faults {
		before, rest, found := strings.Cut(readme, "### "+f.heading+"\n")
		prose, rest, fenced := strings.Cut(rest, "\n```\n")
		old, after, ended := strings.Cut(rest, "```\n")
		if !found || !fenced || !ended {
			t.Fatalf("README.md has no transcript of %q", f.heading)
		}
		if diff := cmp.Diff(old, got[i]); diff != "" && !*update {
			t.Errorf("%s: run the test with -update if this is meant: %s", f.heading, diff)
		}
		readme = before + "### " + f.heading + "\n" + prose + "\n```\n" + got[i] + "```\n" + after
	}
	if *update && !t.Failed() {
		if err := os.WriteFile("README.md", []byte(readme), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pregon")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/pregon").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// play plants the fault, and returns what the log, the figures and the doctor say, once the first two have all that is theirs.
func (f fault) play(t *testing.T, program string) string {
	r := startRunning(t, program)
	log, figures := r.log.String(), r.figures(t)
	f.plant(t, r)
	said, moved := "", ""
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		said, moved = masked(strings.TrimPrefix(r.log.String(), log)), changes(figures, r.figures(t))
		if containsAll(said, f.log) && containsAll(moved, f.figures) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it has no name: the log says\n%sand the figures\n%s", said, moved)
		}
	}
	found := r.doctor(t)
	if !strings.Contains(found, f.doctor) {
		t.Errorf("the doctor has no name for it:\n%s", found)
	}
	return "# the log\n" + said + "\n# the figures\n" + moved + "\n# pregon doctor --url … --admin-url …\n" + found
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// A running server is a process of the program, on a Redis of its own.
type running struct {
	program, address, admin, secret string
	redis                           *os.Process
	log                             *lines
}

// lines are what a process has printed.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func startRunning(t *testing.T, program string) *running {
	t.Helper()
	folder, redis := t.TempDir(), freePort(t)
	r := &running{program: program, address: freePort(t), admin: freePort(t), secret: filepath.Join(folder, "secret"), log: &lines{}}
	config := filepath.Join(folder, "pregon.yaml")
	for file, content := range map[string]string{r.secret: "0b9c1f6e7a8d4c3b2a1908f7e6d5c4b3", config: `
tokens: [{secret-file: secret, audience: pregon}]
rules: [{channels: ["**"], subscribe: anyone, publish: anyone}]
`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, port, err := net.SplitHostPort(redis)
	if err != nil {
		t.Fatal(err)
	}
	r.redis = process(t, redis, io.Discard, tool(t, "redis-server"), "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", folder)
	process(t, r.address, r.log, program, "serve", "--config", config, "--broker", "redis://"+redis, "--history", "5m", "--queue-bytes", "1MiB",
		"--listen", r.address, "--admin", r.admin, "--ping-interval", "1s", "--pong-timeout", "9s", "--drain-notice", "0", "--drain-time", "10ms")
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(r.log.String(), "operators may ask"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it has not begun: %s", r.log.String())
		}
	}
	return r
}

// process runs a program until the test ends, and returns once somebody listens at an address.
func process(t *testing.T, address string, stderr io.Writer, name string, args ...string) *os.Process {
	t.Helper()
	command := exec.Command(name, args...)
	command.Stderr = stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // which ends it though it is stopped
		_ = command.Wait()
	})
	await(t, address)
	return command.Process
}

// figures returns the server's own, line by line, without those of the everyday traffic.
func (r *running) figures(t *testing.T) map[string]string {
	t.Helper()
	shown := map[string]string{}
	for _, m := range ownFigure.FindAllStringSubmatch(get(t, "http://"+r.admin+"/metrics"), -1) {
		if !traffic.MatchString(m[1]) {
			shown[m[1]] = m[2]
		}
	}
	return shown
}

var (
	ownFigure = regexp.MustCompile(`(?m)^(pregon_\S+) (\S+)$`)
	traffic   = regexp.MustCompile(`^pregon_(connections\{|channels|publish|messages_heard|deliver|sent|queue|node)`)
)

// changes lists what has moved.
func changes(before, after map[string]string) string {
	var moved []string
	for name, value := range after {
		if was := before[name]; was != value {
			moved = append(moved, name+" "+was+" → "+value+"\n")
		}
	}
	slices.Sort(moved)
	return strings.Join(moved, "")
}

// masked returns lines, sorted, without what differs each time.
func masked(log string) string {
	for _, m := range masks {
		log = m.pattern.ReplaceAllString(log, m.by)
	}
	all := slices.Collect(strings.Lines(log))
	slices.Sort(all)
	return strings.Join(all, "")
}

var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`(?m)^time=\S+ `), ""},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`request=\S+`), "request=ID"},
	{regexp.MustCompile(`(hub: not ready" error)=.*`), "$1=…"}, // which of two time-outs comes first
}

// doctor returns what is wrong with the server in the doctor's words.
func (r *running) doctor(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(r.program, "doctor", "--url", "http://"+r.address, "--admin-url", "http://"+r.admin).Output()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return strings.Join(notWell.FindAllString(string(out), -1), "")
}

// notWell is a finding that is not ok, with what to do.
var notWell = regexp.MustCompile(`(?m)^(bad|warn) .*\n(              .*\n)*`)

// muteRedis has Redis keep its connections and say nothing.
func muteRedis(t *testing.T, r *running) {
	if err := r.redis.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

// readAtATenth has a client read a tenth of what is published for it, until it is cut off.
func readAtATenth(t *testing.T, r *running) {
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /sse/prices HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	message, tenth := strings.Repeat("x", 500<<10), make([]byte, 50<<10)
	if _, err := io.ReadFull(conn, tenth[:1]); err != nil { // it listens
		t.Fatal(err)
	}
	for range 100 {
		publish(t, r.address, "prices", message)
		if _, err := io.ReadFull(conn, tenth); err != nil {
			return
		}
		if strings.Contains(get(t, "http://"+r.admin+"/metrics"), `pregon_slow_clients_total{outcome="disconnected"} 1`) {
			return
		}
	}
	t.Error("it was not cut off")
}

// tokenForAnother has a client bring a token that was made for another service.
func tokenForAnother(t *testing.T, r *running) {
	token, err := exec.Command(r.program, "token", "--jwt-key", r.secret, "--sub", "u1", "--audience", "billing").Output()
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+"/sse/prices", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("it was answered %s", resp.Status)
	}
}
