package cmd_test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/pregon/pregon/"

// The packages that may be known where. Nobody else may depend on the first of
// each row, not even through another package of ours.
var layers = []struct {
	what string
	may  []string // prefixes of package paths within the module
}{
	{"github.com/redis/go-redis/v9", []string{"broker/redis", "broker/miniredis", "cmd/pregon"}},
	{"github.com/alicebob/miniredis/v2", []string{"broker/miniredis", "cmd/pregon"}},
	{"github.com/gorilla/websocket", []string{"transport/ws", "cmd/pregon"}},
	{"github.com/labstack/echo/v4", []string{"server", "cmd"}},
	{"github.com/alecthomas/kong", []string{"cmd"}},
	{module + "transport", []string{"transport", "server", "cmd"}},
	{module + "server/hub", []string{"server", "cmd"}},
	{module + "server", []string{"server", "cmd"}},
	{module + "cmd", []string{"cmd"}},
}

// Imports run one way: broker, then drivers and transport, then protocols and
// the hub, then the server, then the command line.
func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, module+"...").Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	for line := range strings.Lines(string(out)) {
		deps := strings.Fields(line)
		pkg := strings.TrimPrefix(deps[0], module)
		for _, dep := range deps[1:] {
			checkLayer(t, pkg, dep)
		}
	}
}

func checkLayer(t *testing.T, pkg, dep string) {
	t.Helper()
	if pkg == "broker" && strings.Contains(dep, ".") {
		t.Errorf("broker depends on %s; it may on the standard library only", dep)
	}
	if pkg == "server/hub" && dep == "github.com/labstack/echo/v4" {
		t.Errorf("%s depends on %s", pkg, dep)
	}
	for _, l := range layers {
		if dep == l.what && !within(pkg, l.may) {
			t.Errorf("%s depends on %s", pkg, dep)
		}
	}
}

func within(pkg string, prefixes []string) bool {
	for _, p := range prefixes {
		if pkg == p || strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}
