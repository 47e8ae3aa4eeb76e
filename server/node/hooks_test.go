package node_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// hooked returns a Client of alice's on a node with hooks and a history.
func hooked(t *testing.T, hooks node.Hooks) *node.Client {
	t.Helper()
	b := withHistory()
	h, err := hub.New(context.Background(), b, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = b.Close() })
	return node.New(b, h, node.Options{MaxMessage: 8, Hooks: hooks}).Client(transport.Identity{Subject: "alice"})
}

var errNo = errors.New("no")

// shout is a hook that changes, refuses, or makes what cannot be published, as the message says.
func shout(_ context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
	switch string(m.Data) {
	case "no":
		return m, errNo
	case "unsure":
		return m, broker.ErrUncertain
	case "long":
		m.Data = make([]byte, 9)
	case "key":
		m.Key = " "
	default:
		m.Channel, m.Binary, m.Data = "elsewhere", true, append([]byte(by.Subject+" "), m.Data...)
	}
	return m, nil
}

// What OnPublish returns is published, to the channel that was asked for; what it refuses is
// not, and what it makes is checked as all else.
func TestOnPublish(t *testing.T) {
	t.Parallel()
	c := hooked(t, node.Hooks{OnPublish: shout})
	for data, want := range map[string]error{
		"hi": nil, "no": errNo, "unsure": node.ErrRefused, "long": broker.ErrTooLarge, "key": broker.ErrKey, "12345678": broker.ErrTooLarge,
	} {
		err := c.Publish(t.Context(), broker.Message{Channel: "a", Data: []byte(data)})[0].Err
		if !errors.Is(err, want) || want != nil && broker.OutcomeOf(err) != broker.NotPublished {
			t.Errorf("%s: %v", data, err)
		}
		if refused := data == "no" || data == "unsure"; errors.Is(err, node.ErrRefused) != refused {
			t.Errorf("%s: %v", data, err)
		}
	}
	page, err := c.History(t.Context(), "a", broker.Query{Limit: 10})
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != "alice hi" || !page.Messages[0].Binary {
		t.Error(page, err)
	}
}

// A hook is not asked for what is refused anyway.
func TestHooksSeeWhatIsValid(t *testing.T) {
	t.Parallel()
	c := hooked(t, node.Hooks{OnPublish: func(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
		t.Errorf("asked for %q", m.Channel)
		return m, nil
	}})
	c.Publish(t.Context(), broker.Message{Channel: "__a"}, broker.Message{Channel: "a", Key: "\n"}, broker.Message{Channel: "b", Data: make([]byte, 9)})
}

// Of a batch that is to be published as a whole nothing is where one message is refused,
// and each of the others says so; alone, they are.
func TestAllOrNone(t *testing.T) {
	t.Parallel()
	asked := 0
	c := hooked(t, node.Hooks{OnPublish: func(ctx context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
		asked++
		return shout(ctx, by, m)
	}})
	of := func(data ...string) (ms []broker.Message) {
		for _, d := range data {
			ms = append(ms, broker.Message{Channel: "a", Data: []byte(d)})
		}
		return ms
	}
	results := c.PublishAllOrNone(t.Context(), of("1", "no", "2")...)
	if !errors.Is(results[0].Err, node.ErrHeldBack) || !errors.Is(results[1].Err, errNo) || !errors.Is(results[2].Err, node.ErrHeldBack) ||
		broker.OutcomeOf(results[0].Err) != broker.NotPublished || asked != 3 {
		t.Error(results, asked)
	}
	for _, result := range append(c.PublishAllOrNone(t.Context(), of("3", "4")...), c.PublishAllOrNone(t.Context(), of("5")...)...) {
		if result.Err != nil {
			t.Error(result)
		}
	}
	if results := c.Publish(t.Context(), of("6", "no", "7")...); results[0].Err != nil || results[1].Err == nil || results[2].Err != nil {
		t.Error(results)
	}
	if page, err := c.History(t.Context(), "a", broker.Query{Limit: 10}); err != nil || len(page.Messages) != 5 {
		t.Error(page, err)
	}
}
