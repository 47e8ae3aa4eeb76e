package lines_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"example.com/pregon-lines/lines"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/transporttest"
)

// The protocol keeps the whole contract of package transport.
func TestConformance(t *testing.T) {
	transporttest.Run(t, transporttest.Protocol{
		New: lines.New, Dial: dial, Formats: []string{"json"},
		Closes: map[transport.CloseReason]string{
			transport.CloseShutdown: "shutdown", transport.CloseSlow: "slow", transport.CloseDenied: "denied",
			transport.CloseExpired: "expired", transport.CloseForbidden: "forbidden", transport.CloseLimit: "limit",
		},
	})
}

type client struct {
	body   io.ReadCloser
	end    context.CancelFunc
	lines  *bufio.Reader
	format transport.Format
}

func dial(ctx context.Context, url string, format transport.Format) (transporttest.Conn, error) {
	life, end := context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, end)()
	r, err := http.NewRequestWithContext(life, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		end()
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	return &client{resp.Body, end, bufio.NewReader(resp.Body), format}, nil
}

// Next implements transporttest.Conn.
func (c *client) Next() (transporttest.Event, error) {
	for {
		line, err := c.lines.ReadBytes('\n')
		if err != nil {
			return transporttest.Event{}, err
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		var last struct{ Type, Code string }
		switch {
		case len(line) == 0: // a ping
		case json.Unmarshal(line, &last) == nil && last.Type == "close":
			return transporttest.Event{}, &transporttest.End{Code: last.Code}
		default:
			return transporttest.Decode(c.format, line, false)
		}
	}
}

// Close implements transporttest.Conn.
func (c *client) Close() error {
	c.end()
	return c.body.Close()
}
