package cmd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
)

// An examination is of a running server, from where its clients are: by its URL, and through whatever is
// in front of it. Nothing is known of the server but what it answers.
type examination struct {
	client  *caller
	admin   *caller // of the address for operators, nil where it is not known
	channel string  // in which messages are published, at random so that nobody hears them
	ping    time.Duration

	findings   []broker.Finding
	mayPublish bool
	longest    int // bytes of a message
}

// newExamination returns what examines a server as a client of it, and as an operator where admin is not nil.
func newExamination(client, admin *caller) *examination {
	return &examination{client: client, admin: admin, channel: "pregon-doctor-" + strings.ToLower(rand.Text()[:10])}
}

// run examines the server. What makes the rest meaningless ends it.
func (x *examination) run(ctx context.Context) []broker.Finding {
	reached := x.reach(ctx)
	if reached || x.admin != nil {
		x.figures(ctx) // ahead of what is done here, which moves them
	}
	if !reached {
		return x.findings
	}
	ready := x.ready(ctx)
	x.host(ctx)
	if !ready { // whatever needs a channel fails for the same reason
		x.socket(ctx)
		return x.findings
	}
	x.publishing(ctx)
	silent := x.listenInSilence(ctx)
	x.socket(ctx)
	x.stream(ctx)
	x.resuming(ctx)
	x.large(ctx)
	silent()
	return x.findings
}

func (x *examination) say(severity broker.Severity, subject, detail, advice string) {
	x.findings = append(x.findings, broker.Finding{Severity: severity, Subject: subject, Detail: detail, Advice: advice})
}

func (x *examination) ok(subject, detail string) { x.say(broker.SeverityOK, subject, detail, "") }
func (x *examination) warn(subject, detail, advice string) {
	x.say(broker.SeverityWarning, subject, detail, advice)
}
func (x *examination) bad(subject, detail, advice string) {
	x.say(broker.SeverityFailure, subject, detail, advice)
}

// get makes a request below the URL, with the credential. The caller closes the body.
func (x *examination) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(x.client.url)+path, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	return x.client.do(req)
}

// reach says whether the server is there, and how it is come to.
func (x *examination) reach(ctx context.Context) bool {
	began := time.Now()
	resp, err := x.get(ctx, "/healthz", nil)
	if err != nil {
		x.bad("reachable", sentence(x.client.unreachable(err)), "")
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		a := answerError(resp)
		x.bad("reachable", "/healthz: "+a.Error()+".", adviceFor(a, "Let the proxy pass on everything below the URL, or correct --url."))
		return false
	}
	x.ok("reachable", fmt.Sprintf("Answered after %v, by %s.", time.Since(began).Round(time.Millisecond), resp.Proto))
	x.clock(resp, began)
	x.encryption(resp)
	return true
}

// adviceFor returns what to do where pregon itself has refused, and otherwise what helps with a proxy.
func adviceFor(a *answered, proxy string) string {
	switch a.code {
	case "":
		return proxy
	case "host_not_allowed", "open_behind_proxy":
		return "See \"Why was I refused?\" in the documentation of the server; its log has the request."
	}
	return ""
}

// apart is a difference of clocks with which credentials are taken for expired, or for good, when they are not.
const apart = 5 * time.Second

// clock compares the clock of the server, or of what is in front of it, with the one here.
func (x *examination) clock(resp *http.Response, asked time.Time) {
	said, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	middle := asked.Add(time.Since(asked) / 2)
	if off := said.Sub(middle.Truncate(time.Second)); off.Abs() > apart {
		x.warn("clock", fmt.Sprintf("The clock of the server differs from the one here by %v.", off.Abs().Round(time.Second)),
			"Have both follow NTP: tokens expire by the server's clock.")
		return
	}
	x.ok("clock", "The server's and the one here agree.")
}

// soon is when a certificate that has not been replaced yet should have been.
const soon = 14 * 24 * time.Hour

// encryption says what is to be said of TLS and of HTTP/2.
func (x *examination) encryption(resp *http.Response) {
	if resp.TLS == nil {
		if !isThisMachine(resp.Request.URL.Hostname()) {
			x.warn("tls", "Everybody on the way can read what is sent.", "Use https, by --tls-cert or a proxy.")
		}
		return
	}
	ends := resp.TLS.PeerCertificates[0].NotAfter
	if left := time.Until(ends); left < soon {
		x.warn("tls", fmt.Sprintf("The certificate expires at %s, in %d days.", ends.UTC().Format(time.RFC3339), left/(24*time.Hour)), "See why it was not renewed.")
	} else {
		x.ok("tls", fmt.Sprintf("The certificate is good until %s.", ends.UTC().Format(time.DateOnly)))
	}
	if resp.ProtoMajor < 2 {
		x.warn("http/2", "It is not offered: a browser opens six event streams to one host and no more.", "Have the proxy offer it.")
	} else {
		x.ok("http/2", "It is offered: a browser may open many event streams.")
	}
}

// isThisMachine reports whether a host of a URL is the machine itself.
func isThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// ready says whether messages go through the broker, without which little can be tried.
func (x *examination) ready(ctx context.Context) bool {
	resp, err := x.get(ctx, "/readyz", nil)
	if err != nil {
		x.bad("ready", sentence(x.client.unreachable(err)), "")
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		x.ok("ready", "Messages go through the broker and come back.")
		x.notPromised(resp.Body)
		return true
	}
	x.bad("ready", sentence(answerError(resp))+" What needs the broker was not tried.", "Run pregon doctor --broker where the server runs; its log says why.")
	return false
}

// notPromised repeats what the server says that its broker may lose.
func (x *examination) notPromised(answer io.Reader) {
	const longest = 4 << 10 // as nobody knows what answers there
	text, _ := io.ReadAll(io.LimitReader(answer, longest))
	if _, lost, ok := strings.Cut(string(text), "\nnot promised: "); ok {
		lost, _, _ = strings.Cut(lost, "\n")
		x.warn("not promised", visible(lost), "Run pregon doctor --broker where the server runs: it says what would help.")
	}
}

// host says whether a page of the server's own origin is let in, and so whether a proxy passes Host on.
func (x *examination) host(ctx context.Context) {
	resp, err := x.get(ctx, "/history/"+x.channel+"?limit=1", http.Header{"Origin": {originOf(string(x.client.url))}})
	if err != nil {
		x.bad("host", sentence(x.client.unreachable(err)), "")
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusBadRequest {
		x.ok("host", "Pages of this address may use the server.")
		return
	}
	switch a := answerError(resp); a.code {
	case "origin_not_allowed", "host_not_allowed":
		x.bad("host", "A page of this address is refused: the server is asked for another host than this.",
			"Have the proxy pass Host on (nginx: proxy_set_header Host $host;), or name this one with --host.")
	default:
		x.ok("host", "Pages of this address may use the server.")
	}
}

// publishing says whether the credential, or everybody, may publish.
func (x *examination) publishing(ctx context.Context) {
	_, err := x.publish(ctx, "pregon doctor")
	a, isAnswer := errors.AsType[*answered](err)
	switch {
	case err == nil:
		x.mayPublish = true
		x.ok("publish", "A message was taken.")
	case isAnswer && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden):
		x.ok("publish", "Refused: "+strings.TrimSuffix(a.detail, ".")+". What needs a message was not tried.")
		x.findings[len(x.findings)-1].Advice = "With the key of a backend in --token-file it is."
	default:
		x.bad("publish", sentence(plainError(err)), "")
	}
}

// publish publishes one message, for which nobody is to wait long.
func (x *examination) publish(ctx context.Context, text string) (receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	c := &pubCommand{Channel: x.channel, URL: x.client.url}
	return c.post(ctx, x.client, text)
}

// examineTime bounds each single step.
const examineTime = 10 * time.Second
