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
	{"github.com/gorilla/websocket", []string{"transport/ws"}},
	{"github.com/labstack/echo/v4", []string{"server"}},
	{"github.com/alecthomas/kong", []string{"cmd"}},
}

// reached is about everything that a package depends on, directly or not.
var reached = []rule{
	{"github.com/redis/go-redis/v9", []string{"broker/redis", "broker/miniredis", "cmd/pregon"}},
	{"github.com/gorilla/websocket", []string{"transport/ws", "cmd/pregon"}},
	{"github.com/labstack/echo/v4", []string{"server", "cmd"}},
	{module + "broker/memory", []string{"broker/memory", "cmd/pregon"}},
	{module + "broker/redis", []string{"broker/redis", "broker/miniredis", "cmd/pregon"}},
	{module + "broker/miniredis", []string{"broker/miniredis", "cmd/pregon"}},
	{module + "transport", []string{"transport", "server", "cmd"}},
	{module + "transport/ws", []string{"transport/ws", "cmd/pregon"}},
	{module + "transport/sse", []string{"transport/sse", "cmd/pregon"}},
	{module + "server", []string{"server", "cmd"}},
	{module + "cmd", []string{"cmd"}},
}

// hubMayNot is what the hub must not reach, though it lives below the server.
var hubMayNot = []string{"github.com/labstack/echo/v4", module + "server"}

// Imports run one way: broker, then drivers and transport, then protocols and
// the hub, then the server, then the command line.
func TestImportsRunOneWay(t *testing.T) {
	seen := 0
	for pkg, imports := range list(t, "Imports") {
		check(t, pkg, imports, imported)
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
			if pkg == "server/hub" && slices.Contains(hubMayNot, dep) {
				t.Errorf("server/hub depends on %s", dep)
			}
		}
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

func below(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }
