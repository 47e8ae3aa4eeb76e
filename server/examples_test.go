package server_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server"
)

const examples = "../testdata/examples"

// exampleAddress is where the examples look for the server.
const exampleAddress = "http://localhost:8000"

// example returns the text of an example for a server at addr.
func example(t *testing.T, name, addr string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), exampleAddress, "http://"+addr)
}

// examplePage writes an example to a file, and returns its address.
func examplePage(t *testing.T, name, addr string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(example(t, name, addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// reads waits for an element with this text in it.
func reads(selector, text string) browsertest.Action {
	return browsertest.Until("[...document.querySelectorAll(`" + selector + "`)].some(e => e.textContent.includes(`" + text + "`))")
}

// Two tabs chat by a file that was opened from disk, and see each other come and go.
func TestBrowserExampleChat(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: keepingBroker(), AllowOrigins: []string{"null"}})
	ana := browsertest.Start(t)
	browsertest.Do(t, ana, "open", chromedp.Navigate(examplePage(t, "chat.html", n.addr)+"?name=Ana"), reads("#here", "Ana"))
	say := func(text string) browsertest.Action {
		return chromedp.Steps(chromedp.SendKeys(chromedp.CSS("input"), text), chromedp.Click(chromedp.CSS("button")))
	}
	browsertest.Do(t, ana, "speak", say("¡Hola <b>mundo</b>!"), reads("#log li", "Ana: ¡Hola <b>mundo</b>!"))
	luis, close := chromedp.NewContext(ana)
	browsertest.Do(t, luis, "open another tab", chromedp.Navigate(examplePage(t, "chat.html", n.addr)+"?name=Luis"),
		reads("#log li", "Ana: ¡Hola <b>mundo</b>!"), reads("#here", "Ana, Luis"))
	browsertest.Do(t, luis, "answer", say("¿Qué tal?"))
	browsertest.Do(t, ana, "hear it", reads("#log li", "Luis: ¿Qué tal?"), reads("#here", "Ana, Luis"))
	close()
	browsertest.Do(t, ana, "see the other go", browsertest.Until("!document.querySelector('#here').textContent.includes('Luis')"))
}

// The ten lines of the README are a chat of two tabs.
func TestBrowserChatInTenLines(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```html\n")
	html, _, _ := strings.Cut(rest, "```")
	if n := strings.Count(html, "\n"); n != 10 {
		t.Errorf("there are %d lines", n)
	}
	n := start(t, server.Options{Broker: keepingBroker(), AllowOrigins: []string{"null"}})
	path := filepath.Join(t.TempDir(), "chat.html")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(html, exampleAddress, "http://"+n.addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	one := browsertest.Start(t)
	browsertest.Do(t, one, "open", chromedp.Navigate("file://"+path), chromedp.SendKeys(chromedp.CSS("input"), "¡Hola!\r"), reads("li", "¡Hola!"))
	two := browsertest.Tab(t, one)
	browsertest.Do(t, two, "open another", chromedp.Navigate("file://"+path), reads("li", "¡Hola!"), chromedp.SendKeys(chromedp.CSS("input"), "¿Qué tal?\r"))
	browsertest.Do(t, one, "hear it", reads("li", "¿Qué tal?"))
}

// A table that htmx shows: a page begins with the newest rows, and gets the next ones.
func TestBrowserExampleTable(t *testing.T) {
	t.Parallel()
	npm, html := npmFolder(t), ""
	mux := http.NewServeMux()
	mux.Handle("GET /npm/", http.StripPrefix("/npm", scripts(npm)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, html) })
	pages := httptest.NewServer(mux)
	t.Cleanup(pages.Close)
	n := start(t, server.Options{Broker: keepingBroker(), AllowOrigins: []string{pages.URL}})
	html = example(t, "table.html", n.addr)
	for name, file := range map[string]string{"htmx.org@2": "htmx.org/dist/htmx.min.js", "htmx-ext-sse@2.2": "htmx-ext-sse/sse.js"} {
		html = strings.ReplaceAll(html, "https://unpkg.com/"+name, "/npm/"+file)
	}
	runBackend(t, n.addr, "1")
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "begin with the newest", chromedp.Navigate(pages.URL), reads("tr td", "Limón"))
	n.publish("prices", "<tr><td>Chirimoya<td>5.00</tr>")
	browsertest.Do(t, tab, "see the next", reads("tr td", "Chirimoya"))
	if rows := browsertest.Evaluate[int](t, tab, "document.querySelectorAll('#rows tr').length"); rows != 1 {
		t.Errorf("there are %d rows", rows)
	}
}

// The backend publishes, and prints a line for each receipt.
func TestExampleBackend(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: keepingBroker()})
	if out := runBackend(t, n.addr, "2"); strings.Count(out, "\n") != 2 {
		t.Errorf("got %q", out)
	}
}

func runBackend(t *testing.T, addr, rounds string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	backend := exec.CommandContext(ctx, "/usr/bin/python3", filepath.Join(examples, "backend.py"), rounds)
	backend.Env = append(os.Environ(), "PREGON_URL=http://"+addr)
	backend.Stderr = t.Output()
	out, err := backend.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The program that embeds the server shows its clock in a browser, and ends when it is told to.
func TestBrowserExampleEmbed(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "embed")
	if out, err := exec.Command("go", "build", "-o", program, "./"+examples+"/embed").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	embed := exec.Command(program, "-listen", "127.0.0.1:0")
	embed.Stderr = t.Output()
	stdout, err := embed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := embed.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = embed.Process.Signal(os.Interrupt)
		if err := embed.Wait(); err != nil {
			t.Error("the program did not end well:", err)
		}
	}()
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatal("the program has not said where it is")
	}
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "see the time", chromedp.Navigate(lines.Text()), reads("#now", ":"))
}
