package cmd_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pregon/pregon/"

// A rule says which packages of the module may know another one. All paths stand
// for what is below them, too.
type rule struct {
	what string
	may  []string // within the module
}

// imported is about import statements: each of these is used in one place.
var imported = []rule{
	{"github.com/redis/go-redis/v9", []string{"broker/redis"}},
	{"github.com/alicebob/miniredis/v2", []string{"broker/miniredis"}},
	{"github.com/nats-io/nats.go", []string{"broker/nats"}},
	{"github.com/gorilla/websocket", []string{"transport/internal/websocket", "transport/live/livetest", "cmd/live"}},
	{"github.com/labstack/echo/v4", []string{"server"}},
	{"github.com/alecthomas/kong", []string{"cmd"}},
	{"go.yaml.in/yaml/v4", []string{"server/config"}},
	{"github.com/golang-jwt/jwt/v5", []string{"server/access/token"}},
	{"github.com/MicahParks/jwkset", []string{"server/access/token"}},
	{"go.opentelemetry.io", []string{"server/tracing", "cmd/traces"}},
	{"github.com/prometheus", []string{"server/metrics"}},
	{"golang.org/x/crypto", []string{"cmd/certificate"}},
}

// reached is about everything that a package depends on, directly or not.
var reached = []rule{
	{"github.com/redis/go-redis/v9", []string{"broker/redis", "broker/miniredis", "cmd/pregon"}},
	{"github.com/gorilla/websocket", []string{"transport/internal/websocket", "transport/ws", "transport/live", "cmd"}},
	{"github.com/labstack/echo/v4", []string{"server", "cmd"}},
	{"go.opentelemetry.io", []string{"server", "cmd"}},
	{"github.com/prometheus", []string{"server", "cmd"}},
	{module + "broker/memory", []string{"broker/memory", "transport/transporttest", "cmd/pregon"}},
	{module + "broker/redis", []string{"broker/redis", "broker/miniredis", "cmd/pregon"}},
	{module + "broker/miniredis", []string{"broker/miniredis", "cmd/pregon"}},
	{module + "broker/nats", []string{"broker/nats", "cmd/pregon"}},
	{module + "transport", []string{"transport", "server", "cmd"}},
	{module + "transport/ws", []string{"transport/ws", "cmd/pregon"}},
	{module + "transport/live", []string{"transport/live", "cmd/pregon"}},
	{module + "transport/sse", []string{"transport/sse", "cmd/pregon"}},
	{module + "transport/transporttest", []string{"transport/transporttest"}},
	{module + "server", []string{"server", "transport/transporttest", "cmd"}},
	{module + "client", []string{"client", "server", "cmd"}},
	{module + "cmd", []string{"cmd"}},
}

// mayNot is what packages must not reach though the rules above would let them, as they
// live below the server.
var mayNot = map[string][]string{
	"server/hub/interest": {module + "transport", module + "server/hub"},
	"server/hub/backfill": {"github.com/labstack/echo/v4", module + "server", module + "server/node", module + "server/hub"},
	"server/hub":          {"github.com/labstack/echo/v4", "go.opentelemetry.io/otel/trace", module + "server", module + "server/node"},
	"server/presence":     {"github.com/labstack/echo/v4", module + "server", module + "server/node", module + "server/hub", module + "server/access"},
	"server/node":         {"github.com/labstack/echo/v4", "go.opentelemetry.io/otel/trace", module + "server"},
	"server/tracing":      {"github.com/labstack/echo/v4", "go.opentelemetry.io/otel/sdk/trace", module + "server", module + "server/node", module + "server/access"},
	"server/metrics":      {"github.com/labstack/echo/v4", module + "transport", module + "broker", module + "server", module + "server/node", module + "server/hub"},
	"server/console":      {"github.com/labstack/echo/v4", module + "transport", module + "broker", module + "server"},
	"server/limit":        {"github.com/labstack/echo/v4", module + "server", module + "server/node", module + "server/hub"},
	"server/access":       {"github.com/labstack/echo/v4", "go.opentelemetry.io/otel/trace", module + "server", module + "server/node", module + "server/hub", module + "server/limit"},
	"server/access/token": {"github.com/labstack/echo/v4", module + "transport", module + "broker", module + "server/access"},

	// It runs a transport on what is below the server, and no other has a use for it.
	"transport/transporttest": {"github.com/labstack/echo/v4", module + "server", module + "transport/ws", module + "transport/live", module + "transport/sse"},
}

// mayNotImport is likewise about import statements: these
// packages have what their neighbours need, and no use for it.
var mayNotImport = map[string][]string{
	"server/node":         {"net/http"},
	"server/hub/backfill": {module + "transport/socket"}, // it knows no clients
}

// Imports run one way: broker, then drivers and transport, then protocols and
// the hub, then the node, then the server, then the command line.
func TestImportsRunOneWay(t *testing.T) {
	seen := 0
	for pkg, imports := range list(t, "Imports") {
		check(t, pkg, imports, imported)
		checkNot(t, pkg, imports, mayNotImport)
		seen++
	}
	if seen < len(imported) {
		t.Fatalf("go list named %d packages only", seen)
	}
	for pkg, deps := range list(t, "Deps") {
		check(t, pkg, deps, reached)
		for _, dep := range deps {
			if pkg == "broker" && strings.Contains(dep, ".") {
				t.Errorf("broker depends on %s; it may on the standard library only", dep)
			}
		}
		checkNot(t, pkg, deps, mayNot)
	}
}

// list returns a field of go list for each package of the module.
func list(t *testing.T, field string) map[string][]string {
	t.Helper()
	format := "{{.ImportPath}}{{range ." + field + "}} {{.}}{{end}}"
	out, err := exec.Command("go", "list", "-f", format, module+"...").Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	packages := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		packages[strings.TrimPrefix(words[0], module)] = words[1:]
	}
	return packages
}

func check(t *testing.T, pkg string, uses []string, rules []rule) {
	t.Helper()
	for _, use := range uses {
		for _, r := range rules {
			within := func(path string) bool { return below(pkg, path) }
			if below(use, r.what) && !slices.ContainsFunc(r.may, within) {
				t.Errorf("%s depends on %s", pkg, use)
			}
		}
	}
}

// checkNot is check for what a package must not know.
func checkNot(t *testing.T, pkg string, uses []string, not map[string][]string) {
	t.Helper()
	for _, use := range uses {
		if slices.Contains(not[pkg], use) {
			t.Errorf("%s depends on %s", pkg, use)
		}
	}
}

func below(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }
