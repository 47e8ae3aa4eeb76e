package cmd_test

import (
	"go/ast"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A server that others could administer does not start without a key for it, and says what is missing; nor where the address is none.
func TestAdminExposure(t *testing.T) {
	t.Setenv("OPS", goodKey)
	withKey := written(t, "pregon.yaml", "keys: [{name: app, env: OPS}]\nrules: []\n")
	for _, c := range []struct{ name, want string }{
		{"--admin :0", "--admin: :0 is not a loopback address, so it needs a key with admin: true"},
		{"--admin 0.0.0.0:0 --open", "--admin: 0.0.0.0:0 is not a loopback address"},
		{"--admin :0 --config " + withKey, "so it needs a key with admin: true"},
		{"--admin 8001", "--admin: a port alone is written :8001"},
		{"--admin localhost:99999", "--admin: the port must be a number"},
	} {
		code, stdout, stderr := run(t, "", append([]string{"--broker", "memory://", "--listen", "localhost:0"}, strings.Fields(c.name)...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %q, %q", c.name, code, stdout, stderr)
		}
	}
}

// adminRoutes returns the paths in the table of what operators have, in the source: those with the field path.
func adminRoutes(t *testing.T) map[string]bool {
	t.Helper()
	paths := map[string]bool{}
	sources(t, func(n ast.Node) {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return
		}
		value, ok := pair.Value.(*ast.BasicLit)
		if key, named := pair.Key.(*ast.Ident); !ok || !named || key.Name != "path" {
			return
		}
		if path, err := strconv.Unquote(value.Value); err == nil {
			paths[path] = true
		}
	}, "server")
	return paths
}

// The README has every address that operators have.
func TestREADMEHasTheRoutesOfOperators(t *testing.T) {
	about := section(t, read(t, "server/README.md"), "### Admin")
	for path := range adminRoutes(t) {
		begin, _, _ := strings.Cut(path, "*")
		if begin, _, _ = strings.Cut(begin, ":"); !strings.Contains(about, begin) {
			t.Errorf("%s is not documented", path)
		}
	}
}

// operators is where the log says that operators may ask.
var operators = regexp.MustCompile(`operators may ask" address=(\S+)`)

// With --admin, the figures are there, on the address that the log names, and at the public one no more; on all addresses a
// key of the file lets in.
func TestAdmin(t *testing.T) {
	t.Parallel()
	r := startReloader(t, "admin: \":0\"\nkeys: [{name: ops, file: "+written(t, "key", goodKey)+", admin: true}]\nrules: []\n")
	line := r.line()
	found := operators.FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("%q", line)
	}
	port := found[1][strings.LastIndex(found[1], ":"):]
	for _, c := range []struct {
		url, key string
		want     int
	}{
		{"http://localhost" + port + "/metrics", goodKey, 200},
		{"http://localhost" + port + "/metrics", "", 401},
		{"http://localhost" + port + "/healthz", "", 200},
		{r.url + "/metrics", goodKey, 404},
		{"http://localhost" + port + "/channels", goodKey, 200},
		{"POST http://localhost" + port + "/drain", goodKey, 202},
	} {
		method, url, post := strings.Cut(c.url, " ")
		if !post {
			method, url = "GET", c.url
		}
		req, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.key != "" {
			req.Header.Set("Authorization", "Bearer "+c.key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s %s", c.url, resp.Status, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := r.server.Wait(); err != nil {
		t.Error("the server that was drained did not exit with 0:", err)
	}
}
