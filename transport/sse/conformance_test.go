package sse_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/sse"
	"github.com/pregon/pregon/transport/transporttest"
)

// The protocol keeps the whole contract of package transport. A stream ends by
// ending, so there are no reasons to tell.
func TestConformance(t *testing.T) {
	t.Parallel()
	conforms(t, 1, func() http.RoundTripper { return http.DefaultTransport })
}

// It does over HTTP/2, too, where the connection cannot be taken over.
func TestConformanceOverHTTP2(t *testing.T) {
	t.Parallel()
	conforms(t, 2, func() http.RoundTripper {
		two := &http.Transport{Protocols: new(http.Protocols)}
		two.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(two.CloseIdleConnections)
		return two
	})
}

// conforms runs the suite with clients that each use a transport of HTTP that is made for it, of that version.
func conforms(t *testing.T, version int, over func() http.RoundTripper) {
	t.Helper()
	transporttest.Run(t, transporttest.Protocol{
		New: func(env transport.Deps) (transport.Transport, error) { return sse.New(env), nil },
		Dial: func(ctx context.Context, url string, format transport.Format) (transporttest.Conn, error) {
			life, end := context.WithCancel(context.Background())
			defer context.AfterFunc(ctx, end)()
			r, err := http.NewRequestWithContext(life, http.MethodGet, url, nil)
			if err != nil {
				return nil, err
			}
			resp, err := over().RoundTrip(r)
			if err != nil {
				return nil, err
			}
			if resp.ProtoMajor != version {
				end()
				return nil, fmt.Errorf("the answer came over %s", resp.Proto)
			}
			if resp.StatusCode != http.StatusOK {
				end()
				return nil, fmt.Errorf("the answer is %s", resp.Status)
			}
			return &conformer{resp.Body, end, bufio.NewReader(resp.Body), format}, nil
		},
	})
}

// A conformer is the client of the conformance suite.
type conformer struct {
	body   io.Closer
	end    context.CancelFunc
	lines  *bufio.Reader
	format transport.Format
}

func (c *conformer) Close() error {
	c.end()
	return c.body.Close()
}

// Next reads up to the end of an event that is not about the stream itself.
func (c *conformer) Next() (transporttest.Event, error) {
	var name, id string
	var data []string
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return transporttest.Event{}, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n" && name != "start":
			return c.event(name, id, strings.Join(data, "\n"))
		case line == "\n":
			name, id, data = "", "", nil
		case field == "event":
			name = value
		case field == "id":
			id = value
		case field == "data":
			data = append(data, value)
		}
	}
}

func (c *conformer) event(name, id, data string) (e transporttest.Event, err error) {
	switch name {
	case "":
		e, err = transporttest.Decode(c.format, []byte(data), false)
	case "binary":
		var payload []byte
		if payload, err = base64.StdEncoding.DecodeString(data); err != nil {
			return e, err
		}
		e, err = transporttest.Decode(c.format, payload, true)
	default:
		events, _ := transport.FormatByName("json")
		return transporttest.Decode(events, []byte(data), false)
	}
	e.ID = id
	return e, err
}
