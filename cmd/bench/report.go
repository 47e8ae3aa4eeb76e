package bench

import (
	"errors"
	"fmt"
	"net/url"
)

// A Report is what a run has found. Its JSON form is what pregon bench --json
// prints. What the system does not tell is left out.
type Report struct {
	Config Config  `json:"config"`
	Server Result  `json:"server"`
	Floor  *Result `json:"floor,omitempty"`
	Ratio  *Ratio  `json:"ratio,omitempty"` // of the server to the floor

	// Interrupted says that the run was stopped early. What had not arrived
	// two seconds later counts as lost.
	Interrupted bool `json:"interrupted"`
	// Passed says that Err is nil.
	Passed bool `json:"passed"`
}

// A Config is what was run.
type Config struct {
	Subscribers int     `json:"subscribers"`
	Channels    int     `json:"channels"`
	Publishers  int     `json:"publishers"`
	Messages    int     `json:"messages,omitempty"`
	Duration    float64 `json:"duration_seconds,omitempty"`
	Rate        float64 `json:"rate_per_second"` // 0: as fast as it goes
	Size        int     `json:"size_bytes"`
	Transport   string  `json:"transport"`
	Format      string  `json:"format"`
	HTTP2       bool    `json:"http2,omitempty"`
	PublishOver string  `json:"publish_over"`
	Pipeline    int     `json:"pipeline,omitempty"` // messages of a publisher under way, over live
	URL         string  `json:"url,omitempty"`      // empty: a server was started
	Broker      string  `json:"broker,omitempty"`   // of that server
	Rounds      int     `json:"rounds"`
}

// A Result is what was found of one server: counts and latencies of all rounds
// together, medians of the rates, and the series of the last round.
type Result struct {
	Rounds int `json:"rounds"` // measured

	Published     int64 `json:"published"`      // accepted by the server
	PublishFailed int64 `json:"publish_failed"` // refused, or of unknown outcome
	Expected      int64 `json:"expected"`       // deliveries of what was accepted
	Received      int64 `json:"received"`
	Lost          int64 `json:"lost"`
	Duplicated    int64 `json:"duplicated"`
	Reordered     int64 `json:"reordered"` // heard after a later one
	Corrupt       int64 `json:"corrupt"`   // not what was published
	Gaps          int64 `json:"gaps"`      // told by the server
	Disconnected  int64 `json:"disconnected"`

	// Problem is the first thing that went wrong, in words.
	Problem string `json:"problem,omitempty"`

	Seconds      float64 `json:"seconds"` // from the first publication to the last arrival
	Deliveries   float64 `json:"deliveries_per_second"`
	Publications float64 `json:"publications_per_second"`

	ServerCPU *float64 `json:"server_cpu_us_per_delivery,omitempty"` // microseconds
	ClientCPU *float64 `json:"client_cpu_us_per_delivery,omitempty"` // of this program
	Memory    *float64 `json:"memory_bytes_per_connection,omitempty"`

	Publish  Latency  `json:"publish_latency"`  // until the server answered
	Delivery Latency  `json:"delivery_latency"` // until the message arrived
	Series   []Sample `json:"series"`
}

// A Ratio is the server's figure divided by the floor's.
type Ratio struct {
	Deliveries float64  `json:"deliveries_per_second"`                // more is better
	ServerCPU  *float64 `json:"server_cpu_us_per_delivery,omitempty"` // less is better
}

// ErrFailed is wrapped by what Report.Err returns.
var ErrFailed = errors.New("the load test has failed")

// Err returns an error where a delivery was lost, doubled or out of order, where
// something else than what was published arrived, where a publication failed, and
// where the run was interrupted. The floor is not judged, but has to be whole for
// its figures to mean anything, so it counts, too.
func (r *Report) Err() error {
	results := []struct {
		prefix string
		result *Result
	}{{"", &r.Server}, {"the floor: ", r.Floor}}
	for _, named := range results {
		if named.result == nil {
			continue
		}
		if err := named.result.err(); err != nil {
			return fmt.Errorf("%s%w", named.prefix, err)
		}
	}
	if r.Interrupted {
		return fmt.Errorf("interrupted%w", silent{ErrFailed})
	}
	return nil
}

func (r *Result) err() error {
	if r.Lost+r.Duplicated+r.Reordered+r.Corrupt+r.Gaps+r.PublishFailed+r.Disconnected == 0 {
		return nil
	}
	text := fmt.Sprintf("of %d deliveries %d were lost, %d doubled, %d out of order, %d corrupt; %d gaps, %d subscribers disconnected, %d publications failed",
		r.Expected, r.Lost, r.Duplicated, r.Reordered, r.Corrupt, r.Gaps, r.Disconnected, r.PublishFailed)
	if r.Problem != "" {
		text += ": " + r.Problem
	}
	return fmt.Errorf("%s%w", text, silent{ErrFailed})
}

func newReport(o *Options, servers, floors []*measurement, interrupted bool) *Report {
	r := &Report{
		Config: Config{
			Subscribers: o.Subscribers, Channels: o.Channels, Publishers: o.Publishers,
			Messages: o.Messages, Duration: o.Duration.Seconds(), Rate: o.Rate, Size: o.Size,
			Transport: o.Transport, Format: o.Format, HTTP2: o.HTTP2, PublishOver: o.PublishOver, Pipeline: o.Pipeline,
			URL: withoutUser(o.URL), Broker: o.Broker, Rounds: o.Rounds,
		},
		Server: newResult(o, servers), Interrupted: interrupted,
	}
	if len(floors) > 0 {
		f := newResult(o, floors)
		r.Floor, r.Ratio = &f, newRatio(&r.Server, &f)
	}
	if o.PublishOver != "live" {
		r.Config.Pipeline = 0
	}
	r.Passed = r.Err() == nil
	return r
}

// withoutUser is a URL as it may be shown.
func withoutUser(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

func newRatio(server, floor *Result) *Ratio {
	r := &Ratio{}
	if floor.Deliveries > 0 {
		r.Deliveries = server.Deliveries / floor.Deliveries
	}
	if server.ServerCPU != nil && floor.ServerCPU != nil && *floor.ServerCPU > 0 {
		cpu := *server.ServerCPU / *floor.ServerCPU
		r.ServerCPU = &cpu
	}
	return r
}
