package cmd_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// throughTheDoor is what only package node calls, beside drivers and the hub: the ways
// to do something with a channel.
var throughTheDoor = []string{
	"broker.PublishAll", "broker.HistoryOf",
	"Broker.Publish", "Broker.Feed", "BatchPublisher.PublishBatch", "Historian.History", "Historian.Newest", "Historian.Keep",
	"Marker.Mark", "Marker.Marks", "Clearer.Clear", "Prober.Probe",
	"Hub.Join", "Hub.Watch", "Hub.Mark", "Hub.Subscribers",
}

// The server and the transports do nothing with channels but through a Client: they use
// neither the broker nor the hub for that.
func TestOneDoor(t *testing.T) {
	t.Parallel()
	exports := exported(t)
	for _, pkg := range []string{"server", "transport", "transport/ws", "transport/sse", "transport/live", "transport/local", "transport/socket"} {
		for used := range usedBy(t, pkg, exports) {
			if slices.Contains(throughTheDoor, used) {
				t.Errorf("%s uses %s, which is package node's to do", pkg, used)
			}
		}
	}
	// The test itself: it does see such a use where there is one.
	seen := usedBy(t, "server/node", exports)
	for _, name := range []string{"broker.PublishAll", "broker.HistoryOf", "Broker.Publish", "Historian.History", "Historian.Newest", "Historian.Keep", "Clearer.Clear", "Hub.Join", "Hub.Watch", "Hub.Mark", "Hub.Subscribers"} {
		if !seen[name] {
			t.Errorf("server/node does not use %s: the test does not see it, or it is to be taken off the list", name)
		}
	}
}

// usedBy returns the functions and methods of the module's broker and hub that a
// package uses, as package.Function and Type.Method.
func usedBy(t *testing.T, pkg string, exports map[string]string) map[string]bool {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range goFiles(t, pkg) {
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	if _, err := config.Check(module+pkg, fset, files, info); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, object := range info.Uses {
		f, ok := object.(*types.Func)
		if !ok || f.Pkg() == nil || f.Pkg().Path() != module+"broker" && f.Pkg().Path() != module+"server/hub" {
			continue
		}
		used[qualified(f)] = true
	}
	return used
}

// qualified returns the name of f behind that of its receiver, or of its package.
func qualified(f *types.Func) string {
	receiver := f.Signature().Recv()
	if receiver == nil {
		return f.Pkg().Name() + "." + f.Name()
	}
	of := receiver.Type()
	if p, ok := of.(*types.Pointer); ok {
		of = p.Elem()
	}
	if named, ok := of.(*types.Named); ok {
		return named.Obj().Name() + "." + f.Name()
	}
	return f.Name()
}

// goFiles returns the files that a package is built of here.
func goFiles(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.Dir}}{{range .GoFiles}} {{.}}{{end}}`, module+pkg).Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	words := strings.Fields(string(out))
	for i := range words[1:] {
		words[i+1] = filepath.Join(words[0], words[i+1])
	}
	return words[1:]
}

// exported returns, for each package of the program, the file with what it exports.
func exported(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-export", "-f", `{{.ImportPath}} {{.Export}}`, module+"cmd/pregon").Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			files[path] = file
		}
	}
	return files
}
