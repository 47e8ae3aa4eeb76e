package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxLine is the longest line of standard input.
const maxLine = 16 << 20

type pubCommand struct {
	Channel string      `arg:"" help:"Channel to publish to."`
	Message string      `arg:"" help:"Message, or - for one message a line of standard input."`
	Key     string      `env:"-" placeholder:"KEY" help:"Publish only if nothing with this key is in the channel's history: then publishing again is safe. For one message, on a server with --history."`
	URL     address     `name:"url" default:"http://localhost:8000" placeholder:"URL" help:"Address of the server. Default ${default}."`
	Client  clientFlags `embed:""`
}

// Validate is called by kong.
func (c *pubCommand) Validate() error {
	if c.Key != "" && c.Message == "-" {
		return errors.New("--key: each message has a key of its own, so it is not for lines of standard input")
	}
	return nil
}

// Run publishes, and stops at the first message that was not accepted. Signals
// are left to end the process: a read of standard input cannot be interrupted.
func (c *pubCommand) Run(ctx context.Context, out *console) error {
	client, err := c.Client.caller()
	if err != nil {
		return err
	}
	defer client.close()
	client.client.Timeout = time.Minute
	if c.Message != "-" {
		return c.publish(ctx, client, c.Message)
	}
	lines := bufio.NewScanner(out.stdin)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if err := c.publish(ctx, client, lines.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	return nil
}

func (c *pubCommand) publish(ctx context.Context, client *caller, text string) error {
	target := string(c.URL) + "/publish/" + url.PathEscape(c.Channel)
	if text == "" {
		target += "?message=" // an empty body is no message
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if c.Key != "" {
		req.Header.Set("Idempotency-Key", c.Key)
	}
	resp, err := client.do(req)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("publish: %w", answerError(resp))
	}
	_, err = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return err
}

// answerError is what a server said about a request that it refused.
func answerError(resp *http.Response) error {
	var problem struct{ Detail string }
	body := io.LimitReader(resp.Body, 1<<16)
	if json.NewDecoder(body).Decode(&problem) != nil || problem.Detail == "" {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return fmt.Errorf("the server answered %s: %s", resp.Status, problem.Detail)
}
