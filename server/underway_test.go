package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// A lingering broker has a publication to the channel slow wait.
type lingering struct {
	broker.Broker
	begun, over chan struct{}
}

func (b lingering) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if m.Channel == "slow" {
		close(b.begun)
		<-b.over
	}
	return b.Broker.Publish(ctx, m)
}

// A publication that is under way when the server stops is answered, also where the broker takes longer for it than any
// answer takes: nobody else could say what became of it.
func TestPublicationUnderWayIsAnswered(t *testing.T) {
	t.Parallel()
	b := lingering{memory.New(), make(chan struct{}), make(chan struct{})}
	t.Cleanup(func() { _ = b.Close() })
	n := start(t, server.Options{Broker: b})
	answered := make(chan error, 1)
	go func() {
		resp, err := n.client.Post("http://"+n.addr+"/publish/slow?message=x", "", nil)
		if err == nil {
			err = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Error(resp.Status)
			}
		}
		answered <- err
	}()
	<-b.begun
	stopped := make(chan struct{})
	go func() { defer close(stopped); n.stop() }()
	time.AfterFunc(3*time.Second, func() { close(b.over) })
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-stopped
}
