package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/pregon/pregon/cmd"
)

// hostile is what no terminal is to be sent: it sets the clipboard, begins a sequence
// in one character or one byte, turns the direction of writing, and looks like two
// messages.
const hostile = "\x1b]52;c;ZXZpbA==\x07 \u009b31m \x9b31m \u202eabc\u2066 \u2028 \x08\r[other] forged"

// printable drops what cannot stand in JSON.
func printable(r rune) rune {
	if r < ' ' || r == utf8.RuneError {
		return -1
	}
	return r
}

// What sub prints of others, and what servers say to sub and pub, does nothing to a
// terminal. Programs get it as it is.
func TestTerminalsAreSafe(t *testing.T) {
	quoted := strings.NewReplacer("\x1b", `\u001b`, "\r", `\r`, "\x08", `\b`, "\x07", `\u0007`, "\u009b", `\u009b`, "\x9b", "?").Replace(hostile)
	problem := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"detail":"%s"}`, quoted)
	}))
	t.Cleanup(problem.Close)
	event := events(message("chat", "a\n[other] forged "+hostile, ""), `{"type":"gap","reason":"`+strings.Map(printable, hostile)+`"}`)
	for _, c := range []struct {
		name string
		args []string
		url  func(ended func()) string
	}{
		{"messages and gaps", []string{"sub", "chat"}, func(ended func()) string { return scripted(t, ended, event) }},
		{"what a server says to sub", []string{"sub", "chat"}, func(func()) string { return problem.URL }},
		{"what a server says to pub", []string{"pub", "chat", "x"}, func(func()) string { return problem.URL }},
	} {
		t.Run(c.name, func(t *testing.T) {
			terminal := openTerminal(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd.Run(ctx, append(c.args, "--url", c.url(cancel)), nil, terminal.file, terminal.file)
			got := terminal.text()
			if i := strings.IndexFunc(got, func(r rune) bool {
				return r != '\n' && r != '\r' && (r < ' ' || 0x7F <= r && r < 0xA0 || r == 0x202E || r == 0x2066 || r == 0x2028 || r == 0xFFFD)
			}); i >= 0 {
				t.Errorf("a terminal is sent %q at %d of %q", got[i:min(i+4, len(got))], i, got)
			}
			if strings.Contains(got, "\n[other]") || !strings.Contains(got, `\u001b]52`) {
				t.Errorf("a terminal is sent %q", got)
			}
			var pipe bytes.Buffer
			ctx, cancel = context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd.Run(ctx, append(c.args, "--url", c.url(cancel)), nil, &pipe, &pipe)
			if got := pipe.String(); !strings.Contains(got, "\x1b]52") || !strings.Contains(got, "\u202e") {
				t.Errorf("a pipe is sent %q", got)
			}
		})
	}
}

// What people write is shown as it is.
func TestTerminalsShowText(t *testing.T) {
	const text = "¡Hola! می\u200cخواهم 👩\u200d👩\u200d👧 ñ\t日本 עברית \\n"
	terminal := openTerminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd.Run(ctx, []string{"sub", "chat", "--url", scripted(t, cancel, events(message("chat", text, "")))}, nil, terminal.file, terminal.file)
	if got := terminal.text(); !strings.Contains(got, text) {
		t.Errorf("a terminal is sent %q, want %q", got, text)
	}
}

// A terminal is a pseudo terminal whose other end is read.
type terminal struct {
	t      *testing.T
	file   *os.File
	master *os.File
	read   chan string
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	terminal := &terminal{t: t, file: file, master: master, read: make(chan string, 1)}
	go func() {
		var all bytes.Buffer
		_, _ = all.ReadFrom(master) // ends with an error when the other end is closed
		terminal.read <- all.String()
	}()
	return terminal
}

// text returns all that was written. Nothing can be written any more.
func (t *terminal) text() string {
	t.t.Helper()
	_ = t.file.Close()
	return <-t.read
}
