package cmd_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A reader does what a chapter says, in a folder of its own and with pregon on the PATH.
// Servers listen on a free port, and all else finds them there.
type reader struct {
	dir    string
	server *exec.Cmd
	url    string
	log    string      // file
	heard  chan string // lines of what listens in the background, nil where nothing does
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{dir: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.log = filepath.Join(r.dir, "log")
	r.write(t, "pregon", "#!/bin/sh\n"+asPregon+"=1 exec '"+self+"' \"$@\"\n")
	return r
}

func (r *reader) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (r *reader) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// command returns a line of the chapter as a process that can be killed.
func (r *reader) command(line string, env ...string) *exec.Cmd {
	c := exec.Command("sh", "-c", line)
	c.Dir = r.dir
	c.Env = append(append(os.Environ(), "PATH="+r.dir+":"+os.Getenv("PATH")), env...)
	return c
}

// here returns text with the address of the server in the place of the one that it has.
func (r *reader) here(text string) string {
	return strings.ReplaceAll(text, "localhost:8000", strings.TrimPrefix(r.url, "http://"))
}

// do does what one line says.
func (r *reader) do(t *testing.T, line string) {
	t.Helper()
	switch {
	case strings.HasPrefix(line, "pregon --"):
		r.serve(t, line)
	case strings.HasPrefix(line, "pregon sub"):
		r.heard = r.listen(t, r.command("exec "+line, "PREGON_URL="+r.url))
	case strings.HasPrefix(line, "pregon pub"):
		r.until(t, "Hola", func() { r.run(t, line) })
	default:
		r.run(t, line)
	}
}

// run runs a line that ends by itself, with success, and returns what it prints.
func (r *reader) run(t *testing.T, line string) string {
	t.Helper()
	out, err := r.command(r.here(line), "PREGON_URL="+r.url).CombinedOutput()
	if err != nil || strings.Contains(string(out), `"status":`) { // of a problem: curl does not mind
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(string(out))
}

// serve starts a server in the place of the one before.
func (r *reader) serve(t *testing.T, line string) {
	t.Helper()
	if r.server != nil {
		_ = r.server.Process.Kill()
		_ = r.server.Wait()
	}
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.server = r.command("exec " + strings.Replace(line, ":8000", ":0", 1))
	r.server.Stderr = log
	r.url = start(t, r.server)
}

// listen starts a program that listens, and returns what it prints, line by line.
func (r *reader) listen(t *testing.T, c *exec.Cmd) chan string {
	t.Helper()
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines, done := make(chan string), make(chan struct{})
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-done: // and it is killed
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		_ = c.Process.Kill()
		for range lines { // until the goroutine has ended
		}
		_ = c.Wait()
	})
	return lines
}

// until publishes again and again until what listens has printed all of want, as it does not
// say when it is there.
func (r *reader) until(t *testing.T, want string, publish func()) {
	t.Helper()
	again, late := time.NewTicker(50*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		select {
		case line, ok := <-r.heard:
			if strings.Contains(line, want) {
				return
			}
			if !ok {
				t.Fatalf("what listens has ended without %q", want)
			}
			t.Log(line)
		case <-again.C:
			publish()
		case <-late:
			t.Fatalf("%q was not heard", want)
		}
	}
}

// A visit is a request of somebody's, and what is to come of it.
type visit struct {
	path, bearer string
	header       []string // names and values
	status       int
}

// visit makes the request.
func (r *reader) visit(t *testing.T, v visit) {
	t.Helper()
	method := http.MethodGet
	if strings.HasPrefix(v.path, "/publish/") {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+v.path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if v.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+v.bearer)
	}
	for i := 0; i < len(v.header); i += 2 {
		req.Header.Set(v.header[i], v.header[i+1])
	}
	req.Host, req.Close = req.Header.Get("Host"), true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != v.status {
		t.Errorf("%s %v: %s; want %d", v.path, v.header, resp.Status, v.status)
	}
}
