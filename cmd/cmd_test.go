package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	_ "github.com/pregon/pregon/broker/memory"
	_ "github.com/pregon/pregon/broker/miniredis"
	_ "github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/cmd"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

// asPregon is a variable that has the test program be pregon, as for commands that
// start their own program again.
const asPregon = "CMD_TEST_AS_PREGON"

func TestMain(m *testing.M) {
	if os.Getenv(asPregon) != "" {
		cmd.Main()
	}
	goleak.VerifyTestMain(m)
}

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
		{"--max-connections=-1", 2, "--max-connections"},
		{"--queue-bytes 0", 2, "--queue-bytes"},
		{"--queue-bytes 125", 2, "--queue-bytes"},
		{"redis://:s3cret@h", 2, "argument"},
		{"--listen redis://:s3cret@h:1", 2, "HOST:PORT"},
		{"pub c m --url ::", 2, "--url"},
		{"pub c m --url redis://h", 2, "--url"},
		{"pub c m --url http://127.0.0.1:1", 1, "refused"},
		{"sub c --url ::", 2, "--url"},
		{"sub c --url localhost:8000", 2, "--url"},
		{"sub c --url http://h?x=1", 2, "--url"},
		{"--ping-interval=-1s", 2, "--ping-interval"},
		{"--ping-interval 60s", 2, "--pong-timeout"},
		{"--write-timeout 0", 2, "--write-timeout"},
		{"--drain-time soon", 2, "--drain-time"},
		{"--log-level loud", 2, "--log-level"},
		{"--log-format xml", 2, "--log-format"},
		{"--tls-cert x.pem", 2, "--tls-key"},
		{"--allow-origin nonsense", 2, `--allow-origin: "nonsense"`},
		{"--allow-origin https://a.*.example", 2, `--allow-origin: "https://a.*.example"`},
		{"--host https://rt.example.com", 2, `--host: "https://rt.example.com"`},
		{"--host rt.example.com:8000", 2, "--host"},
		{"sub x --format xml", 2, "--format"},
		{"bench --subscribers 0", 2, "--subscribers"},
		{"bench --subscribers 5 --channels 6", 2, "--channels"},
		{"bench --messages 0", 2, "--messages"},
		{"bench --messages 5 --duration 5s", 2, "--duration"},
		{"bench --size 23", 2, "24 bytes"},
		{"bench --rate=-1", 2, "--rate"},
		{"bench --transport ftp", 2, "--transport"},
		{"bench --floor --transport sse", 2, "--floor"},
		{"bench --pid 1", 2, "--pid"},
		{"bench --html no-such-folder/x.html", 2, "no-such-folder"},
		{"bench --url localhost:8000", 2, "--url"},
		{"bench --url http://127.0.0.1:1 --subscribers 1", 1, "refused"},
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
		{"--history=-1s", 2, "--history"},
		{"--history 999ms", 2, "--history"},
		{"--history 721h", 2, "--history"},
		{"--history 9e99s", 2, "--history"},
		{"--history 5", 2, "--history"},
		{"--history 5m --history-size 0", 2, "--history-size"},
		{"--history-size 1000001", 2, "--history-size"},
		{"--history-size many", 2, "--history-size"},
		{"--history 5m --broker memory://?history=1m", 2, "the broker URL says"},
		{"--history 5m --broker redis://:s3cret@h?prefix=x&history-size=3", 2, "the broker URL says"},
		{"--history 5m --broker forgetful://", 2, "forgetful:// keep no history"},
		{"--history 5m --broker careless://", 2, "this broker keeps no history"},
		{"--history 5m --broker redis", 2, "scheme"},
		{"pub c - --key k", 2, "--key"},
		{"sub c --last 1001", 2, "--last"},
		{"sub c --last=-1", 2, "--last"},
		{"sub c --since x", 2, "--since"},
		{"sub c --last 1 --since ZZ3yqgAAAAAAAAAHAAAAAAAAAAM", 2, "--since"},
		{"--listen localhost:65536", 2, "65536"},
		{"--listen abc", 2, "abc"},
		{"--listen localhost:0 --broker redis://:s3cret@127.0.0.1:1 --broker-required", 1, "127.0.0.1:1"},
		{"--listen localhost:0 --tls-cert no.pem --tls-key no.pem", 1, "no.pem"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := run(t, "", strings.Fields(c.args)...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			last := lines[len(lines)-1]
			ours := strings.HasPrefix(last, "pregon: ") && !strings.Contains(last, "usage")
			if code != c.code || !ours || !strings.Contains(last, c.says) {
				t.Errorf("exit %d, %q; want %d and %q", code, stderr, c.code, c.says)
			}
			if strings.Contains(stdout+stderr, "s3") {
				t.Errorf("the password is shown: %q %q", stdout, stderr)
			}
		})
	}
}

// Bad values in the environment are refused like those of flags.
func TestBadEnvironment(t *testing.T) {
	for name, flag := range map[string]string{
		"PREGON_MAX_MESSAGE": "--max-message", "PREGON_PING_INTERVAL": "--ping-interval", "PREGON_LOG_FORMAT": "--log-format",
		"PREGON_HISTORY": "--history", "PREGON_HISTORY_SIZE": "--history-size",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "10 MB")
			if code, _, stderr := run(t, ""); code != 2 || !strings.Contains(stderr, flag) {
				t.Errorf("exit %d, %q", code, stderr)
			}
		})
	}
}

// A password in the environment works and is shown nowhere, --help included.
func TestSecretOfEnvironment(t *testing.T) {
	t.Setenv("PREGON_BROKER", "redis://:s3cret@127.0.0.1:1")
	for args, want := range map[string]int{"--help": 0, "serve --help": 0, "--listen localhost:0 --broker-required": 1} {
		code, stdout, stderr := run(t, "", strings.Fields(args)...)
		if code != want || strings.Contains(stdout+stderr, "s3") {
			t.Errorf("%s: exit %d, %q %q", args, code, stdout, stderr)
		}
	}
}

// Sizes are bytes, or a number with a binary unit directly behind it.
func TestSizes(t *testing.T) {
	for value, good := range map[string]bool{
		"126": true, "1048576": true, "64KiB": true, "1MiB": true, "2GiB": true, "64GiB": true,
		"": false, "10 MB": false, "10MB": false, "1 MiB": false, "1mib": false, "KiB": false, "1.5MiB": false, "+1MiB": false,
		"-1": false, "0": false, "0x100": false, "9e99": false, "65GiB": false, "99999999999999999999": false, "9223372036854775807GiB": false,
	} {
		// A good size gets as far as the certificate, which is not there.
		code, _, stderr := run(t, "", "--max-message="+value, "--listen", "localhost:0", "--tls-cert", "nowhere", "--tls-key", "nowhere", "--broker", "memory://")
		if good && (code != 1 || !strings.Contains(stderr, "nowhere")) || !good && (code != 2 || !strings.Contains(stderr, "--max-message")) {
			t.Errorf("--max-message=%q: exit %d, %q", value, code, stderr)
		}
	}
}

// The commands that only tell something.
func TestInfo(t *testing.T) {
	for args, says := range map[string]string{
		"brokers": "BROKER", "brokers --help": "OWN RULES", "version": "pregon ",
		"--help": "pregon pub noticias", "serve --help": "PREGON_MAX_MESSAGE", "pub --help": "<message>", "sub --help": "--format",
	} {
		if code, stdout, stderr := run(t, "", strings.Fields(args)...); code != 0 || !strings.Contains(stdout, says) {
			t.Errorf("%s: exit %d, %q %q", args, code, stdout, stderr)
		}
	}
}

// The table of brokers has a row for each scheme, made from what its driver can do.
func TestBrokersTable(t *testing.T) {
	code, stdout, stderr := run(t, "", "brokers")
	if code != 0 {
		t.Fatalf("exit %d, %q", code, stderr)
	}
	rows := map[string]string{}
	for line := range strings.Lines(stdout) {
		fields := strings.Fields(line)
		rows[fields[0]] = strings.Join(fields[1:], " ")
	}
	for scheme, want := range map[string]string{
		"memory://": "one yes yes yes - no", "miniredis://": "one yes yes yes - yes", "redis://": "many yes yes yes heard yes", "unix://": "many yes yes yes heard yes",
	} {
		if rows[scheme] != want {
			t.Errorf("%s: %q, want %q", scheme, rows[scheme], want)
		}
	}
	for _, scheme := range broker.Drivers() {
		if rows[scheme+"://"] == "" {
			t.Errorf("no row for %s", scheme)
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
		code := cmd.Run(ctx, append([]string{"--listen", "localhost:0", "--drain-notice", "0", "--drain-time", "10ms"}, args...), nil, w, io.Discard)
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
	long := strings.Repeat("ñ", 500<<10) // bytes: just less than the server's limit
	if code, _, stderr := run(t, "", "pub", "otro", long, "--url", url); code != 0 {
		t.Error("a message that the server takes is not published:", stderr)
	}
	if line, err := heard.ReadString('\n'); err != nil || line != "[otro] "+long+"\n" {
		t.Errorf("heard %d bytes, %v", len(line), err)
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
