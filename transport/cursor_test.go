package transport_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A cursor stands for one position of one channel, and is letters that need no
// escaping anywhere.
func TestCursorRoundTrip(t *testing.T) {
	for _, p := range []broker.Position{{Epoch: 1, Seq: 0}, {Epoch: 1, Seq: 1}, {Epoch: math.MaxUint64, Seq: math.MaxUint64}} {
		c := transport.Cursor("chat", p)
		if got, err := transport.ParseCursor("chat", c); err != nil || got != p {
			t.Errorf("%v became %v, %v", p, got, err)
		}
		if strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q needs escaping", c)
		}
		if _, err := transport.ParseCursor("news", c); !errors.Is(err, transport.ErrForeignCursor) {
			t.Errorf("another channel: %v", err)
		}
	}
	if c := transport.Cursor("chat", broker.Position{}); c != "" {
		t.Errorf("no position has the cursor %q", c)
	}
}

// Whatever is taken for a cursor is the only way to write it.
func FuzzParseCursor(f *testing.F) {
	good := transport.Cursor("chat", broker.Position{Epoch: 7, Seq: 3})
	for _, seed := range []string{
		"", "-1", "18446744073709551616-0", good, good + "=", good[1:], good[:len(good)-1] + "_", "\x00" + good[1:],
		strings.Repeat("A", len(good)), strings.Repeat("x", 1024), "\r\n" + good[2:], good[:10] + "\r" + good[11:],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := transport.ParseCursor("chat", text)
		switch {
		case err == nil && transport.Cursor("chat", p) != text:
			t.Errorf("%q is read as %v", text, p)
		case err != nil && !errors.Is(err, transport.ErrCursor) && !errors.Is(err, transport.ErrForeignCursor):
			t.Error(err)
		case err != nil && text != "" && strings.Contains(err.Error(), text) && len(text) > 20:
			t.Errorf("the error quotes %q", text)
		}
	})
}
