package waysin_test

import (
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/transport"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen; nothing waits so long unless it has failed.
const patience = 90 * time.Second

// The protocols of the program are registered here, so that what these tests say of all ways in is
// said of its ways in.
func TestTheProtocolsAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../cmd/pregon/main.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, i := range file.Imports {
		if imported, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(imported, "github.com/pregon/pregon/transport/") {
			want = append(want, path.Base(imported))
		}
	}
	if slices.Sort(want); len(want) == 0 || !slices.Equal(want, transport.Names()) {
		t.Errorf("the program has %v, these tests have %v", want, transport.Names())
	}
}
