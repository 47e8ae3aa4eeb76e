package transport_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pregon/pregon/transport"
)

// A name that would be no route of its own is a mistake of the program.
func TestRegisterRefuses(t *testing.T) {
	for _, name := range []string{"", "a/b", "a:c", "a*", "a.b", "a b", "ws2", "é", "-"} {
		said := func() (said string) {
			defer func() { said = fmt.Sprint(recover()) }()
			transport.Register(name, func(transport.Deps) (transport.Transport, error) { return nil, nil })
			return
		}()
		if !strings.Contains(said, "transport: Register") {
			t.Errorf("%q: %s", name, said)
		}
	}
	if len(transport.Names()) > 0 {
		t.Error(transport.Names())
	}
}
