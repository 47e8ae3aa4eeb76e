package redis_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
)

// Each part of a URL is one option.
func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		url  string
		want redis.Options
	}{
		{"redis://host", redis.Options{Network: "tcp", Addr: "host:6379"}},
		{"redis://host/", redis.Options{Network: "tcp", Addr: "host:6379"}},
		{"redis://host:1", redis.Options{Network: "tcp", Addr: "host:1"}},
		{"redis://host:65535/15", redis.Options{Network: "tcp", Addr: "host:65535", DB: 15}},
		{"redis://[::1]:7000", redis.Options{Network: "tcp", Addr: "[::1]:7000"}},
		{"redis://:pw@host", redis.Options{Network: "tcp", Addr: "host:6379", Password: "pw"}},
		{"redis://me:pw@host", redis.Options{Network: "tcp", Addr: "host:6379", Username: "me", Password: "pw"}},
		{"redis://me:%40%3A%2F%3F%23%25@host", redis.Options{Network: "tcp", Addr: "host:6379", Username: "me", Password: "@:/?#%"}},
		{"redis://host?prefix=app%3A", redis.Options{Network: "tcp", Addr: "host:6379", Prefix: "app:"}},
		{"redis://host?history=90s", redis.Options{Network: "tcp", Addr: "host:6379", History: broker.Retention{MaxMessages: 1000, MaxAge: 90 * time.Second}}},
		{"unix:///run/redis.sock?history-size=7", redis.Options{Network: "unix", Addr: "/run/redis.sock", History: broker.Retention{MaxMessages: 7, MaxAge: 5 * time.Minute}}},
		{"redis://host?master=main", redis.Options{Network: "tcp", Addr: "host:26379", Master: "main"}},
		{"redis://:pw@host:1/2?master=main&sentinels=b:2,[::1]:3", redis.Options{Network: "tcp", Addr: "host:1", Master: "main", Sentinels: []string{"b:2", "[::1]:3"}, Password: "pw", DB: 2}},
		{"unix:///run/redis.sock", redis.Options{Network: "unix", Addr: "/run/redis.sock"}},
		{"unix://:pw@/run/redis.sock?db=2&prefix=a", redis.Options{Network: "unix", Addr: "/run/redis.sock", Password: "pw", DB: 2, Prefix: "a"}},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := redis.ParseURL(u)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, difference %s", c.url, err, diff)
		}
	}
}

// A URL that is not well formed is an error that wraps ErrURL and names the part,
// and never has the password.
func TestBadURL(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, names string }{
		{"redis://", "host"},
		{"redis:", "host"},
		{"redis://:6379", "host"},
		{"redis:///0", "host"},
		{"redis:host", "host"},
		{"redis://:hunter2@", "host"},
		{"redis://:hunter2@host:0", "port"},
		{"redis://:hunter2@host:65536", "port"},
		{"redis://:hunter2@host:99999", "port"},
		{"redis://:hunter2@host:abc", "port"},
		{"redis://:hunter2@host:-1", "port"},
		{"redis://:hunter2@host/x", "database"},
		{"redis://:hunter2@host/-1", "database"},
		{"redis://:hunter2@host/+1", "database"},
		{"redis://:hunter2@host/1/", "database"},
		{"redis://:hunter2@host/99999999999", "database"},
		{"redis://:hunter2@host?pool=5", `"pool"`},
		{"redis://:hunter2@host?prefix=a&prefix=b", `"prefix"`},
		{"redis://:hunter2@host?ca=/x", `"ca"`},
		{"redis://:hunter2@host?db=1", `"db"`},
		{"redis://:hunter2@host?a=%zz", "query"},
		{"redis://:hunter2@host?history=5", "history"},
		{"rediss://:hunter2@host?history-size=0", "history-size"},
		{"redis://:hunter2@host?master=", "master is empty"},
		{"redis://:hunter2@host?sentinels=a:1", "needs the parameter master"},
		{"redis://:hunter2@host?master=m&sentinels=", "host:port"},
		{"redis://:hunter2@host?master=m&sentinels=hunter", "host:port"},
		{"redis://:hunter2@host?master=m&sentinels=hunter:x", "host:port"},
		{"redis://:hunter2@host?master=m&sentinels=hunter:0", "host:port"},
		{"redis://:hunter2@host?master=m&sentinels=:1", "host:port"},
		{"redis://:hunter2@host?master=m&sentinels=a%0Ab:1", "host:port"},
		{"redis://:hunter2@host?master=m&sentinels=a:1,", "host:port"},
		{"redis://:hunter2@host?master=m&sentinels=a:1,,b:1", "host:port"},
		{"redis://:hunter2@host?master=m&master=n", `"master"`},
		{"redis://:hunter2@?master=m", "host"},
		{"rediss://:hunter2@host?master=", "master is empty"},
		{"unix:///s?master=m", `"master"`},
		{"unix:///s?sentinels=a:1", `"sentinels"`},
		{"redis://:hunter2@host#x", "fragment"},
		{"redis://:hunter#2@host", "port"}, // the host is before the #
		{"redis://hunter2@host", "password"},
		{"redis://:hunter2%@host", "percent"},
		{"rediss://:hunter2@", "host"},
		{"rediss://:hunter2@host?ca=/absent.pem", "parameter ca"},
		{"rediss://:hunter2@host?ca=" + empty, "parameter ca"},
		{"unix://", "path"},
		{"unix:///", "path"},
		{"unix://:hunter2@", "path"},
		{"unix://run/redis.sock", "unix:///"},
		{"unix:///s?db=x", "db"},
		{"unix:///s?db=", "db"},
		{"unix:///s?db=-1", "db"},
	} {
		b, err := broker.Open(t.Context(), c.url)
		if b != nil {
			b.Close()
		}
		switch {
		case !errors.Is(err, broker.ErrURL):
			t.Errorf("%s: error %v, want one that wraps ErrURL", c.url, err)
		case !strings.Contains(err.Error(), c.names):
			t.Errorf("%s: the error does not name %q: %v", c.url, c.names, err)
		case strings.Contains(err.Error(), "hunter"):
			t.Errorf("%s: the error has the password: %v", c.url, err)
		}
	}
}

// Options that make no sense are refused, too.
func TestBadOptions(t *testing.T) {
	for name, o := range map[string]redis.Options{
		"no address":         {},
		"Sentinels, no name": {Addr: "host:1", Sentinels: []string{"host:2"}},
		"empty Sentinel":     {Addr: "host:1", Master: "main", Sentinels: []string{""}},
		"Sentinel on a path": {Network: "unix", Addr: "/s", Master: "main"},
		"negative DB":        {Addr: "host:1", DB: -1},
		"history of nothing": {Addr: "host:1", History: broker.Retention{MaxAge: time.Minute}},
		"negative timeout":   {Addr: "host:1", Timeout: -1},
	} {
		if b, err := redis.New(o); err == nil {
			b.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
