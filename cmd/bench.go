package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pregon/pregon/cmd/bench"
	"github.com/pregon/pregon/server/config"
)

// settleTime is the pause between connecting and publishing, in which a server
// frees what handshakes have left behind.
const settleTime = 1500 * time.Millisecond

// defaultMessages is how many are published where nothing is said about it.
const defaultMessages = 500

type benchCommand struct {
	Subscribers int           `default:"1000" placeholder:"N" help:"Connections that listen, spread over the channels. Default ${default}."`
	Channels    int           `default:"1" placeholder:"N" help:"Channels. Default ${default}."`
	Messages    *int          `placeholder:"N" help:"Messages to publish in all. Default 500, unless --duration is given."`
	Duration    time.Duration `placeholder:"TIME" help:"Time to publish for, such as 30s, instead of --messages."`
	Rate        float64       `default:"0" placeholder:"N" help:"Messages a second in all; 0 is as fast as the server answers. Default ${default}."`
	Size        config.Size   `default:"128" placeholder:"SIZE" help:"Bytes of a message, at least 24. Default ${default}."`
	Publishers  int           `default:"1" placeholder:"N" help:"Connections that publish. Default ${default}."`
	Transport   string        `default:"ws" enum:"ws,sse,live" help:"How to listen: ws, sse or live. Default ${default}."`
	Format      string        `default:"" enum:",text,raw,json" placeholder:"NAME" help:"What subscribers read of a message: text, raw or json. Default text; over live, json."`
	HTTP2       bool          `name:"http2" env:"PREGON_HTTP2" help:"Listen over HTTP/2, 100 event streams to a connection. With --transport sse."`
	PublishOver string        `default:"http" enum:"http,live" placeholder:"WAY" help:"How to publish: http, a request for each message; or live, many over one connection. Default ${default}."`
	Pipeline    int           `default:"64" placeholder:"N" help:"Messages of each publisher that are under way at a time, with --publish-over live. Default ${default}."`
	URL         address       `name:"url" env:"-" placeholder:"URL" help:"Address of a running server; only here, so that none is loaded by mistake. By default one is started for the test."`
	Client      clientFlags   `embed:""`
	PID         int           `name:"pid" placeholder:"PID" help:"Process of the server at --url, to read its CPU time and memory."`
	Broker      string        `default:"memory://" placeholder:"URL" help:"Broker of the server that is started. Default ${default}."`
	Floor       bool          `help:"Also measure the floor of this machine: a server that only writes. With --transport ws."`
	Rounds      int           `default:"1" placeholder:"N" help:"Measure so often, turn about with the floor, and report medians. Default ${default}."`
	Drain       time.Duration `default:"5s" placeholder:"TIME" help:"Silence after which what has not arrived is lost. Default ${default}."`
	JSON        bool          `name:"json" help:"Print one JSON object and nothing else on standard output."`
	HTML        string        `name:"html" type:"path" placeholder:"FILE" help:"Also write a page with plots."`
}

// Validate is called by kong.
func (c *benchCommand) Validate() error {
	if c.Messages != nil && *c.Messages < 1 {
		return errors.New("--messages: must be at least 1")
	}
	if c.HTML != "" {
		if dir, err := os.Stat(filepath.Dir(c.HTML)); err != nil || !dir.IsDir() {
			return fmt.Errorf("--html: there is no folder %s", filepath.Dir(c.HTML))
		}
	}
	o := c.options("")
	return o.Validate()
}

// Run measures until it is done, ctx ends, or the process is told to stop, after
// which it reports what there is. A second signal ends the process at once.
func (c *benchCommand) Run(ctx context.Context, out *console) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: find this program: %w", err)
	}
	o := c.options(program)
	if o.Credential, err = c.Client.credential(); err != nil {
		return err
	}
	if o.Authorities, err = c.Client.authorities(); err != nil {
		return err
	}
	line := newProgressLine(out.stderr)
	o.Progress = line.show
	report, err := bench.Run(ctx, o)
	line.clear()
	switch {
	case errors.Is(err, bench.ErrOptions):
		return fmt.Errorf("bench: %w%w", err, errUsage)
	case err != nil:
		return fmt.Errorf("bench: %w", err)
	}
	if err := c.print(report, out); err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// options are those of a run whose servers are program.
func (c *benchCommand) options(program string) bench.Options {
	o := bench.Options{
		Subscribers: c.Subscribers, Channels: c.Channels, Publishers: c.Publishers,
		Duration: c.Duration, Rate: c.Rate, Size: int(c.Size), Transport: c.Transport, Format: c.format(), HTTP2: c.HTTP2,
		PublishOver: c.PublishOver, Pipeline: c.Pipeline,
		URL: string(c.URL), PID: c.PID, Rounds: c.Rounds, Settle: settleTime, Drain: c.Drain,
		Server: func() *exec.Cmd { return c.server(program) }, Broker: redacted(c.Broker),
	}
	switch {
	case c.Messages != nil:
		o.Messages = *c.Messages
	case c.Duration == 0:
		o.Messages = defaultMessages
	}
	if c.Floor {
		o.Floor = func() *exec.Cmd { return exec.Command(program, "bench-floor") }
	}
	return o
}

// format is what subscribers read, where nothing is said what the transport has.
func (c *benchCommand) format() string {
	switch {
	case c.Format != "":
		return c.Format
	case c.Transport == "live":
		return "json"
	}
	return "text"
}

// server is the command of a server for one round. The broker's URL, which may
// have a password, is not put on its command line.
func (c *benchCommand) server(program string) *exec.Cmd {
	s := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn", "--drain-notice", "0", "--drain-time", "10ms",
		"--max-message", fmt.Sprint(max(int64(c.Size), 1<<20)))
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, envPrefix+"_TLS_") {
			s.Env = append(s.Env, variable)
		}
	}
	s.Env = append(s.Env, envPrefix+"_BROKER="+c.Broker)
	return s
}

// print prints the report, and writes the page.
func (c *benchCommand) print(r *bench.Report, out *console) error {
	if c.HTML != "" {
		if err := writePage(c.HTML, r); err != nil {
			return fmt.Errorf("bench: write --html: %w", err)
		}
	}
	if !c.JSON {
		if err := r.WriteText(out.stdout, width(out.stdout)); err != nil {
			return fmt.Errorf("bench: print: %w", err)
		}
		return nil
	}
	if err := json.NewEncoder(out.stdout).Encode(r); err != nil {
		return fmt.Errorf("bench: print: %w", err)
	}
	return nil
}

func writePage(path string, r *bench.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteHTML(f), f.Close())
}

// benchFloorCommand is the server of bench --floor.
type benchFloorCommand struct{}

// Run serves until ctx ends or the process is told to stop.
func (benchFloorCommand) Run(ctx context.Context, out *console) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "%shttp://%s\n", bench.Greeting, l.Addr())
	return bench.ServeFloor(ctx, l)
}
