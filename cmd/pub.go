package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// maxLine is the longest line of standard input.
const maxLine = 16 << 20

// Help is shown by pregon pub --help.
func (pubCommand) Help() string {
	return `For each message it prints a receipt: "published", the channel, and with a history the cursor, behind which pregon sub --since goes on; "repeated" instead where --key says that it was there already. Where something fails it says whether the message was published.

Lines of standard input are published in their order, many at a time. After the first that is not accepted no more is sent, and it is told what became of those that were on their way.`
}

type pubCommand struct {
	Channel string      `arg:"" help:"Channel to publish to."`
	Message string      `arg:"" help:"Message, or - for one message a line of standard input."`
	Key     string      `env:"-" placeholder:"KEY" help:"Publish only if nothing with this key is in the channel's history: then publishing again is safe. For one message, on a server with --history."`
	Quiet   bool        `env:"-" short:"q" help:"Print no receipts."`
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
	client, err := c.Client.caller(c.URL)
	if err != nil {
		return err
	}
	defer client.close()
	client.client.Timeout = time.Minute
	if c.Message != "-" {
		return c.publish(ctx, client, c.Message, out)
	}
	lines := pipeline{pubCommand: c, client: client, out: out}
	return lines.run(ctx)
}

// publish publishes one message and prints its receipt.
func (c *pubCommand) publish(ctx context.Context, client *caller, text string, out *console) error {
	r, err := c.post(ctx, client, text)
	if err != nil {
		return err
	}
	return c.printReceipt(r, out)
}

// printReceipt prints what the server says of a message that it has taken, unless nobody wants to know.
func (c *pubCommand) printReceipt(r receipt, out *console) error {
	if c.Quiet {
		return nil
	}
	what := "published"
	if r.Repeated {
		what = "repeated"
	}
	if _, err := fmt.Fprintln(out.stdout, strings.TrimSpace(what+" "+shown(out.stdout, c.Channel+" "+r.ID))); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// A receipt is what the server says of a message that it has taken.
type receipt struct {
	Channel  string
	ID       string // empty without a history
	Repeated bool
}

// post publishes one message. Its error says what became of it.
func (c *pubCommand) post(ctx context.Context, client *caller, text string) (receipt, error) {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := c.request(ctx, text)
	if err != nil {
		return receipt{}, fmt.Errorf("publish: %w", err)
	}
	resp, err := client.do(req)
	switch {
	case err != nil && sent.Load():
		return receipt{}, c.unknown(fmt.Errorf("wait for the answer: %w", withoutURL(err)))
	case err != nil:
		return receipt{}, fmt.Errorf("publish: %w; nothing was published", client.unreachable(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return receipt{}, c.refused(client, answerError(resp))
	}
	var r receipt
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || r.Channel != c.Channel {
		return receipt{}, c.unknown(errors.New("the answer is no receipt: is --url the address of a pregon?"))
	}
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return r, nil
}

func (c *pubCommand) request(ctx context.Context, text string) (*http.Request, error) {
	target := string(c.URL) + "/publish/" + url.PathEscape(c.Channel)
	if text == "" {
		target += "?message=" // an empty body is no message
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if c.Key != "" {
		req.Header.Set("Idempotency-Key", c.Key)
	}
	return req, nil
}

// refused is the error where the server has not taken a message.
func (c *pubCommand) refused(client *caller, a *answered) error {
	ours := a.code != "" && a.status == http.StatusServiceUnavailable
	if a.status >= http.StatusInternalServerError && !ours {
		return c.unknown(a)
	}
	return fmt.Errorf("publish: %w; it was not published", client.hint(a))
}

// errMaybe is wrapped by the errors of messages that may have been published.
var errMaybe = errors.New("it may have been published")

// unknown is the error where a message may have been published.
func (c *pubCommand) unknown(err error) error {
	if c.Key != "" {
		return fmt.Errorf("publish: %w; %w: with the same --key it is safe to try again", err, errMaybe)
	}
	return fmt.Errorf("publish: %w; %w", err, errMaybe)
}
