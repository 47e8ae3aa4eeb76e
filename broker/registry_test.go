package broker_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
)

func init() {
	broker.Register("toy", func(_ context.Context, u *url.URL) (broker.Broker, error) {
		return toy{name: u.Host}, broker.CheckParams(u, "size", "speed")
	})
	broker.Register("bare", func(_ context.Context, u *url.URL) (broker.Broker, error) {
		return toy{}, broker.CheckParams(u)
	})
}

// A toy is a Broker that does nothing.
type toy struct{ name string }

func (toy) Publish(context.Context, broker.Message) (broker.Receipt, error) {
	return broker.Receipt{}, errors.ErrUnsupported
}
func (toy) Feed(context.Context) (broker.Feed, error) { return nil, errors.ErrUnsupported }
func (toy) Close() error                              { return nil }

// The scheme chooses the driver, which gets the URL.
func TestOpen(t *testing.T) {
	for _, raw := range []string{"toy://there", "TOY://there", "toy://there?size=1&speed=2", "toy://there?size="} {
		b, err := broker.Open(t.Context(), raw)
		if err != nil || b != broker.Broker(toy{"there"}) {
			t.Errorf("Open(%q) = %v, %v; want the toy of there", raw, b, err)
		}
	}
	if got := broker.Drivers(); !slices.IsSorted(got) || !slices.Contains(got, "toy") || !slices.Contains(got, "bare") {
		t.Errorf("Drivers() = %q; want bare and toy in order", got)
	}
}

// A URL that cannot be opened is an error that names its wrong part and what is
// known instead, and wraps ErrURL.
func TestOpenErrors(t *testing.T) {
	known := strings.Join(broker.Drivers(), "://, ") + "://"
	for _, c := range []struct{ raw, want string }{
		{"", "write one of " + known},
		{"toy", "write one of " + known},
		{"nats://x", `unknown scheme "nats"; known are ` + known},
		{"http://x", `unknown scheme "http"`},
		{"toy://x?sise=1", `unknown parameter "sise"; known are size, speed`},
		{"toy://x?size=1&size=2", `"size" is given more than once`},
		{"bare://?size=1", `unknown parameter "size"; takes no parameters`},
		{"toy://x?a=1;b=2", "query"},
		{"toy://x?size=%zz", "query"},
		{"toy://x:abc", "port"},
		{"toy://%zz", "percent"},
		{"://x", "no scheme"},
		{"toy://u ser@x", "percent-encoded"},
		{"toy://[::1", "not well formed"},
	} {
		_, err := broker.Open(t.Context(), c.raw)
		if !errors.Is(err, broker.ErrURL) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%q): %v; want an ErrURL that contains %q", c.raw, err, c.want)
		}
	}
}

// A password never gets into an error, however badly the URL around it is written.
func TestOpenHidesPasswords(t *testing.T) {
	for _, raw := range []string{
		"toy://user:s3cret@host:abc", "toy://user:s3cret@host:abc/%zz", "toy://user:s3 cret s3cret@host", "toy://user:s3cret%zz@host",
		"toy://user:s3cret@[::1", "toy://user:s3cret/@host", "toy://:s3cret#@host", "toy://user:12/s3cret@host?nope=1",
		"toy://:12?s3cret@host", "toy://:?s3cret&x@host", "toy://:12?s3cret=1@host", "toy://:12?a=1&a=s3cret@host",
		"toy://user:s3cret@host\n", "toy://user:s3cret@host?nope=1", "toy://user:s3cret@host?size=s3cret&size=s3cret", "toy://user:s3cret@ho st",
		"nats://user:s3cret@host", "://user:s3cret@host", "user:s3cret@host", ":s3cret@host", "//user:s3cret@host", "t oy://user:s3cret@host", "1toy://user:s3cret@host",
	} {
		_, err := broker.Open(t.Context(), raw)
		switch {
		case !errors.Is(err, broker.ErrURL):
			t.Errorf("Open(%q): %v; want an ErrURL", raw, err)
		case strings.Contains(err.Error(), "s3cret"):
			t.Errorf("Open(%q): the password is in the error: %v", raw, err)
		}
	}
}

func FuzzOpenHidesPasswords(f *testing.F) {
	for _, seed := range []string{"toy://u:", "toy://:12?", "toy://%zz:", "toy://[", ":"} {
		f.Add(seed, "@host:abc")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const password = "hunter2hunter2"
		if !strings.Contains(before, ":") || !strings.HasPrefix(after, "@") {
			return // no password there
		}
		_, err := broker.Open(t.Context(), before+password+after)
		if err != nil && strings.Contains(err.Error(), password) {
			t.Fatalf("Open(%q): %v", before+password+after, err)
		}
	})
}

// Two drivers of one scheme, and a driver without one, are mistakes in a
// program's imports that must not pass unnoticed.
func TestRegisterPanics(t *testing.T) {
	driver := func(context.Context, *url.URL) (broker.Broker, error) { return toy{}, nil }
	for name, register := range map[string]func(){
		"a taken scheme": func() { broker.Register("toy", driver) },
		"no scheme":      func() { broker.Register("", driver) },
		"no driver":      func() { broker.Register("none", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Register with %s did not panic", name)
				}
			}()
			register()
		}()
	}
}
