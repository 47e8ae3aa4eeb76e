package client_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// A runtime is what runs a client that is in no page, and a way in which it connects: see testdata/transport.node.js.
type runtime struct {
	program   []string
	transport string
}

// eachRuntime runs test with all of them, beside each other.
func eachRuntime(t *testing.T, test func(t *testing.T, r runtime)) {
	for name, r := range map[string]func(t *testing.T) runtime{
		"Node, sockets": func(t *testing.T) runtime { installed(t, "ws/package.json"); return runtime{node(t), "ws"} },
		"Node, streams": func(t *testing.T) runtime { return runtime{node(t), "streams"} },
		"Deno, sockets": func(t *testing.T) runtime { return runtime{deno(t), "native"} },
		"Deno, streams": func(t *testing.T) runtime { return runtime{deno(t), "streams"} },
		"Bun, sockets":  func(t *testing.T) runtime { return runtime{bun(t), "native"} },
		"Bun, streams":  func(t *testing.T) runtime { return runtime{bun(t), "streams"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, r(t))
		})
	}
}

func node(t *testing.T) []string { return []string{found(t, "node")} }

func deno(t *testing.T) []string {
	return []string{installed(t, "deno/deno"), "run", "--quiet", "--no-lock", "--allow-net", "--allow-read", "--allow-env"}
}

func bun(t *testing.T) []string { return []string{installed(t, "bun/bin/bun.exe")} }

// command returns the run of a script of testdata that speaks to a server.
func (r runtime) command(ctx context.Context, script, address string) *exec.Cmd {
	args := append(r.program[1:len(r.program):len(r.program)], filepath.Join("testdata", script), address, r.transport)
	return exec.CommandContext(ctx, r.program[0], args...)
}
