package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A balancer passes connections on to nodes that say that they are ready, to each in turn. It is no proxy of
// HTTP: a connection stays with its node.
type balancer struct {
	addr     string
	listener net.Listener
	ctx      context.Context // ends its connections
	tasks    sync.WaitGroup

	mu    sync.Mutex
	nodes map[string]bool // by address, whether it was ready when it was asked last
	turn  []string        // those, the one whose turn it is next in front
}

// probeEvery is how often a balancer asks a node whether it is ready.
const probeEvery = 20 * time.Millisecond

func startBalancer(t *testing.T) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &balancer{addr: l.Addr().String(), listener: l, ctx: ctx, nodes: map[string]bool{}}
	b.tasks.Go(b.accept)
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		b.tasks.Wait()
	})
	return b
}

// add has connections passed on to a node as soon as it is ready.
func (b *balancer) add(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[node] = false
	b.turn = append(b.turn, node)
	b.tasks.Go(func() { b.probe(node) })
}

// remove forgets a node, whose connections go on.
func (b *balancer) remove(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.nodes, node)
	for i, other := range b.turn {
		if other == node {
			b.turn = append(b.turn[:i:i], b.turn[i+1:]...)
			return
		}
	}
}

// probe asks a node whether it is ready until it is removed.
func (b *balancer) probe(node string) {
	web := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for ; b.ctx.Err() == nil; pause(b.ctx, probeEvery) {
		req, _ := http.NewRequestWithContext(b.ctx, http.MethodGet, "http://"+node+"/readyz", nil)
		resp, err := web.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !b.note(node, err == nil && resp.StatusCode == http.StatusOK) {
			return
		}
	}
}

// note reports false of a node that was removed.
func (b *balancer) note(node string, ready bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.nodes[node]; !there {
		return false
	}
	b.nodes[node] = ready
	return true
}

// ready reports whether a node was when it was asked last.
func (b *balancer) ready(node string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nodes[node]
}

// next returns the node whose turn it is, "" where none is ready.
func (b *balancer) next() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, node := range b.turn {
		if b.nodes[node] {
			b.turn = append(append(b.turn[:i:i], b.turn[i+1:]...), node)
			return node
		}
	}
	return ""
}

func (b *balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return // it was closed
		}
		b.tasks.Go(func() { b.pass(conn) })
	}
}

// pass passes a connection on until either side ends it.
func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	node, err := net.Dial("tcp", b.next())
	if err != nil {
		return
	}
	defer node.Close()
	defer context.AfterFunc(b.ctx, func() { _, _ = client.Close(), node.Close() })()
	var both sync.WaitGroup
	both.Go(func() { flow(node, client) })
	both.Go(func() { flow(client, node) })
	both.Wait()
}

// flow copies what comes, and its end.
func flow(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
	}
	_ = to.(*net.TCPConn).CloseWrite()
}
