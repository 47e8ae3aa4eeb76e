package redis_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// narrow makes the user whom Diagnose names, and returns the URL of a node that is
// that user.
func narrow(t *testing.T, server *redistest.Server, parameters string) string {
	t.Helper()
	d, ok := open(t, server.URL()+parameters).(broker.Diagnoser)
	if !ok {
		t.Fatal("the broker is no Diagnoser")
	}
	findings, err := d.Diagnose(guard(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Subject == "permissions" {
			server.MustDo(strings.Fields(strings.Replace(f.Advice, "PASSWORD", "s3cret", 1))...)
			return "redis://pregon:s3cret@" + server.Addr() + parameters
		}
	}
	t.Fatalf("no finding is about permissions: %+v", findings)
	return ""
}

// The user whom Diagnose names can use the prefix, whatever it consists of, a
// database, and no other channels and keys.
func TestPermissionsOfAPrefix(t *testing.T) {
	t.Parallel()
	for _, history := range []string{"", "&history=5m"} {
		for _, prefix := range []string{"app.", "a*[b] 'c'?", "ñ\n"} {
			t.Run(prefix+history, func(t *testing.T) {
				server := redistest.Start(t)
				at := narrow(t, server, "/1?prefix="+url.QueryEscape(prefix)+history)
				b := open(t, at)
				f := newFeed(t, b, "chat")
				publish(t, b, "chat", "hola")
				hear(t, f, "chat", "hola")
				other := open(t, strings.Replace(at, "prefix=", "prefix=x", 1))
				if _, err := other.Publish(guard(t), broker.Message{Channel: "chat"}); !errors.Is(err, broker.ErrDenied) {
					t.Errorf("with another prefix: error %v, want one that matches ErrDenied", err)
				}
			})
		}
	}
}

// What the user lacks is named, and what is not needed is done without.
func TestLackingPermissions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ parameters, without, says string }{
		{"", "-info -config -client -script -eval -evalsha -xadd -role", ""},
		{"", "-publish", "PUBLISH"},
		{"", "-ping", "PING"},
		{"", "resetchannels", "channel"},
		{"?history=5m", "-config -client -function -hello -role", ""},
		{"?history=5m", "-info", "INFO"},
		{"?history=5m", "-script", "SCRIPT|LOAD"},
		{"?history=5m", "-evalsha", "EVALSHA"},
		{"?history=5m", "-xadd", "XADD"},
		{"?history=5m", "-time", "command of the script"},
		{"?history=5m", "resetkeys", "key"},
	} {
		t.Run(c.parameters+c.without, func(t *testing.T) {
			server := redistest.Start(t)
			at := narrow(t, server, c.parameters)
			server.MustDo(append([]string{"ACL", "SETUSER", "pregon"}, strings.Fields(c.without)...)...)
			_, err := open(t, at).Publish(guard(t), broker.Message{Channel: "chat", Data: []byte("x")})
			switch {
			case c.says == "" && err != nil:
				t.Errorf("without what is not needed: %v", err)
			case c.says != "" && (!errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("error %v, want one that matches ErrDenied and names %s", err, c.says)
			}
		})
	}
}
