package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// A refusing broker fails the publications to channels that are named like an
// error, and denies subscriptions to one.
type refusing struct {
	broker.Broker
	errs map[string]error
}

func (r refusing) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if err := r.errs[m.Channel]; err != nil {
		return broker.Receipt{}, fmt.Errorf("refusing: publish: %w", err)
	}
	return r.Broker.Publish(ctx, m)
}

// A channel that the broker never allows, and a message that it never takes, are
// not answered like a broker that may be back soon; and what is not known to be
// either may have been published.
func TestFoundRefusals(t *testing.T) {
	b := memory.New()
	t.Cleanup(func() { _ = b.Close() })
	n := start(t, server.Options{Broker: refusing{b, map[string]error{
		"denied": broker.ErrDenied, "large": broker.ErrTooLarge, "down": broker.ErrUnavailable, "closed": broker.ErrClosed,
		"doubt": broker.ErrUncertain, "late": context.DeadlineExceeded, "strange": errors.New("a driver's own word"),
		"both": fmt.Errorf("%w: %w", broker.ErrUnavailable, broker.ErrUncertain),
	}}})
	for channel, want := range map[string]struct {
		status  int
		code    string
		outcome string
	}{
		"denied": {403, "broker_denied", "not_published"}, "large": {413, "too_large", "not_published"},
		"down": {503, "broker_unavailable", "not_published"}, "closed": {503, "broker_unavailable", "not_published"},
		"doubt": {504, "outcome_unknown", "unknown"}, "late": {504, "outcome_unknown", "unknown"},
		"strange": {504, "outcome_unknown", "unknown"}, "both": {504, "outcome_unknown", "unknown"},
	} {
		t.Run(channel, func(t *testing.T) {
			answer := badInput{status: want.status, code: want.code}
			for _, request := range []string{post("/publish/"+channel, "x"), post("/publish?channel="+channel, "x")} {
				resp, body := n.raw(request)
				checkAnswer(t, answer, resp, body)
				if retry := resp.Header.Get("Retry-After") != ""; retry != (want.status == 503) {
					t.Errorf("Retry-After: %t", retry)
				}
				if strings.HasPrefix(request, "POST /publish?") && !strings.Contains(body, `"outcomes":["`+want.outcome+`"]`) {
					t.Error(body)
				}
			}
		})
	}
	// One message that is refused for what it is keeps no other from being published.
	if status, body := n.post("/publish?channel=denied&channel=large&channel=fine", "text/plain", "x"); status != 503 ||
		!strings.Contains(body, `["not_published","not_published","published"]`) {
		t.Error(status, body)
	}
}

// On Redis: a channel for which the user has no permission, on every way to it.
func TestFoundRefusalsOfRedis(t *testing.T) {
	r := redistest.Start(t)
	r.MustDo("ACL", "SETUSER", "weak", "on", ">pw", "+@all", "~*", "resetchannels", "&allowed", "&__pregon*")
	n := start(t, server.Options{Broker: open(t, "redis://weak:pw@"+r.Addr())})
	n.publish("allowed", "x")
	denied := badInput{status: http.StatusForbidden, code: "broker_denied"}
	for _, request := range []string{post("/publish/forbidden", "x"), post("/publish?channel=forbidden", "x"), upgrade("/ws/forbidden"), get("GET /sse/forbidden")} {
		resp, body := n.raw(request)
		checkAnswer(t, denied, resp, body)
	}
	c := n.ws("/ws/allowed")
	n.publish("allowed", "y")
	if got := read(t, c); got != "[allowed] y" {
		t.Error(got)
	}
}

// A broker that denies everything concerns the server, which may soon be allowed
// again: it is not the caller's channel.
func TestFoundRefusalOfTheServer(t *testing.T) {
	b := newScripted()
	n := start(t, server.Options{Broker: b})
	b.fail(broker.ErrDenied)
	for status := 0; status != http.StatusServiceUnavailable; {
		status, _ = n.get("/readyz")
	}
	resp, body := n.raw(post("/publish/c", "x"))
	checkAnswer(t, badInput{status: http.StatusServiceUnavailable, code: "broker_unavailable"}, resp, body)
}
