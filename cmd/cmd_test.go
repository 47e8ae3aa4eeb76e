package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	_ "github.com/pregon/pregon/broker/memory"
	_ "github.com/pregon/pregon/broker/miniredis"
	_ "github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/cmd"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen; nothing waits so long unless it has failed.
const patience = 30 * time.Second

// run runs a command line that ends by itself.
func run(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	code = cmd.Run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// What is not understood is refused in one line that names it, with exit code 2;
// what does not work, with 1. Neither shows a password.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--nope", 2, "--nope"},
		{"nope", 2, "nope"},
		{"serve extra", 2, "extra"},
		{"pub", 2, "<channel>"},
		{"sub", 2, "<channel>"},
		{"--max-message 10", 2, "--max-message"},
		{"--max-message 9e99", 2, "--max-message"},
		{"--max-message 99999999999999999999", 2, "--max-message"},
		{"--max-message=10\u00a0MB", 2, "--max-message"},
		{"--max-message=-1", 2, "--max-message"},
		{"--max-connections=-1", 2, "--max-connections"},
		{"--queue-bytes 0", 2, "--queue-bytes"},
		{"--ping-interval=-1s", 2, "--ping-interval"},
		{"--ping-interval 60s", 2, "--pong-timeout"},
		{"--write-timeout 0", 2, "--write-timeout"},
		{"--drain-time soon", 2, "--drain-time"},
		{"--log-level loud", 2, "--log-level"},
		{"--log-format xml", 2, "--log-format"},
		{"--tls-cert x.pem", 2, "--tls-key"},
		{"--allow-origin nonsense --broker memory:// --listen localhost:0", 2, "origin"},
		{"sub x --format xml", 2, "--format"},
		{"--broker=", 2, "scheme"},
		{"--broker redis", 2, "scheme"},
		{"--broker http://x", 2, "http"},
		{"--broker redis://", 2, "host"},
		{"--broker redis://:s3cret@h:99999", 2, "port"},
		{"--broker redis://:s3cret@h:abc", 2, "port"},
		{"--broker redis://:s3%zzcret@h", 2, "percent"},
		{"--broker redis://:s3cret@h/x", 2, "database"},
		{"--broker redis://:s3cret@h?poolsize=3", 2, "poolsize"},
		{"--broker memory://host", 2, "memory"},
		{"--listen localhost:65536", 1, "65536"},
		{"--listen abc", 1, "abc"},
		{"--listen localhost:0 --broker redis://:s3cret@127.0.0.1:1 --broker-required", 1, "127.0.0.1:1"},
		{"--listen localhost:0 --tls-cert no.pem --tls-key no.pem", 1, "no.pem"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := run(t, "", strings.Fields(strings.ReplaceAll(c.args, "\u00a0", "\x1f"))...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			last := lines[len(lines)-1]
			if code != c.code || !strings.HasPrefix(last, "pregon: ") || !strings.Contains(last, c.says) {
				t.Errorf("exit %d, %q; want %d and %q", code, stderr, c.code, c.says)
			}
			if strings.Contains(stdout+stderr, "s3") {
				t.Errorf("the password is shown: %q %q", stdout, stderr)
			}
		})
	}
}

// A PREGON_ variable that stands for no flag is most likely a typo.
func TestUnknownEnvironment(t *testing.T) {
	t.Setenv("PREGON_TYPO", "1")
	if code, _, stderr := run(t, "", "version"); code != 2 || !strings.Contains(stderr, "PREGON_TYPO") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// The commands that only tell something.
func TestInfo(t *testing.T) {
	for args, says := range map[string]string{
		"brokers": "miniredis://\nredis://\nrediss://\nunix://\n", "version": "pregon ",
		"--help": "--listen", "pub --help": "<message>", "sub --help": "--format",
	} {
		if code, stdout, stderr := run(t, "", strings.Fields(args)...); code != 0 || !strings.Contains(stdout, says) {
			t.Errorf("%s: exit %d, %q %q", args, code, stdout, stderr)
		}
	}
}

// serve runs a server until the test ends, and returns its address.
func serve(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		code := cmd.Run(ctx, append([]string{"--listen", "localhost:0", "--drain-time", "10ms"}, args...), nil, w, io.Discard)
		_ = w.Close()
		done <- code
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("the server exited with %d", code)
		}
	})
	return address(t, r)
}

// address reads what a server prints at its start, and swallows the rest.
func address(t *testing.T, r io.Reader) string {
	t.Helper()
	lines := bufio.NewReader(r)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the server printed %q and ended", first)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return strings.TrimSpace(strings.TrimPrefix(first, "pregon is listening on "))
}

// Serve, sub and pub work together: messages, lines of standard input, and a
// clean end.
func TestServeSubPub(t *testing.T) {
	url := serve(t, "--broker", "memory://")
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() { done <- cmd.Run(ctx, []string{"sub", "chat", "otro", "--url", url}, nil, w, io.Discard) }()
	heard := bufio.NewReader(r)
	// A sub says nothing when it is there, so publish until something is heard.
	first := make(chan string, 1)
	go func() { line, _ := heard.ReadString('\n'); first <- line }()
	for got := ""; got == ""; {
		if code, _, stderr := run(t, "", "pub", "chat", "hello", "--url", url); code != 0 {
			t.Fatal(stderr)
		}
		select {
		case got = <-first:
			if got != "[chat] hello\n" {
				t.Fatalf("heard %q", got)
			}
		case <-time.After(10 * time.Millisecond):
		}
	}
	if code, _, stderr := run(t, "uno\n\n¡tres!\n", "pub", "otro", "-", "--url", url); code != 0 {
		t.Fatal(stderr)
	}
	want := []string{"[otro] uno\n", "[otro] \n", "[otro] ¡tres!\n"}
	for len(want) > 0 {
		line, err := heard.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "[chat] hello\n" {
			continue
		}
		if line != want[0] {
			t.Errorf("heard %q, want %q", line, want[0])
		}
		want = want[1:]
	}
	if code, _, stderr := run(t, "", "pub", "__x", "m", "--url", url); code != 1 || !strings.Contains(stderr, "403") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if code, _, stderr := run(t, "", "sub", "__x", "--url", url); code != 1 || !strings.Contains(stderr, "403") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("sub exited with %d", code)
	}
}

// A module of its own that adds a broker builds a pregon which serves on it.
func TestPlugin(t *testing.T) {
	program := filepath.Join(t.TempDir(), "pregon")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "testdata", "plugin")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	server := exec.Command(program, "--listen", "localhost:0", "--broker", "loop://")
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test has failed before its end
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	url := address(t, stdout)
	resp, err := http.Get(url + "/sse/chat")
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "", "pub", "chat", "hola", "--url", url); code != 0 {
		t.Fatal(stderr)
	}
	lines := bufio.NewReader(resp.Body)
	for line := ""; line != "data: hola\n"; {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Error("the server did not exit with 0:", err)
	}
}
