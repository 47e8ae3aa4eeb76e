package deploy_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// eventSources is a program that prints what twelve EventSources, of undici and of the package eventsource, hear: a
// line has a name, a word and what was said.
const eventSources = `
for (let i = 0; i < 12; i++) {
	const library = ["undici", "eventsource"][i % 2];
	const source = new (require(library).EventSource)(process.argv[1]);
	const say = (word, text) => console.log(library + i, word, text);
	source.onopen = () => say("open", "");
	source.onmessage = m => say("message", m.data);
	source.addEventListener("gap", m => say("gap", m.data));
	source.onerror = () => source.readyState === 2 && say("dead", "");
}`

// An audience is what EventSources have heard so far, by name.
type audience struct {
	mu     sync.Mutex
	opened map[string]int
	heard  map[string][]string
	faults []string
	more   chan struct{} // has something when there is something new
}

// listen starts the EventSources.
func listen(t *testing.T, url string) *audience {
	t.Helper()
	node := tool(t, "node")
	if os.Getenv("CI") == "" && exec.Command(node, "-e", `require("undici"); require("eventsource")`).Run() != nil {
		t.Skip("undici and eventsource of npm are not on NODE_PATH")
	}
	command := exec.Command(node, "-e", eventSources, url)
	command.Stderr = t.Output()
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	a := &audience{opened: map[string]int{}, heard: map[string][]string{}, more: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			a.note(lines.Text())
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-done
		_ = command.Wait()
	})
	return a
}

func (a *audience) note(line string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name, said, _ := strings.Cut(line, " ")
	switch word, text, _ := strings.Cut(said, " "); word {
	case "open":
		a.opened[name]++
	case "message":
		a.heard[name] = append(a.heard[name], text)
	default:
		a.faults = append(a.faults, line)
	}
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// await returns when something is true of the audience.
func (a *audience) await(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		a.mu.Lock()
		met := isTrue()
		a.mu.Unlock()
		if met {
			return
		}
		select {
		case <-a.more:
		case <-late:
			a.mu.Lock()
			defer a.mu.Unlock()
			t.Fatalf("it does not come true in half a minute that %s: %q", what, a.faults)
		}
	}
}

// hearsAll reports whether each EventSource has heard a text last, and is for await.
func (a *audience) hearsAll(last string) func() bool {
	return func() bool {
		for name := range a.opened {
			if !slices.Contains(a.heard[name], last) {
				return false
			}
		}
		return true
	}
}

// Behind each proxy both nodes are replaced, one after the other. EventSources come back by themselves, and hear
// each message once and in order, as there is a history.
func TestProxiesOutliveRestarts(t *testing.T) {
	through(t, func(t *testing.T, p proxy) {
		redis := redistest.Start(t).URL()
		flags := []string{"--broker", redis, "--history", "5m", "--drain-notice", "2s", "--drain-time", "1s"}
		again := func(address string) node { return serve(t, append(flags, "--listen", address)...) }
		nodes := []node{again(freePort(t)), again(freePort(t))}
		outside := serve(t, flags...) // by which is published
		at := p.start(t, nodes[0], nodes[1])
		a := listen(t, "http://"+at.plain+"/sse/restarts")
		a.await(t, "all are connected", func() bool { return len(a.opened) == 12 })

		count := 0
		say := func(messages int) {
			for range messages {
				count++
				publish(t, outside.address, "restarts", fmt.Sprint(count))
				<-time.After(20 * time.Millisecond) // the pace of the messages
			}
		}
		say(10)
		for _, old := range nodes {
			stopped := make(chan struct{})
			go func() { defer close(stopped); old.stop() }()
			say(25)
			<-stopped
			say(75) // while there is one node
			again(old.address)
			say(100) // until the proxy knows that there are two again
		}
		a.await(t, "all is heard", a.hearsAll(fmt.Sprint(count)))
		a.check(t, count)
	})
}

// check sees that all have heard each number once and in order, and came back in between.
func (a *audience) check(t *testing.T, count int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	var want []string
	for i := range count {
		want = append(want, fmt.Sprint(i+1))
	}
	for name, opened := range a.opened {
		if !slices.Equal(a.heard[name], want) {
			t.Errorf("%s heard %v", name, a.heard[name])
		}
		if opened < 2 {
			t.Errorf("%s was never cut off", name)
		}
	}
	for _, fault := range a.faults {
		t.Error(fault)
	}
}
