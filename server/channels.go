package server

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// maxChannels is how many channels one query may name.
const maxChannels = 100

// pathChannel takes the channel out of the path of r behind prefix.
func pathChannel(r *http.Request, prefix string) (string, error) {
	escaped, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	if !ok || escaped == "" {
		return "", notFound()
	}
	name, err := broker.ParseChannel(escaped)
	if err != nil {
		return "", channelProblem(err)
	}
	return name, nil
}

// queryChannels returns the distinct channels of the query's channel parameters.
func queryChannels(query url.Values) ([]string, error) {
	names := query["channel"]
	switch {
	case len(names) == 0:
		return nil, badRequest("no_channel", "Name the channels, in the path or as ?channel=a&channel=b.")
	case len(names) > maxChannels:
		return nil, badRequest("too_many_channels", "At most 100 channels can be named.")
	}
	var distinct []string
	for _, name := range names {
		if err := broker.CheckChannel(name); err != nil {
			return nil, channelProblem(err)
		}
		if !slices.Contains(distinct, name) {
			distinct = append(distinct, name)
		}
	}
	return distinct, nil
}

// parseQuery is url.ParseQuery with a problem for an error. A semicolon is an
// error there, and silently dropped by URL.Query.
func parseQuery(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badQuery()
	}
	return query, nil
}

// channelProblem turns a *broker.ChannelError into an answer.
func channelProblem(err error) error {
	var ce *broker.ChannelError
	if !errors.As(err, &ce) {
		return err
	}
	return nameProblem(ce)
}

func nameProblem(err *broker.ChannelError) *transport.Problem {
	if err.Code == "channel_reserved" {
		return &transport.Problem{Status: http.StatusForbidden, Code: err.Code, Detail: err.Detail}
	}
	return badRequest(err.Code, err.Detail)
}

func badQuery() *transport.Problem { return badRequest("bad_query", "The query is not well formed.") }

func badRequest(code, detail string) *transport.Problem {
	return &transport.Problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}
