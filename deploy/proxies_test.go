package deploy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/cmd"
)

// freePort returns an address at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Through each proxy, as it is configured here, everything passes: pregon doctor finds nothing.
func TestProxies(t *testing.T) {
	for name, proxy := range map[string]struct {
		file string
		run  func(config, folder string) *exec.Cmd
	}{
		"nginx": {"nginx.conf", func(config, folder string) *exec.Cmd {
			return exec.Command(tool(t, "nginx"), "-p", folder, "-e", "stderr", "-c", config, "-g", "daemon off; pid "+folder+"/pid;")
		}},
		"haproxy": {"haproxy.cfg", func(config, _ string) *exec.Cmd {
			return exec.Command(tool(t, "haproxy"), "-f", config)
		}},
		"caddy": {"Caddyfile", func(config, folder string) *exec.Cmd {
			command := exec.Command(tool(t, "caddy"), "run", "--adapter", "caddyfile", "--config", config)
			command.Env = append(os.Environ(), "HOME="+folder, "XDG_CONFIG_HOME="+folder, "XDG_DATA_HOME="+folder)
			return command
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for a ping
			backend, front, folder := serve(t), freePort(t), t.TempDir()
			config := text(t, proxy.file)
			for old, now := range map[string]string{
				"pregon-1:8000": backend.address, "pregon-2:8000": backend.address,
				"listen 80;": "listen " + front + "; access_log off; client_body_temp_path " + folder + "/body; proxy_temp_path " + folder + "/proxy; fastcgi_temp_path " + folder + "/f; uwsgi_temp_path " + folder + "/u; scgi_temp_path " + folder + "/s;",
				"bind :80":   "bind " + front, "\n:80 {": "\nhttp://" + front + " {", "30000": "200", "65536": "1024",
			} {
				config = strings.ReplaceAll(config, old, now)
			}
			if name == "nginx" && os.Geteuid() == 0 {
				config = "user root root;\n" + config // or its workers may not use the folder
			}
			if name == "caddy" {
				config = "{\n\tadmin off\n}\n" + config // or it would listen on a fixed port
			}
			path := filepath.Join(folder, proxy.file)
			if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, proxy.run(path, folder), front)
			var out, errors strings.Builder
			code := cmd.Run(t.Context(), []string{"doctor", "--url", "http://" + front}, nil, &out, &errors)
			if code != 0 || strings.Contains(out.String(), "\nwarn") || !strings.Contains(out.String(), "ok    silence") {
				t.Errorf("exit %d, %s\n%s", code, errors.String(), out.String())
			}
			gone(t, backend)
		})
	}
}

// gone returns when no client is connected to a server: that of a proxy which keeps what its clients have
// left never is.
func gone(t *testing.T, backend node) {
	t.Helper()
	var figures string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if figures = get(t, "http://"+backend.admin+"/metrics"); connected.MatchString(figures) && !some.MatchString(figures) {
			return
		}
	}
	t.Errorf("clients that went away are still connected: %s", some.FindAllString(figures, -1))
}

var (
	connected = regexp.MustCompile(`(?m)^pregon_connections\{\S* \d+$`)
	some      = regexp.MustCompile(`(?m)^pregon_connections\{\S* [1-9]\d*$`)
)

// get returns what is at a URL.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, resp.StatusCode, err)
	}
	return string(content)
}

// A node is a server as it is behind a proxy.
type node struct {
	address, admin string
	stop           func()
}

// serve runs a node until it is stopped, or the test ends.
func serve(t *testing.T, flags ...string) node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	admin := freePort(t)
	said, out := io.Pipe()
	done := make(chan int, 1)
	go func() {
		code := cmd.Run(ctx, append([]string{"--broker", "memory://", "--history", "5m", "--listen", "127.0.0.1:0", "--open", "--trust-proxy", "127.0.0.1",
			"--admin", admin, "--drain-notice", "0", "--drain-time", "10ms"}, flags...), nil, out, io.Discard)
		_ = out.Close()
		done <- code
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("the server exited with %d", code)
		}
	})
	t.Cleanup(stop)
	lines := bufio.NewReader(said)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the server printed %q and ended", first)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return node{strings.TrimPrefix(strings.TrimSpace(first), "pregon is listening on http://"), admin, stop}
}

// run runs a proxy until the test ends.
func run(t *testing.T, proxy *exec.Cmd, front string) {
	t.Helper()
	var said strings.Builder
	proxy.Stderr = &said
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.Process.Signal(os.Interrupt)
		_ = proxy.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	await(t, front)
}

// await returns when somebody listens there.
func await(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
