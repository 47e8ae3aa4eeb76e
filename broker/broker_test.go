package broker_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/pregon/pregon/broker"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Text is text: data that is not UTF-8 is binary whatever the publisher said.
func TestNormal(t *testing.T) {
	for _, c := range []struct {
		data         string
		binary, want bool
	}{
		{"hola", false, false}, {"hola", true, true}, {"", false, false}, {"", true, true}, {"\x00", false, false}, {"\xFF", false, true}, {"\xFF", true, true},
	} {
		if got := (broker.Message{Data: []byte(c.data), Binary: c.binary}).Normalized(); got.Binary != c.want || string(got.Data) != c.data {
			t.Errorf("%q, Binary %t: Normal has Binary %t, want %t", c.data, c.binary, got.Binary, c.want)
		}
	}
}

// A script is a Feed whose Next returns prepared errors, nil being a message.
type script struct {
	broker.Feed
	answers []error
}

func (s *script) Next() (broker.Message, error) {
	err := s.answers[0]
	s.answers = s.answers[1:]
	return broker.Message{}, err
}

// All hands on messages and gaps, and ends at any other error: silently where the
// Feed was closed.
func TestAll(t *testing.T) {
	gap := &broker.GapError{Channels: []string{"chat"}, Reason: broker.LinkLost}
	for name, c := range map[string]struct{ answers, want []error }{
		"closed":       {[]error{nil, nil, broker.ErrClosed}, []error{nil, nil}},
		"gap goes on":  {[]error{nil, gap, nil, broker.ErrClosed}, []error{nil, gap, nil}},
		"other errors": {[]error{nil, io.ErrUnexpectedEOF}, []error{nil, io.ErrUnexpectedEOF}},
		"wrapped":      {[]error{errors.Join(broker.ErrClosed)}, nil},
	} {
		var got []error
		for _, err := range broker.All(&script{answers: c.answers}) {
			got = append(got, err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: All yields errors %v, want %v", name, got, c.want)
		}
	}
	s := &script{answers: []error{nil, nil, broker.ErrClosed}}
	for range broker.All(s) {
		break
	}
	if len(s.answers) != 2 {
		t.Errorf("All called Next again after the loop was left")
	}
}
