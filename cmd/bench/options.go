package bench

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// ErrOptions is wrapped by what Validate says about Options that make no sense.
var ErrOptions = errors.New("bad options")

// Limits of what a stamp can carry.
const (
	maxMessages = 1<<(4*numberDigits) - 1
	maxDuration = 24 * time.Hour
)

// Options say what to run. Each must be set, unless it says otherwise.
type Options struct {
	Subscribers int // connections, spread over the channels in turn
	Channels    int
	Publishers  int // connections that publish, each with channels of its own as far as there are enough

	// Messages is how many are published in all. Where it is 0, messages are
	// published for Duration.
	Messages int
	Duration time.Duration

	// Rate is how many messages a second all publishers are to send together.
	// Each has a time at which it is due, and latency is counted from that. 0
	// means that each publisher sends the next message as soon as the last, or over live
	// one of the last, was answered, and latency is counted from when it was really sent.
	Rate float64

	Size      int    // of a message in bytes, at least MinSize
	Transport string // ws, sse or live
	Format    string // text, raw or json, which is the only one of live
	HTTP2     bool   // event streams share connections, 100 to each

	// PublishOver is http or live. Pipeline is how many messages of a publisher are under way at
	// a time over live.
	PublishOver string
	Pipeline    int

	// URL is the address of a running server, and PID its process where it
	// runs on this machine, or 0. Where URL is empty, Server makes the command
	// that starts one; it is called once a round. The command must print its
	// address as pregon serve does, and end at SIGTERM.
	URL    string
	PID    int
	Server func() *exec.Cmd
	Broker string // that of Server, for the report only

	// Credential is a key or token that each request has; empty for none. It is no part of the
	// report.
	Credential string
	// Authorities are whom to trust of servers at https; nil for those of the system.
	Authorities *x509.CertPool

	// Floor makes the command that starts ServeFloor; nil does not measure it.
	Floor  func() *exec.Cmd
	Rounds int // how often each is measured, in turn

	Settle time.Duration // pause between connecting and publishing; 0 for none
	Drain  time.Duration // silence after which what has not arrived is lost

	// Progress is called a few times a second by one goroutine; nil for nobody.
	Progress func(Progress)
}

// Validate returns an error that wraps ErrOptions and names what makes no sense.
func (o *Options) Validate() error {
	for _, rule := range []struct {
		broken bool
		says   string
	}{
		{o.Subscribers < 1, "--subscribers: must be at least 1"},
		{o.Channels < 1, "--channels: must be at least 1"},
		{o.Channels > o.Subscribers, "--channels: must not be more than --subscribers, or nobody would hear some"},
		{o.Publishers < 1 || o.Publishers > maxPublishers, fmt.Sprintf("--publishers: must be from 1 to %d", maxPublishers)},
		{o.Messages != 0 && o.Duration != 0, "--messages and --duration: give one of them"},
		{o.Messages == 0 && o.Duration == 0, "--messages: must be at least 1"},
		{o.Messages < 0 || int64(o.Messages) > maxMessages, fmt.Sprintf("--messages: must be from 1 to %d", int64(maxMessages))},
		{o.Duration < 0 || o.Duration > maxDuration, "--duration: must be more than 0 and at most 24h"},
		{!(o.Rate >= 0 && o.Rate <= 1e9), "--rate: must be from 0 to 1000000000"},
		{o.Size < MinSize, fmt.Sprintf("--size: must be at least %d bytes, which a message needs for its number and time", MinSize)},
		{o.Size > maxEvent/2, fmt.Sprintf("--size: must be at most %d bytes", maxEvent/2)},
		{o.Transport != "ws" && o.Transport != "sse" && o.Transport != "live", "--transport: must be ws, sse or live"},
		{o.Format != "text" && o.Format != "raw" && o.Format != "json", "--format: must be text, raw or json"},
		{o.Format != "json" && o.Transport == "live", "--format: must be json with --transport live, which has no other"},
		{o.HTTP2 && o.Transport != "sse", "--http2: goes with --transport sse only, as nothing else goes over HTTP/2"},
		{o.PublishOver != "http" && o.PublishOver != "live", "--publish-over: must be http or live"},
		{o.PublishOver == "live" && (o.Pipeline < 1 || o.Pipeline > maxPipeline), fmt.Sprintf("--pipeline: must be from 1 to %d", maxPipeline)},
		{o.URL == "" && o.Server == nil, "--url: there is no server"},
		{o.PID != 0 && o.URL == "", "--pid: goes with --url; of a server started here it is known"},
		{o.PID < 0, "--pid: must be more than 0"},
		{o.Floor != nil && (o.Transport != "ws" || o.PublishOver != "http"), "--floor: goes with --transport ws and --publish-over http only"},
		{o.Rounds < 1, "--rounds: must be at least 1"},
		{o.Drain <= 0, "--drain: must be more than 0"},
	} {
		if rule.broken {
			return fmt.Errorf("%s%w", rule.says, silent{ErrOptions})
		}
	}
	return nil
}

// A silent error can be matched and adds nothing to a text.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }
