package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// asTransport is a variable that has the test program register a transport of that
// name, which no other test would survive.
const asTransport = "SERVER_TEST_TRANSPORT"

// A transport does not take the place of a route of the server's own.
func TestFoundTransportNames(t *testing.T) {
	if name := os.Getenv(asTransport); name != "" {
		transport.Register(name, func(transport.Deps) (transport.Transport, error) { return probe{}, nil })
		b := memory.New()
		defer b.Close()
		s, err := server.New(context.Background(), server.Options{Broker: b})
		if err == nil {
			_ = s.Close()
			return
		}
		if !errors.Is(err, server.ErrOptions) {
			t.Error("not ErrOptions")
		}
		t.Fatal(err)
	}
	for name, good := range map[string]bool{"history": false, "publish": false, "healthz": false, "readyz": false, "metrics": false, "other": true} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFoundTransportNames$")
		cmd.Env = append(os.Environ(), asTransport+"="+name)
		out, err := cmd.CombinedOutput()
		if good != (err == nil) || !good && !strings.Contains(string(out), `the transport "`+name+`" has the name`) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// An embedder that drains before it shuts down its http.Server waits for nobody.
func TestFoundDrainBeforeShutdown(t *testing.T) {
	p := newPast(10)
	s, err := server.New(context.Background(), server.Options{Broker: p, DrainTime: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	n := &node{t: t, addr: web.Listener.Addr().String(), client: web.Client()}
	p.awaitNothing()
	answers := n.historyLater("/history/c?wait=60s")
	<-p.looked // it has found nothing
	c := n.ws("/ws/c")
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Drain(ctx)
	if a := <-answers; len(a.Messages) > 0 {
		t.Errorf("%+v", a)
	}
	if _, err := readErr(c); err == nil {
		t.Error("a listener is still there")
	}
	if status, _ := n.get("/readyz"); status != http.StatusServiceUnavailable {
		t.Error("ready:", status)
	}
	n.publish("c", "still taken")
	if err := web.Config.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("stopping took %v", took)
	}
	web.Close()
	_, _ = s.Close(), p.Close()
}
