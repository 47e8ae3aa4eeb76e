package bench_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/cmd/bench"
)

// measure runs o and fails where there is no report.
func measure(t *testing.T, o bench.Options) *bench.Report {
	t.Helper()
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole fails unless everything arrived once and in order.
func whole(t *testing.T, r *bench.Result, published, received int64) {
	t.Helper()
	if r.Published != published || r.Expected != received || r.Received != received {
		t.Errorf("%d published, %d of %d received; want %d and %d", r.Published, r.Received, r.Expected, published, received)
	}
	if r.Publish.Count != published || r.Delivery.Count != received || r.Deliveries <= 0 || r.Publications <= 0 || len(r.Series) == 0 {
		t.Errorf("something was not measured: %+v", r)
	}
	var sum, before float64 // of the series, which is that of one round
	for _, s := range r.Series {
		sum += s.Deliveries * (s.Seconds - before)
		before = s.Seconds
	}
	if math.Abs(sum*float64(r.Rounds)-float64(received)) > 0.01 {
		t.Errorf("the series adds up to %v deliveries in each of %d rounds", sum, r.Rounds)
	}
}

// Every message of a real server is counted, in each protocol and format.
func TestRun(t *testing.T) {
	url := serve(t)
	for _, transport := range []string{"ws", "sse"} {
		for _, format := range []string{"text", "raw", "json"} {
			t.Run(transport+" "+format, func(t *testing.T) {
				o := small()
				o.URL, o.Transport, o.Format = url, transport, format
				r := measure(t, o)
				if err := r.Err(); err != nil || !r.Passed {
					t.Error(err)
				}
				whole(t, &r.Server, 50, 1000)
				if r.Server.ServerCPU != nil || r.Server.Memory != nil || r.Floor != nil || r.Ratio != nil {
					t.Errorf("figures out of nowhere: %+v", r)
				}
			})
		}
	}
}

// Event streams that share connections over HTTP/2 are counted, too.
func TestRunOverHTTP2(t *testing.T) {
	o := small()
	o.URL, o.Transport, o.HTTP2, o.Subscribers = serve(t), "sse", true, 250
	r := measure(t, o)
	if err := r.Err(); err != nil || !r.Passed {
		t.Error(err)
	}
	whole(t, &r.Server, 50, 12_500)
}

// Over /live, every message is counted, too: for subscribers, for publishers and for both.
func TestRunLive(t *testing.T) {
	url := serve(t)
	for _, c := range []struct{ listen, publish string }{{"live", "http"}, {"ws", "live"}, {"live", "live"}} {
		for name, shape := range map[string]func(*bench.Options){
			"one":       func(*bench.Options) {},
			"by one":    func(o *bench.Options) { o.Pipeline = 1 },
			"many":      func(o *bench.Options) { o.Publishers, o.Messages = 7, 500 },
			"with rate": func(o *bench.Options) { o.Rate, o.Publishers = 1000, 3 },
			"large":     func(o *bench.Options) { o.Size, o.Messages = 100_000, 20 },
		} {
			t.Run(c.listen+" "+c.publish+" "+name, func(t *testing.T) {
				o := small()
				o.URL, o.Transport, o.Format, o.PublishOver = url, c.listen, "json", c.publish
				shape(&o)
				r := measure(t, o)
				if err := r.Err(); err != nil || !r.Passed {
					t.Error(err)
				}
				whole(t, &r.Server, int64(o.Messages), 20*int64(o.Messages))
			})
		}
	}
}

// Publishers and channels are assigned to each other so that nothing is left
// out, whichever there are more of; sizes need each form of a frame's length.
func TestRunShapes(t *testing.T) {
	url := serve(t)
	for name, shape := range map[string]func(*bench.Options){
		"more channels":   func(o *bench.Options) { o.Channels, o.Publishers = 7, 2 },
		"more publishers": func(o *bench.Options) { o.Channels, o.Publishers = 2, 7 },
		"idle publishers": func(o *bench.Options) { o.Messages, o.Publishers = 1, 3 },
		"least size":      func(o *bench.Options) { o.Size = bench.MinSize },
		"large":           func(o *bench.Options) { o.Size, o.Messages = 100_000, 10 },
		"rate":            func(o *bench.Options) { o.Rate, o.Publishers = 1000, 3 },
		"rounds":          func(o *bench.Options) { o.Rounds = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			o := small()
			o.URL = url
			shape(&o)
			r := measure(t, o)
			if err := r.Err(); err != nil {
				t.Error(err)
			}
			published := int64(o.Messages * o.Rounds)
			if o.Channels == 1 {
				whole(t, &r.Server, published, 20*published)
			} else if r.Server.Published != published {
				t.Errorf("%d published", r.Server.Published)
			}
		})
	}
}

// A run by time publishes what is due in that time, and no more.
func TestDuration(t *testing.T) {
	o := small()
	o.URL, o.Messages, o.Duration, o.Rate = serve(t), 0, 100*time.Millisecond, 500
	r := measure(t, o)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	whole(t, &r.Server, 50, 1000)
}

// What a server does wrong is counted exactly, and fails the test. A ping is not
// wrong.
func TestFaults(t *testing.T) {
	for fault, c := range map[string]struct {
		want  bench.Result // for one subscriber
		says  string
		calls int64 // accepted publications
	}{
		"none":     {bench.Result{}, "", 50},
		"ping":     {bench.Result{}, "", 50},
		"drop":     {bench.Result{Lost: 1}, "20 were lost", 50},
		"double":   {bench.Result{Duplicated: 1}, "20 doubled", 50},
		"swap":     {bench.Result{Reordered: 1}, "20 out of order", 50},
		"corrupt":  {bench.Result{Corrupt: 1, Lost: 1}, "20 corrupt", 50},
		"shorten":  {bench.Result{Corrupt: 1, Lost: 1}, "20 corrupt", 50},
		"close":    {bench.Result{Disconnected: 1, Lost: 45}, `close code 4008 "slowly"`, 50},
		"mask":     {bench.Result{Disconnected: 1, Lost: 46}, "masked", 50},
		"refuse":   {bench.Result{}, "503", 49},
		"time out": {bench.Result{}, "504", 4},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			o := small()
			o.URL, o.Format, o.Drain = startFaulty(t, fault), "raw", 2*time.Second
			r := measure(t, o)
			got, n := r.Server, int64(o.Subscribers)
			if got.Lost != n*c.want.Lost || got.Duplicated != n*c.want.Duplicated || got.Reordered != n*c.want.Reordered ||
				got.Corrupt != n*c.want.Corrupt || got.Disconnected != n*c.want.Disconnected || got.Published != c.calls {
				t.Errorf("%+v", got)
			}
			err := r.Err()
			if c.says == "" && (err != nil || !r.Passed) {
				t.Error(err)
			}
			if c.says != "" && (!errors.Is(err, bench.ErrFailed) || r.Passed || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// What keeps a measurement from beginning is an error, not a report.
func TestNoBeginning(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*bench.Options)
		says  string
		usage bool
	}{
		"nobody there":   {func(o *bench.Options) { o.URL = "http://127.0.0.1:1" }, "refused", false},
		"no room":        {func(o *bench.Options) { o.URL = startFaulty(t, "no room") }, "Too many", false},
		"wrong key":      {func(o *bench.Options) { o.URL = startFaulty(t, "wrong key") }, "Sec-WebSocket-Accept", false},
		"broken server":  {func(o *bench.Options) { o.Server = child("broken") }, "nothing works", false},
		"bad server":     {func(o *bench.Options) { o.Server = child("misunderstood") }, "what?", true},
		"no server":      {func(o *bench.Options) { o.Server = func() *exec.Cmd { return exec.Command("./nowhere") } }, "nowhere", false},
		"broken floor":   {func(o *bench.Options) { o.URL, o.Floor = "http://127.0.0.1:1", child("broken") }, "floor: ", false},
		"no options":     {func(o *bench.Options) { *o = bench.Options{} }, "--subscribers", true},
		"no descriptors": {func(o *bench.Options) { o.Subscribers = math.MaxInt }, "ulimit", false},
		"not an address": {func(o *bench.Options) { o.URL = "localhost" }, "http://host:port", true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no descriptors" && runtime.GOOS == "windows" {
				t.Skip("there is no limit")
			}
			o := small()
			o.Server = child("server")
			c.spoil(&o)
			r, err := bench.Run(t.Context(), o)
			if r != nil || err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, bench.ErrOptions) != c.usage {
				t.Errorf("%v, %v; want %q", r, err, c.says)
			}
		})
	}
}

// Options that make no sense are named.
func TestValidate(t *testing.T) {
	for says, spoil := range map[string]func(*bench.Options){
		"--subscribers":  func(o *bench.Options) { o.Subscribers = 0 },
		"--channels":     func(o *bench.Options) { o.Channels = 21 },
		"--publishers":   func(o *bench.Options) { o.Publishers = 0 },
		"one of them":    func(o *bench.Options) { o.Duration = time.Second },
		"--messages":     func(o *bench.Options) { o.Messages = -1 },
		"--duration":     func(o *bench.Options) { o.Messages, o.Duration = 0, -1 },
		"--rate":         func(o *bench.Options) { o.Rate = -1 },
		"24 bytes":       func(o *bench.Options) { o.Size = bench.MinSize - 1 },
		"--size":         func(o *bench.Options) { o.Size = 1 << 30 },
		"--transport":    func(o *bench.Options) { o.Transport = "ftp" },
		"--format":       func(o *bench.Options) { o.Format = "xml" },
		"--url":          func(o *bench.Options) { o.Server = nil },
		"--pid":          func(o *bench.Options) { o.PID = 1 },
		"live, which":    func(o *bench.Options) { o.Transport = "live" },
		"--publish-over": func(o *bench.Options) { o.PublishOver = "sse" },
		"--pipeline":     func(o *bench.Options) { o.PublishOver, o.Pipeline = "live", 0 },
		"1 to 4096":      func(o *bench.Options) { o.PublishOver, o.Pipeline = "live", 4097 },
		"--floor":        func(o *bench.Options) { o.Floor, o.Transport = child("floor"), "sse" },
		"--http2":        func(o *bench.Options) { o.HTTP2 = true },
		"http only":      func(o *bench.Options) { o.Floor, o.PublishOver = child("floor"), "live" },
		"--rounds":       func(o *bench.Options) { o.Rounds = 0 },
		"--drain":        func(o *bench.Options) { o.Drain = 0 },
	} {
		o := small()
		o.Server = child("server")
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&o)
		if err := o.Validate(); !errors.Is(err, bench.ErrOptions) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// Servers and floors in processes of their own are measured turn about, and both
// have gone afterwards.
func TestFloor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the floor needs write(2)")
	}
	o := small()
	var order []string
	note := func(kind string) func() *exec.Cmd {
		start := child(kind)
		return func() *exec.Cmd { order = append(order, kind); return start() }
	}
	o.Server, o.Floor, o.Rounds, o.Size = note("server"), note("floor"), 2, 70_000
	r := measure(t, o)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	whole(t, &r.Server, 100, 2000)
	whole(t, r.Floor, 100, 2000)
	if r.Ratio == nil || r.Ratio.Deliveries <= 0 || strings.Join(order, " ") != "floor server floor server" {
		t.Errorf("%+v in the order of %v", r.Ratio, order)
	}
	if runtime.GOOS == "linux" && (r.Server.ServerCPU == nil || r.Server.ClientCPU == nil || r.Server.Memory == nil) {
		t.Errorf("/proc was not read: %+v", r.Server)
	}
	var b bytes.Buffer
	if err := r.WriteText(&b, 80); err != nil || !strings.Contains(b.String(), "ratio") {
		t.Error(err, b.String())
	}
}

// A run that is stopped publishes nothing more, and reports what there is.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := small()
	o.URL, o.Messages, o.Rate, o.Rounds = serve(t), 1_000_000, 100, 3
	o.Progress = func(p bench.Progress) {
		if p.Delivered > 0 {
			cancel()
		}
	}
	r, err := bench.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Passed || r.Server.Lost != 0 || r.Server.Rounds != 1 || r.Server.Received != 20*r.Server.Published {
		t.Errorf("%+v", r)
	}
	if _, err := bench.Run(ctx, o); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("a run that was stopped before it began: %v", err)
	}
}
