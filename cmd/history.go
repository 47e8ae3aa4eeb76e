package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
)

// A historyFlags says what is kept of each channel.
type historyFlags struct {
	History     time.Duration `default:"0s" placeholder:"TIME" help:"Keep messages for so long, such as 5m, so that clients which come back get what they missed; 0 keeps none. Default ${default}."`
	HistorySize int           `default:"1000" placeholder:"N" help:"Messages that are kept of a channel, with --history. Default ${default}."`
}

func (f historyFlags) check() error {
	switch {
	case f.History != 0 && (f.History < broker.MinHistory || f.History > broker.MaxHistory):
		return errors.New("--history: must be 0, or from 1s to 720h")
	case f.HistorySize < 1 || f.HistorySize > broker.MaxHistorySize:
		return errors.New("--history-size: must be from 1 to 1000000")
	}
	return nil
}

// open opens a broker that keeps what the flags say.
func (f historyFlags) open(ctx context.Context, rawURL string) (broker.Broker, error) {
	if f.History == 0 {
		return broker.Open(ctx, rawURL) // whose own parameters may keep something
	}
	rawURL, err := f.addTo(rawURL)
	if err != nil {
		return nil, err
	}
	b, err := broker.Open(ctx, rawURL)
	var unknown *broker.ParamError
	switch {
	case errors.As(err, &unknown) && (unknown.Name == broker.ParamHistory || unknown.Name == broker.ParamHistorySize):
		return nil, fmt.Errorf("--history: brokers of %s:// keep no history%w", unknown.Scheme, errUsage)
	case err != nil:
		return nil, err
	}
	if _, keeps := broker.HistoryOf(b); !keeps {
		_ = b.Close() // it is of no use
		return nil, fmt.Errorf("--history: this broker keeps no history%w", errUsage)
	}
	return b, nil
}

// addTo puts the flags into a broker URL as parameters. It leaves all else as it
// is: the URL may be one of those that net/url does not write as it has read them,
// such as memory://, or none at all, which Open is to say.
func (f historyFlags) addTo(rawURL string) (string, error) {
	address, fragment, fragmented := strings.Cut(rawURL, "#")
	_, query, has := strings.Cut(address, "?")
	// What cannot be parsed is the driver's to refuse.
	if given, _ := url.ParseQuery(query); given.Has(broker.ParamHistory) || given.Has(broker.ParamHistorySize) {
		return "", fmt.Errorf("--history: the broker URL says what is kept, too; leave out either%w", errUsage)
	}
	switch {
	case !has:
		address += "?"
	case query != "":
		address += "&"
	}
	address += url.Values{
		broker.ParamHistory: {f.History.String()}, broker.ParamHistorySize: {strconv.Itoa(f.HistorySize)},
	}.Encode()
	if fragmented {
		address += "#" + fragment
	}
	return address, nil
}
