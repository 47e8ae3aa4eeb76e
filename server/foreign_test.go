package server_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pregon/pregon/server"
)

// Programs that nobody here wrote. Each connects to the URL in its first argument,
// says "open" and then prints each message in a line.
var foreign = []struct {
	name, url string
	command   []string
	check     []string // succeeds where the program can run
	install   string
}{
	{"curl -N", "http:/sse/c", []string{"curl", "-sN"}, []string{"curl", "--version"}, "apt-get install curl"},
	{"python3-websockets", "ws:/ws/c", []string{"/usr/bin/python3", "-c", pythonClient},
		[]string{"/usr/bin/python3", "-c", "import websockets"}, "apt-get install python3-websockets"},
	{"npm ws", "ws:/ws/c", []string{"node", "-e", nodeWS}, []string{"node", "-e", "require('ws')"},
		"npm install ws, and set NODE_PATH"},
	{"npm eventsource", "http:/sse/c?format=text", []string{"node", "-e", nodeEventSource}, []string{"node", "-e", "require('eventsource')"},
		"npm install eventsource, and set NODE_PATH"},
}

const pythonClient = `
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1]) as ws:
        print("open", flush=True)
        async for message in ws:
            print(message, flush=True)
asyncio.run(main())
`

const nodeWS = `
const { WebSocket } = require("ws");
const ws = new WebSocket(process.argv[1]);
ws.on("open", () => console.log("open"));
ws.on("message", data => console.log(data.toString()));
ws.on("close", code => process.exit(code === 1001 ? 0 : 1));
`

const nodeEventSource = `
const { EventSource } = require("eventsource");
const source = new EventSource(process.argv[1]);
source.onopen = () => console.log("open");
source.onmessage = event => console.log(event.data);
`

// Clients that nobody here wrote are heard and answered.
func TestForeignClients(t *testing.T) {
	t.Parallel()
	for _, f := range foreign {
		t.Run(f.name, func(t *testing.T) {
			if err := exec.Command(f.check[0], f.check[1:]...).Run(); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal("missing:", f.install)
				}
				t.Skip("missing:", f.install)
			}
			n := start(t, server.Options{Compress: true}) // where they offer it, as most do
			scheme, path, _ := strings.Cut(f.url, ":")
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			client := exec.CommandContext(ctx, f.command[0], append(f.command[1:], scheme+"://"+n.addr+path)...)
			lines := output(t, client)
			awaitOpen(t, lines)
			n.publish("c", strings.Repeat("¡Hola mundo! ", 100))
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatalf("the client ended: %v", err)
				}
				if strings.Contains(line, "¡Hola mundo!") {
					break
				}
			}
		})
	}
}

// output starts a program that is killed when the test ends.
func output(t *testing.T, c *exec.Cmd) *bufio.Reader {
	t.Helper()
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_, _ = io.Copy(io.Discard, stdout)
		_ = c.Wait()
	})
	return bufio.NewReader(stdout)
}

// awaitOpen reads the first line: "open", or the stream's first field.
func awaitOpen(t *testing.T, lines *bufio.Reader) {
	t.Helper()
	line, err := lines.ReadString('\n')
	if err != nil || line != "open\n" && !strings.HasPrefix(line, "retry:") {
		t.Fatalf("the client printed %q, %v", line, err)
	}
}
