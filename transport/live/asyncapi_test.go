package live_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// The description is what @asyncapi/parser takes for one, and describes every frame of the
// transcripts, each member of it, that is not there to be refused.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	node := exec.Command("node", "-e", "require('@asyncapi/parser'); require('ajv/dist/2020')")
	if err := node.Run(); err != nil {
		const advice = "missing: node on PATH, npm install @asyncapi/parser ajv in the versions of .ci/run, and NODE_PATH"
		if os.Getenv("CI") != "" {
			t.Fatal(advice)
		}
		t.Skip(advice)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	check := exec.CommandContext(ctx, "node", "testdata/asyncapi.js", "asyncapi.json")
	frames := transcribed(t)
	check.Stdin = strings.NewReader(strings.Join(frames, "\n"))
	wrong, err := check.CombinedOutput()
	if err != nil || len(wrong) > 0 || len(frames) < 100 {
		t.Errorf("of %d frames: %v\n%s", len(frames), err, wrong)
	}
}

// transcribed returns the frames of the transcripts with their signs and with something in the place of
// what the server makes up.
func transcribed(t *testing.T) (frames []string) {
	t.Helper()
	paths, _ := filepath.Glob("../../testdata/live/*.txt")
	number := regexp.MustCompile(`<(ttl|retry)( \d+)?>`)
	expires := regexp.MustCompile(`<expires( \d+)?>`)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			_, sign, frame := parseLine(line)
			if sign == "" || sign == "=" || sign == "→" && isRefused(lines[i+1:], frame) {
				continue
			}
			frame = expires.ReplaceAllString(number.ReplaceAllString(frame, "1"), "2026-11-26T12:00:00Z")
			frame = placeholder.ReplaceAllString(repeated.ReplaceAllString(frame, "x"), "x")
			frames = append(frames, map[bool]string{true: "→ ", false: "← "}[sign == "→"]+frame)
		}
	}
	return frames
}

// isRefused reports whether the answer to a command, in the lines behind it, is an error or the end.
func isRefused(behind []string, command string) bool {
	var c struct{ Ref json.RawMessage }
	if json.Unmarshal([]byte(command), &c) != nil || c.Ref == nil {
		return len(behind) == 0 || !strings.Contains(behind[0], `"published"`)
	}
	for _, line := range behind {
		_, sign, frame := parseLine(line)
		switch {
		case sign == "←" && strings.HasPrefix(frame, `{"type":"error","ref":`+string(c.Ref)+`,`),
			sign == "←" && strings.HasPrefix(frame, `{"type":"error","channel":`), sign == "=" && strings.HasPrefix(frame, "closed"):
			return true
		case sign == "→":
			continue
		case sign == "←" && strings.Contains(frame, `"ref":`+string(c.Ref)+`,`):
			return false
		}
	}
	return false
}

// Tools of any origin may read it.
func TestAsyncAPIIsServed(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: memory.New()})
	resp, err := http.Get("http://" + n.addr + "/asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	file, err := os.ReadFile("asyncapi.json")
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != string(file) || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Content-Type") != "application/json" {
		t.Error(resp.Status, resp.Header, len(body), err)
	}
}
