package client_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
)

// trusting takes a token for what it says, without a signature.
type trusting struct{}

func (trusting) Verify(_ context.Context, text string) (token.Claims, error) {
	_, rest, _ := strings.Cut(text, ".")
	payload, _, _ := strings.Cut(rest, ".")
	said, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return token.Claims{}, token.ErrInvalid
	}
	var c struct {
		Sub                string
		Subscribe, Publish []string
		For                int // seconds
	}
	if err := json.Unmarshal(said, &c); err != nil || c.For < 0 {
		return token.Claims{}, errors.Join(token.ErrInvalid, err)
	}
	expires := time.Now().Add(time.Duration(c.For) * time.Second)
	return token.Claims{Subject: c.Sub, Subscribe: c.Subscribe, Publish: c.Publish, Expires: expires}, nil
}

func (trusting) Trusts(token.Fingerprint) bool { return true }

// Clients with tokens in Node, Deno and Bun, over WebSocket and over streams: rights, presence, who said
// it, renewing, and the end where there is nothing to be done.
func TestClientTalks(t *testing.T) {
	policy, err := access.New(access.Config{Tokens: trusting{}, Rules: []access.Rule{
		{Line: 1, Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant, Presence: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	eachRuntime(t, func(t *testing.T, r runtime) {
		c := newCluster(t, policy)
		t.Cleanup(c.start())
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		output(t, r.command(ctx, "talk.node.js", "http://"+c.addr))
	})
}
