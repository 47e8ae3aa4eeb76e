package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A publisher publishes numbers to a channel, one after another.
type publisher struct {
	chaos *chaos
	id    int
	stop  chan struct{} // closed when it is to end

	mu       sync.Mutex
	n        int            // the newest that was accepted
	accepted map[int]string // the cursors of those that were
	again    int            // publications that failed
	over     bool
}

// run publishes until it is told to stop. With a history it repeats what was not accepted, by a key, until it is;
// without, nobody could say whether it was, so it goes on with the next.
func (p *publisher) run(ctx context.Context) {
	for n := 1; ctx.Err() == nil; {
		id, err := p.publish(ctx, n)
		p.note(n, id, err)
		if err == nil || !p.chaos.kept {
			n++
		}
		select {
		case <-p.stop:
			if err == nil {
				p.end()
				return
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *publisher) publish(ctx context.Context, n int) (id string, err error) {
	return p.chaos.publish(ctx, p.id%chaosChannels, fmt.Sprint(p.id, " ", n))
}

// publish publishes a text to a channel by any node, with a history by a key.
func (c *chaos) publish(ctx context.Context, channel int, text string) (id string, err error) {
	node := c.nodes[rand.IntN(len(c.nodes))]
	address := "http://" + node + "/publish/" + channelName(channel) + "?message=" + url.QueryEscape(text)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return "", err
	}
	if c.kept {
		req.Header.Set("Idempotency-Key", text)
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the answer is %s: %s", resp.Status, body)
	}
	if err != nil {
		return "", err
	}
	var receipt struct{ ID string }
	return receipt.ID, json.Unmarshal(body, &receipt)
}

// note keeps what has become of a publication.
func (p *publisher) note(n int, id string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.again++
		return
	}
	p.n, p.accepted[n] = n, id
}

func (p *publisher) newest() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

func (p *publisher) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

func (p *publisher) isOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}
