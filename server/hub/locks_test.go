package hub_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

var (
	pathMessages = flag.Int("path.messages", 10, "how many messages TestPath publishes")
	pathHistory  = flag.Bool("path.history", false, "whether TestPath has a history")
)

// A message that is alone goes its whole way to a connection before the next is published.
func TestPath(t *testing.T) {
	bus := memory.NewBus()
	if *pathHistory {
		bus = memory.NewBusWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: time.Hour})
	}
	b := bus.Broker()
	defer b.Close()
	o := quiet
	o.Heartbeat = time.Hour
	h := newHub(t, b, o)
	defer h.Close()
	ours, peer := unixPair(t)
	s := sockets.New()
	s.Attach(ours)
	session, err := open(context.Background(), h, s, &lines{}, []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	s.Uncork()
	c := &client{session, s, peer}
	defer c.leave()
	read := bufio.NewReader(peer)
	for i := range *pathMessages {
		publish(t, b, "c", fmt.Sprint(i))
		if got, err := read.ReadString('\n'); err != nil || got != fmt.Sprintf("c %d\n", i) {
			t.Fatal(got, err)
		}
	}
}

// unixPair returns both ends of a connection that has a descriptor to write to.
func unixPair(t *testing.T) (ours, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if peer, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return ours, peer
}

// onPath are the packages that a message passes between the feed and the kernel.
var onPath = []string{"server/hub", "server/hub/backfill", "transport/socket"}

// A message takes at most four locks between the feed and the connection, as the package's
// documentation lists them. They are counted by how often TestPath runs each statement that
// takes one, in a build that counts statements for coverage.
func TestLocks(t *testing.T) {
	t.Parallel()
	const module = "github.com/pregon/pregon/"
	program := filepath.Join(t.TempDir(), "path")
	build := exec.Command("go", "test", "-c", "-covermode=atomic", "-coverpkg="+module+strings.Join(onPath, ","+module), "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range []struct {
		history     bool
		least, most float64
	}{{false, 3, 3}, {true, 4, 4}} {
		const few, many = 10, 1010
		before, after := locksOf(t, program, few, c.history), locksOf(t, program, many, c.history)
		sum, list := 0.0, ""
		for place, n := range after {
			per := float64(n-before[place]) / (many - few)
			sum += per
			if per > 0.1 {
				list += fmt.Sprintf("\n%4.1f %s", per, place)
			}
		}
		if sum < c.least-0.1 || sum > c.most+0.1 {
			t.Errorf("with history %v: %.2f locks per message, not %v to %v:%s", c.history, sum, c.least, c.most, list)
		}
	}
}

// locksOf returns how often each statement that takes a lock ran in TestPath.
func locksOf(t *testing.T, program string, messages int, history bool) map[string]int {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	run := exec.Command(program, "-test.run=^TestPath$", "-test.coverprofile="+profile,
		fmt.Sprint("-path.messages=", messages), fmt.Sprint("-path.history=", history))
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	locks := map[string][]token.Position{}
	for _, dir := range onPath {
		for file, places := range locksIn(t, filepath.Join("..", "..", dir)) {
			locks["github.com/pregon/pregon/"+dir+"/"+file] = places
		}
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(text)) {
		file, block, _ := strings.Cut(strings.TrimSpace(line), ":")
		var from, to token.Position
		var statements, n int
		if _, err := fmt.Sscanf(block, "%d.%d,%d.%d %d %d", &from.Line, &from.Column, &to.Line, &to.Column, &statements, &n); err != nil {
			continue // the first line
		}
		for _, p := range locks[file] {
			if !less(p, from) && less(p, to) {
				counts[fmt.Sprintf("%s:%d", file, p.Line)] += n
			}
		}
	}
	return counts
}

func less(p, q token.Position) bool {
	return p.Line < q.Line || p.Line == q.Line && p.Column < q.Column
}

// locksIn returns where a folder's files take locks.
func locksIn(t *testing.T, dir string) map[string][]token.Position {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files in", dir, err)
	}
	locks := map[string][]token.Position{}
	for _, name := range files {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Lock" || f.Sel.Name == "RLock") {
					locks[filepath.Base(name)] = append(locks[filepath.Base(name)], set.Position(call.Pos()))
				}
			}
			return true
		})
	}
	return locks
}
