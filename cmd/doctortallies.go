package cmd

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pregon/pregon/server/metrics"
)

// A tally is what a server has counted since its start, by a name: of an outcome, a reason or a code.
type tally struct {
	subject, says string
	of            func(metrics.Reading) map[string]float64
	// advice is by those names that a healthy server does not have. The others are everyday life: users come back with a
	// token that has expired, and strangers try what they may not.
	advice map[string]string
}

const (
	sendLess   = "See what sends so much, or raise --queue-bytes; with --history, --slow-clients catch-up loses nothing."
	askBroker  = "Run pregon doctor --broker where the server runs."
	seeBodies  = "See what publishes slowly, or much at once; a smaller --max-message makes room, too."
	seeLink    = "Look at the broker, and at the network to it; with --history clients get what they missed."
	longerKept = "Keep a longer --history."
)

var tallies = []tally{
	{"slow clients", "Clients did not read as fast as messages came", slowClients, map[string]string{
		"disconnected": sendLess, "messages dropped": sendLess,
		"stalled":   "A client that takes nothing is gone without a word: see its network, or the proxy between.",
		"caught_up": "They lose nothing. If they are many, send less.",
	}},
	{"gaps", "Clients were told that messages may be missing", by("pregon_gaps_total", "reason"), map[string]string{
		"link-lost": seeLink, "missing": seeLink,
		"overrun":      "The server was slower than the broker: see its processors, or run another node.",
		"denied":       "The broker refuses this node. " + askBroker,
		"not-retained": longerKept,
		"new-epoch":    "The broker has lost its history. " + askBroker,
		"other":        askBroker,
	}},
	{"refused", "Requests and commands were refused", by("pregon_refusals_total", "code"), map[string]string{
		"origin_not_allowed":   "Name the origins of your pages by --allow-origin.",
		"host_not_allowed":     "Name the hosts of the server by --host.",
		"open_behind_proxy":    "Protect publishing before a proxy lets others in.",
		"issuer_unavailable":   "See in the log why the server cannot fetch the keys of the issuer.",
		"too_many_connections": "Raise --max-connections, or --max-connections-per-address where many users share one.",
		"too_many_bodies":      seeBodies,
		"too_fast":             "Look for a loop in what publishes, or raise the rate.",
		"broker_unavailable":   askBroker, "broker_denied": askBroker, "not_subscribed": askBroker, "outcome_unknown": askBroker,
		"internal": "See the error in the log.",
	}},
	{"tokens", "Tokens were not valid", by("pregon_tokens_refused_total", "reason"), map[string]string{
		"wrong_audience":           "Compare the aud of the tokens with the audience of the server.",
		"wrong_signature":          "Compare the key of the issuer with that of the server.",
		"no_issuer_has_such_a_key": "Compare the iss, alg and kid of the tokens with the server's issuers.",
		"unknown_key":              "See whether the JWKS has the key that the issuer signs with.",
		"not_valid_yet":            "Compare the clocks of the issuer and of the server.",
		"exp_is_too_far_away":      "Give tokens for a shorter time, or set a longer max-age.",
	}},
}

// by returns the values of a figure by a label.
func by(figure, label string) func(metrics.Reading) map[string]float64 {
	return func(f metrics.Reading) map[string]float64 { return f.By(figure, label) }
}

// slowClients returns what became of clients that did not read fast enough.
func slowClients(f metrics.Reading) map[string]float64 {
	counted := f.By("pregon_slow_clients_total", "outcome")
	if dropped, _ := f.Value("pregon_slow_clients_messages_dropped_total"); dropped > 0 {
		counted["messages dropped"] = dropped
	}
	return counted
}

// count says what was counted, and what is to be done about it.
func (x *examination) count(t tally, counted map[string]float64) {
	if len(counted) == 0 {
		x.ok(t.subject, "None.")
		return
	}
	names := slices.SortedFunc(maps.Keys(counted), func(a, b string) int {
		return cmp.Or(cmp.Compare(counted[b], counted[a]), strings.Compare(a, b)) // the most first
	})
	var advice []string
	for i, name := range names {
		if a := t.advice[name]; a != "" && !slices.Contains(advice, a) {
			advice = append(advice, a)
		}
		names[i] = strconv.FormatFloat(counted[name], 'f', 0, 64) + " " + name
	}
	detail := t.says + ": " + strings.Join(names, ", ") + "."
	if len(advice) == 0 {
		x.ok(t.subject, detail)
		return
	}
	x.warn(t.subject, detail, strings.Join(advice, " "))
}
