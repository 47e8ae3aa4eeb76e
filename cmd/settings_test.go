package cmd_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/pregon/pregon/transport"
)

// picked has the settings that the transport picky was made with.
var picked = make(chan string, 1)

// picky is a transport that nobody can use with a setting: its server does not start.
func init() {
	transport.Register("picky", func(env transport.Deps) (transport.Transport, error) {
		lines, err := transport.Setting(env.Settings, "max-lines", 0, strconv.Atoi)
		if err != nil {
			return nil, err
		}
		if lines > 0 {
			picked <- strconv.Itoa(lines)
			return nil, errors.New("enough is known")
		}
		return transport.Registered()["sse"](env)
	})
}

// Variables that begin with the name of a transport are its settings: it gets them, and
// one that it does not know, or cannot use, ends the program without showing its text.
func TestSettingsOfTransports(t *testing.T) {
	for _, c := range []struct{ variable, value, says string }{
		{"PREGON_PICKY_MAX_LINES", "12", "enough is known"},
		{"PREGON_PICKY_MAX_LINES", "s3cret", "max-lines has a value that cannot be used"},
		{"PREGON_PICKY_LINES", "s3cret", `the transport "picky": transport: bad setting: unknown: lines`},
		{"PREGON_WS_LINES", "s3cret", `the transport "ws": transport: bad setting: unknown: lines`},
		{"PREGON_PICKY_", "s3cret", "unknown environment variable PREGON_PICKY_"},
		{"PREGON_PICKY", "s3cret", "unknown environment variable PREGON_PICKY"},
	} {
		t.Run(c.variable+"="+c.value, func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			code, stdout, stderr := run(t, "", "--listen", "localhost:0", "--broker", "memory://")
			if code != 2 || !strings.Contains(stderr, c.says) || strings.Contains(stdout+stderr, "s3cret") {
				t.Errorf("exit %d, %q", code, stderr)
			}
			if c.value == "12" && <-picked != c.value {
				t.Error("another value")
			}
		})
	}
}

// What is set for a transport concerns the server only.
func TestSettingsConcernTheServer(t *testing.T) {
	t.Setenv("PREGON_PICKY_LINES", "1")
	if code, _, stderr := run(t, "", "version"); code != 0 {
		t.Error(stderr)
	}
}
