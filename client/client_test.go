package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/client"
	"github.com/pregon/pregon/client/browsertest"
)

const patience = 2 * time.Minute

// run runs a program of node's in a folder, and returns what it says.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, found(t, name), args...)
	command.Dir = dir
	return output(t, command)
}

// output runs command and returns what it prints.
func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, &out, &problems)
	}
	return out.String()
}

// found returns the path of a program.
func found(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		browsertest.Missing(t, "no "+name+": apt-get install nodejs npm")
	}
	return path
}

// installed returns the path of a file of a package that NODE_PATH has.
func installed(t *testing.T, file string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("NODE_PATH")) {
		if path := filepath.Join(dir, file); exists(path) {
			return path
		}
	}
	name, _, _ := strings.Cut(file, "/")
	browsertest.Missing(t, "npm install "+name+", and set NODE_PATH")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The tests of the client in test, with a server that they play.
func TestClient(t *testing.T) {
	t.Parallel()
	run(t, ".", "node", "--test", "test")
}

// Minified and compressed the client has at most 5 KiB.
func TestClientIsSmall(t *testing.T) {
	t.Parallel()
	small := run(t, ".", installed(t, "esbuild/bin/esbuild"), "--minify", "--format=esm", "pregon.js")
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(small)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, minified %d, compressed %d", len(client.Module), len(small), packed.Len())
	if packed.Len() > 5<<10 {
		t.Errorf("it has %d bytes", packed.Len())
	}
}

// A page in TypeScript has all that it needs in pregon.d.ts, and is told where it is wrong.
func TestClientHasTypes(t *testing.T) {
	t.Parallel()
	run(t, ".", "node", installed(t, "typescript/bin/tsc"), "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext",
		"--lib", "es2023,dom,dom.asynciterable,esnext.disposable", "--types", "", filepath.Join("testdata", "usage.ts"))
}

// What is published has the module, its types, its page and the license.
func TestClientPacks(t *testing.T) {
	t.Parallel()
	listed := run(t, ".", "npm", "pack", "--dry-run", "--json", "--offline")
	for _, name := range []string{"LICENSE", "README.md", "package.json", "pregon.d.ts", "pregon.js"} {
		if !strings.Contains(listed, `"path": "`+name+`"`) {
			t.Errorf("%s is missing in\n%s", name, listed)
		}
	}
	if strings.Contains(listed, ".test.js") {
		t.Error("it has the tests")
	}
}
