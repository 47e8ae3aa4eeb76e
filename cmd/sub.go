package cmd

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Pauses before connecting again.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

type subCommand struct {
	Channels []string `arg:"" name:"channel" help:"Channels to listen to."`
	Format   string   `default:"text" enum:"text,raw,json" help:"What to print of a message: text, raw or json. Default ${default}."`
	URL      address  `name:"url" default:"http://localhost:8000" placeholder:"URL" help:"Address of the server. Default ${default}."`
}

// errRefused means that asking again would be answered in the same way.
var errRefused = errors.New("refused")

// Run prints what arrives until ctx ends or the process is told to stop. It
// connects again whenever the connection is lost.
func (c *subCommand) Run(ctx context.Context, out *console) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		began := time.Now()
		err := c.listen(ctx, &http.Client{Transport: transport}, out)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errRefused):
			return err
		case time.Since(began) > maxRetry: // it has worked
			pause = minRetry
		}
		fmt.Fprintf(out.stderr, "pregon: %v; connecting again\n", err)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return nil
		}
	}
}

// listen prints the events of one connection.
func (c *subCommand) listen(ctx context.Context, client *http.Client, out *console) error {
	query := url.Values{"channel": c.Channels, "format": {c.Format}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(c.URL)+"/sse?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("subscribe: %w", refusal{err})
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		err := answerError(resp)
		if resp.StatusCode < http.StatusInternalServerError {
			return fmt.Errorf("subscribe: %w", refusal{err})
		}
		return fmt.Errorf("subscribe: %w", err)
	}
	return c.print(resp.Body, out)
}

// A refusal is an error that is errRefused, too, without saying so twice.
type refusal struct{ error }

func (refusal) Is(target error) bool { return target == errRefused }

// print prints events until the stream ends.
func (c *subCommand) print(stream io.Reader, out *console) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 2*maxLine)
	var name string
	var data []string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if err := c.printEvent(name, data, out); err != nil {
				return err
			}
			name, data = "", nil
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	return errors.New("the server has ended the stream")
}

// printEvent prints one event. One without data lines is none.
func (c *subCommand) printEvent(name string, data []string, out *console) error {
	if data == nil {
		return nil
	}
	text := strings.Join(data, "\n")
	if name == "binary" {
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("decode a binary message: %w", err)
		}
		text = string(bytes)
	}
	if name == "gap" && c.Format != "json" {
		fmt.Fprintln(out.stderr, "pregon: messages may be missing here:", text)
		return nil
	}
	if _, err := fmt.Fprintln(out.stdout, text); err != nil {
		return fmt.Errorf("print: %w", refusal{err})
	}
	return nil
}
