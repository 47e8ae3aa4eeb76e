package server_test

import (
	"flag"
	"fmt"
	"os/exec"
	"testing"

	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/client/browsertest"
)

var rollingTimes = flag.Int("rolling.times", 0, "how many nodes TestForeignRollingReplacement replaces")

const overLiveInNode = "Node: pregon.js"

// Three nodes on one Redis, with history, behind a balancer are replaced one after the other, by SIGTERM and a new
// process. EventSources that nobody here wrote and the client over /live come back by themselves, and hear
// everything once and in order.
//
// The long form is -rolling.times 60.
func TestForeignRollingReplacement(t *testing.T) {
	t.Parallel()
	npm := npmFolder(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "start the browser")
	names := []string{overLiveInNode}
	for _, client := range nodeClients {
		names = append(names, inNode+client)
	}
	for _, client := range pageClients {
		names = append(names, sameOrigin+client, otherOrigin+client)
	}
	heard := newAudience(names...)
	pages := servePages(t, npm, heard)

	front, redis := startBalancer(t), redistest.Start(t)
	var nodes []*process
	for range 3 {
		nodes = append(nodes, startBehind(t, front, redis.URL(), pages.otherOrigin))
	}
	counting := startCounting(t, front.addr)
	url := "http://" + front.addr + "/sse/count"
	startNodeClients(t, url, pages.url)
	live := exec.Command("node", "testdata/rolling_live.mjs", "http://"+front.addr, pages.url, overLiveInNode)
	live.Stderr = t.Output()
	output(t, live)
	pages.open(t, tab, "http://"+front.addr+"/healthz", url, sameOrigin, false)
	pages.open(t, tab, pages.otherOrigin, url, otherOrigin, false)
	heard.await(counting.next(), len(names))

	times := longForm(*rollingTimes, 3)
	for i := range times {
		old := nodes[i%3]
		old.terminate()
		front.remove(old.addr)
		nodes[i%3] = startBehind(t, front, redis.URL(), pages.otherOrigin)
		heard.await(counting.next(), len(names))
	}
	for _, line := range heard.faults() {
		t.Error(line)
	}
	t.Logf("%d clients have heard %d messages in %d replacements", len(names), counting.newest.Load(), times)
}

// startBehind starts a node behind a balancer, and returns when it is ready.
func startBehind(t *testing.T, front *balancer, redis, origin string) *process {
	t.Helper()
	p := startProcess(t, exec.Command(buildPregon(t), "--listen", "127.0.0.1:0", "--broker", redis, "--history", "5m", "--history-size", "10000",
		"--allow-origin", origin, "--drain-notice", fmt.Sprint(10*probeEvery), "--drain-time", "200ms", "--log-level", "warn"))
	front.add(p.addr)
	comesTrue(t, "a node is ready", func() bool { return front.ready(p.addr) })
	return p
}
