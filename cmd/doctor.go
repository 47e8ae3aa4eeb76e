package cmd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/broker"
)

type doctorCommand struct {
	Broker    string        `default:"miniredis://" placeholder:"URL" help:"Broker to examine, such as redis://localhost:6379. Default ${default}."`
	Keep      historyFlags  `embed:""`
	Config    string        `placeholder:"FILE" help:"Examine this configuration, too: pregon.yaml."`
	TokenFile string        `name:"token-file" placeholder:"FILE" help:"Examine this key or token, too. With --url it is sent."`
	URL       address       `name:"url" env:"-" placeholder:"URL" help:"Examine the server that runs there, and not a broker: by its public address, through the proxy."`
	AdminURL  address       `name:"admin-url" env:"-" placeholder:"URL" help:"With --url: the address of its --admin, for its figures. By default /metrics of --url."`
	CA        string        `name:"ca" env:"-" placeholder:"FILE" help:"With --url: certificates in PEM of authorities to trust beside those of the system."`
	Timeout   time.Duration `default:"10s" help:"Longest time for all of it. Default ${default}, and with --url 2m."`
	JSON      bool          `name:"json" help:"Print an array of objects."`
}

// Help is shown by pregon doctor --help.
func (doctorCommand) Help() string {
	return `With --url it is a client of a running server: it connects, listens in silence until a ping comes, which takes half a minute, and publishes a few messages to a channel of its own where --token-file or the server lets it. Where it may read the server's figures, it says which limits are near, and what was counted since the start.

With --config it also reports common mistakes in access rules. What it cannot see is a key in a page: a key is for your backend alone, and users' browsers get tokens.`
}

// Validate is called by kong.
func (c *doctorCommand) Validate(kctx *kong.Context) error {
	if c.URL != "" && !isGiven(kctx, "timeout") {
		c.Timeout = 2 * time.Minute
	}
	switch {
	case c.Timeout < minTime:
		return fmt.Errorf("--timeout: must be at least %v", minTime)
	case c.URL == "" && c.AdminURL != "":
		return errors.New("--admin-url: it is for --url")
	case c.URL == "" && c.CA != "":
		return errors.New("--ca: it is for --url")
	case c.URL != "" && (isGiven(kctx, "broker") || isGiven(kctx, "config")):
		return errors.New("--url: it examines a server; examine its broker and its configuration by another call")
	}
	return c.Keep.check()
}

// isGiven reports whether a flag stands on the command line.
func isGiven(kctx *kong.Context, name string) bool {
	return slices.ContainsFunc(kctx.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == name })
}

// What is bad is told by findings; these are how the command ends.
var (
	errBrokerBad = errors.New("the broker is not usable")
	errAccessBad = errors.New("the configuration or the token is not usable")
	errServerBad = errors.New("the server does not serve as it should")
)

// Run examines the broker and prints likely problems. It fails where something is bad.
func (c *doctorCommand) Run(ctx context.Context, out *console, kctx *kong.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what matters is a finding
	if c.URL != "" {
		return c.examine(ctx, out)
	}
	b, err := c.Keep.open(ctx, c.Broker)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // nothing is left to be lost
	findings := diagnose(ctx, b)
	if c.Config != "" {
		findings = withRules(findings)
	}
	aboutAccess := c.diagnoseAccess(ctx, kctx)
	if err := c.print(out, slices.Concat(findings, aboutAccess)); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	switch {
	case slices.ContainsFunc(findings, isBad):
		return errBrokerBad
	case slices.ContainsFunc(aboutAccess, isBad):
		return errAccessBad
	}
	return nil
}

// examine examines a running server.
func (c *doctorCommand) examine(ctx context.Context, out *console) error {
	flags := clientFlags{TokenFile: c.TokenFile, CA: c.CA}
	client, err := flags.caller(c.URL)
	if err != nil {
		return err
	}
	defer client.close()
	var admin *caller
	if c.AdminURL != "" {
		if admin, err = flags.caller(c.AdminURL); err != nil {
			return err
		}
		defer admin.close()
	}
	findings := newExamination(client, admin).run(ctx)
	if err := c.print(out, findings); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if slices.ContainsFunc(findings, isBad) {
		return errServerBad
	}
	return nil
}

func isBad(f broker.Finding) bool { return f.Severity == broker.SeverityFailure }

// diagnose collects what the driver says and what is tried out.
func diagnose(ctx context.Context, b broker.Broker) []broker.Finding {
	var findings []broker.Finding
	if d, ok := b.(broker.Diagnoser); ok {
		said, err := d.Diagnose(ctx)
		if err != nil {
			return append([]broker.Finding{{Severity: broker.SeverityFailure, Subject: "connection", Detail: sentence(err)}}, said...)
		}
		findings = said
	}
	findings = append(findings, tryWhereMade(ctx, b)...)
	if slices.ContainsFunc(findings, isBad) {
		return findings
	}
	findings = append(findings, promises(b, findings))
	if _, marks := b.(broker.Marker); marks && keepsHistory(b) {
		findings = append(findings, broker.Finding{Severity: broker.SeverityOK, Subject: "others get", Detail: othersGet})
	}
	return findings
}

// othersGet is what is true of messages that other programs publish beside a history.
const othersGet = "What other programs PUBLISH is heard and not kept; where some node heard it, or the channel had such messages before, clients that may have missed it are told. By FCALL pregon_publish, or the text of pregon redis-script, it is kept like all else."

func keepsHistory(b broker.Broker) bool {
	_, keeps := broker.HistoryOf(b)
	return keeps
}

// tryWhereMade tries b out where that makes nothing on the backend that would be in the way of the first node.
func tryWhereMade(ctx context.Context, b broker.Broker) []broker.Finding {
	m, makes := b.(broker.Maker)
	if !makes {
		return tryOut(ctx, b)
	}
	switch unmade, err := m.Unmade(ctx); {
	case err != nil:
		return []broker.Finding{{Severity: broker.SeverityFailure, Subject: "publish", Detail: sentence(err)}}
	case unmade != "":
		return []broker.Finding{{Severity: broker.SeverityOK, Subject: "publish",
			Detail: "Not tried, as that would make " + unmade + ", which is for a node to do.", Advice: "Ask again when a node runs, with the longest --history and --history-size that it has."}}
	}
	return tryOut(ctx, b)
}

const trials = 20 // publications, of which the median time is told

// slowTrip is a time from publishing to hearing that is felt.
const slowTrip = 5 * time.Millisecond

// tryOut publishes to itself, as a server does all the time.
func tryOut(ctx context.Context, b broker.Broker) []broker.Finding {
	bad := func(what string, err error) []broker.Finding {
		return []broker.Finding{{Severity: broker.SeverityFailure, Subject: what, Detail: sentence(err)}}
	}
	feed, err := b.Feed(ctx)
	if err != nil {
		return bad("subscribe", err)
	}
	unhook := context.AfterFunc(ctx, func() { _ = feed.Close() }) // ends Next
	defer unhook()
	defer func() { _ = feed.Close() }()
	channel := "__pregon.doctor." + rand.Text()
	if err := feed.Subscribe(ctx, channel); err != nil {
		return bad("subscribe", err)
	}
	if broker.NotPromised(b) != "" {
		select {
		case <-time.After(spreadTime):
		case <-ctx.Done():
		}
	}
	publish := asLittleAsCanBe(b)
	var trips []time.Duration
	for range trials {
		began := time.Now()
		if _, err := publish(ctx, broker.Message{Channel: channel, Data: []byte("doctor")}); err != nil {
			return bad("publish", err)
		}
		if _, err := feed.Next(); err != nil {
			return bad("publish", errors.New("a message was accepted and not heard through the subscription in time"))
		}
		trips = append(trips, time.Since(began))
	}
	slices.Sort(trips)
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "publish",
		Detail: fmt.Sprintf("Heard through the own subscription after %v (median of %d).", trips[trials/2].Round(time.Microsecond), trials)}
	if trips[trials/2] > slowTrip {
		f.Severity, f.Advice = broker.SeverityWarning, "Run pregon nearer to its broker."
	}
	return []broker.Finding{f}
}

// asLittleAsCanBe returns what publishes by b and leaves nothing in a history, where b can do that.
func asLittleAsCanBe(b broker.Broker) func(context.Context, broker.Message) (broker.Receipt, error) {
	if h, keeps := broker.HistoryOf(b); keeps {
		if p, probes := h.(broker.Prober); probes {
			return p.Probe
		}
	}
	return b.Publish
}

// promises says what clients can rely on with what was found.
func promises(b broker.Broker, findings []broker.Finding) broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "you get"}
	_, asked := b.(broker.Diagnoser)
	durable := asked && !slices.ContainsFunc(findings, func(f broker.Finding) bool { return f.Severity != broker.SeverityOK })
	switch {
	case broker.NotPromised(b) != "":
		f.Severity = broker.SeverityWarning
		f.Detail = "Messages while the link to the broker stands; where it was lost, clients are told. " + broker.NotPromised(b)
	case !keepsHistory(b):
		f.Detail = "Every message once and in order while the link to the broker stands; where it was lost, clients are told. With --history they would get what they missed."
	case durable:
		f.Detail = "Every acknowledged message of the window once and in order, whatever happens to links and to the processes."
	default:
		f.Detail = "Every message of the window once and in order, whatever happens to links; where the broker itself loses some, clients are told."
	}
	return f
}

// spreadTime is for which a broker that may lose the first messages of a subscription is left alone behind it.
const spreadTime = 500 * time.Millisecond

func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func (c *doctorCommand) print(out *console, findings []broker.Finding) error {
	if c.JSON {
		enc := json.NewEncoder(out.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(findings)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(out.stdout, "%-4s  %-12s  %s\n", f.Severity, f.Subject, f.Detail); err != nil {
			return err
		}
		if f.Advice != "" {
			if _, err := fmt.Fprintf(out.stdout, "%20s%s\n", "", f.Advice); err != nil {
				return err
			}
		}
	}
	return nil
}
