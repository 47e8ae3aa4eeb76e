package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/cmd"
)

// freePort returns an address at which nobody listens, and at which a server can be started again.
func freePort(t *testing.T) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(redistest.FreePort(t)))
}

// A proxy is a program that stands in front of nodes, with a configuration of this folder.
type proxy struct {
	file    string
	command func(t *testing.T, config, folder string) *exec.Cmd
	adapt   func(config string, at ports) string // to this machine
}

// ports is where a proxy listens, and the folder with its certificate and with all that it writes.
type ports struct{ plain, secure, folder string }

var proxies = map[string]proxy{
	"nginx": {"nginx.conf", func(t *testing.T, config, folder string) *exec.Cmd {
		return exec.Command(tool(t, "nginx"), "-p", folder, "-e", "stderr", "-c", config, "-g", "daemon off; pid "+folder+"/pid;")
	}, func(config string, at ports) string {
		paths := ""
		for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			paths += " " + of + "_temp_path " + at.folder + "/" + of + ";"
		}
		if os.Geteuid() == 0 {
			config = "user root root;\n" + config // or its workers may not use the folder
		}
		return strings.NewReplacer("listen 80;", "listen "+at.plain+"; access_log off;"+paths, "listen 443", "listen "+at.secure,
			"30000", "200", "65536", "1024").Replace(config)
	}},
	"haproxy": {"haproxy.cfg", func(t *testing.T, config, _ string) *exec.Cmd {
		return exec.Command(tool(t, "haproxy"), "-f", config)
	}, func(config string, at ports) string {
		return strings.NewReplacer("bind :80", "bind "+at.plain, "bind :443", "bind "+at.secure, "30000", "200").Replace(config)
	}},
	"caddy": {"Caddyfile", func(t *testing.T, config, folder string) *exec.Cmd {
		command := exec.Command(tool(t, "caddy"), "run", "--adapter", "caddyfile", "--config", config)
		command.Env = append(os.Environ(), "HOME="+folder, "XDG_CONFIG_HOME="+folder, "XDG_DATA_HOME="+folder)
		return command
	}, func(config string, at ports) string {
		before, site, _ := strings.Cut(config, "\n:80 {")
		const own = "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n" // or it would listen on fixed ports
		return own + before + "\nhttp://" + at.plain + " {" + site + "\nhttps://" + at.secure + " {\n\ttls " + at.folder + "/tls.crt " + at.folder + "/tls.key" + site
	}},
}

// through runs a test with each of the proxies.
func through(t *testing.T, test func(t *testing.T, p proxy)) {
	t.Parallel() // it mostly waits
	for name, p := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// start runs a proxy in front of two nodes, with and without TLS, until the test ends.
func (p proxy) start(t *testing.T, first, second node) ports {
	t.Helper()
	at := ports{freePort(t), freePort(t), t.TempDir()}
	writeCertificate(t, at.folder)
	config := strings.NewReplacer("pregon-1:8000", first.address, "pregon-2:8000", second.address, "#tls ", "",
		"/etc/pregon", at.folder).Replace(text(t, p.file))
	path := filepath.Join(at.folder, p.file)
	if err := os.WriteFile(path, []byte(p.adapt(config, at)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, p.command(t, path, at.folder), at.plain)
	return at
}

// Through each proxy, as it is configured here, everything passes, with TLS and without: pregon doctor finds nothing.
func TestProxies(t *testing.T) {
	through(t, func(t *testing.T, p proxy) {
		backend := serve(t)
		at := p.start(t, backend, backend)
		t.Run("ways", func(t *testing.T) {
			for _, url := range []string{"http://" + at.plain, "https://" + at.secure} {
				t.Run(strings.SplitN(url, ":", 2)[0], func(t *testing.T) {
					t.Parallel()
					var out, errors strings.Builder
					code := cmd.Run(t.Context(), []string{"doctor", "--url", url, "--ca", filepath.Join(at.folder, "tls.crt")}, nil, &out, &errors)
					if code != 0 || strings.Contains(out.String(), "\nwarn") || !strings.Contains(out.String(), "ok    silence") {
						t.Errorf("exit %d, %s\n%s", code, errors.String(), out.String())
					}
				})
			}
		})
		gone(t, backend)
	})
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
	var log bytes.Buffer // to be read when the server has ended
	done := make(chan int, 1)
	go func() {
		code := cmd.Run(ctx, append([]string{"--broker", "memory://", "--history", "5m", "--listen", "127.0.0.1:0", "--open", "--trust-proxy", "127.0.0.1",
			"--admin", admin, "--drain-notice", "0", "--drain-time", "10ms"}, flags...), nil, out, &log)
		_ = out.Close()
		done <- code
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("the server exited with %d: %s", code, log.String())
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

// writeCertificate makes tls.crt and tls.key, and tls.pem, which has both.
func writeCertificate(t *testing.T, folder string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	for name, content := range map[string][]byte{"tls.crt": cert, "tls.key": key, "tls.pem": slices.Concat(cert, key)} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
