package nats_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/nats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A URL with a mistake is an error that names the part and repeats no secret.
func TestBadURLs(t *testing.T) {
	long := strings.Repeat("x", 127)
	for rest, says := range map[string]string{
		"":                                       "host:port",
		"a:x":                                    "not a number",
		"a:0":                                    "host:port",
		"a:4222,":                                "not a number",
		":4222":                                  "host:port",
		"a/b":                                    "ends behind",
		"a#b":                                    "ends behind",
		"a?unknown=1":                            "unknown parameter",
		"a?history=5":                            "the parameter history",
		"a?replicas=3":                           "is for a history",
		"a?history=5m&replicas=0":                "from 1 to 5",
		"a?history=5m&storage=disk":              "file or memory",
		"a?history=5m&prefix=app":                "ends with a dot",
		"a?history=5m&subjects=chat":             "like room.>",
		"a?history=5m&subjects=*.x":              "like room.>",
		"a?history=5m&subjects=$JS.x":            "like room.>",
		"a?history=5m&prefix=a.&subjects=room.>": "no effect",
		"a?lossy=0":                              "lossy is not 1",
		"a?lossy=true":                           "lossy is not 1",
		"a?lossy=":                               "lossy is not 1",
		"a?lossy=1&history=5m&replicas=3":        "without a history",
		"a?history=5m&subjects=":                 "parameter subjects",
		"a?history=5m&subjects=room.%3E.x":       "like room.>",
		"a?history=5m&subjects=%3E.x":            "like room.>",
		"a?history=5m&subjects=room..x":          "like room.>",
		"a?history=5m&subjects=room.a+b":         "like room.>",
		"a?history=5m&subjects=room.x%0d%0a":     "like room.>",
		"a?history=5m&subjects=room.":            "like room.>",
		"a?history=5m&subjects=r*.x":             "like room.>",
		"a?history=5m&subjects=_PREGON.%3E":      "like room.>",
		"a?history=5m&subjects=room.*,room.%3E":  "same subject",
		"a?history=5m&subjects=" + long + ".x":   "longer than 128",
		"a?history=5m&replicas=6":                "from 1 to 5",
		"a?creds=/":                              "the parameter creds",
		"a?tls=perhaps":                          "true or false",
		"a?ca=/nowhere.pem":                      "the parameter ca",
		"a?creds=/nowhere":                       "the parameter creds",
		"a?nkey=/nowhere":                        "the parameter nkey",
		"u:s3cret@a?creds=/nowhere":              "more than one",
		"u:s3cret@a?creds=/x&nkey=/y":            "more than one",
		"u:s3cret@a?prefix=x&prefix=y":           "more than once",
		"u:s3cret@a:4222,b:99999?tls=1":          "host:port",
	} {
		b, err := broker.Open(t.Context(), "nats://"+rest)
		if err == nil {
			_ = b.Close()
		}
		if !errors.Is(err, broker.ErrURL) || !strings.Contains(fmt.Sprint(err), says) || strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("nats://%s: error %v, want one about %q", rest, err, says)
		}
	}
	for _, good := range []string{"nats://a", "nats://a:4222,b:4223", "nats://u:p@[::1]:4222?prefix=app.", "nats://a?tls=true", "nats://a?lossy=1",
		"nats://a?history=5m&prefix=app.&storage=memory&replicas=3", "nats://a?history-size=10&subjects=room.%3E,news.*"} {
		b, err := broker.Open(t.Context(), good)
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		_ = b.Close()
	}
}

// A prefix is a beginning of a subject that is one with any channel behind it, and that stands for no other subjects: in a
// URL, where the error names the parameter, and in Options alike.
func TestPrefixes(t *testing.T) {
	for _, prefix := range []string{"a b", "a b.", " ", "x.>.", ">", "*.", "*", "a*b.", "..", ".", ".a.", "a..", "a..b.", "a\r\nb", "a\tb.", "a\x00.", "a\x7f.",
		"a\u00a0b.", "a\u2028.", "a\u0085.", "\xff.", "$SYS.", "$", "_INBOX.", "_INB", "_", "_PREGON.", "_PREGON.x.", strings.Repeat("x", 128) + "."} {
		_, err := nats.New(nats.Options{Servers: []string{"a:4222"}, Prefix: prefix})
		if err == nil || !strings.Contains(err.Error(), "Options.Prefix") {
			t.Errorf("Options with the prefix %q: %v", prefix, err)
		}
		for _, history := range []string{"", "&history=5m"} {
			_, err := broker.Open(t.Context(), "nats://a?prefix="+url.QueryEscape(prefix)+history)
			if !errors.Is(err, broker.ErrURL) || !strings.Contains(fmt.Sprint(err), "the parameter prefix") {
				t.Errorf("a URL with the prefix %q%s: %v", prefix, history, err)
			}
		}
	}
	for _, prefix := range []string{"", "app", "app.", "a.b.", "rt-1.", "niños.", "%.", "a_b.", "_x.", strings.Repeat("x", 127) + "."} {
		b, err := broker.Open(t.Context(), "nats://a?prefix="+url.QueryEscape(prefix))
		if err != nil {
			t.Errorf("the prefix %q: %v", prefix, err)
			continue
		}
		_ = b.Close()
	}
}

// What was sent to nobody is never acknowledged, for whatever reason the library does not send it.
func TestUnsent(t *testing.T) {
	b := nats.Unchecked(nats.Options{Servers: []string{answering(t)}, Prefix: "a b."})
	defer b.Close()
	if _, err := b.Publish(t.Context(), broker.Message{Channel: "chat", Data: []byte("hola")}); broker.OutcomeOf(err) != broker.NotPublished {
		t.Errorf("a publication whose subject is invalid: %v", err)
	}
}

// answering returns the address of a server that takes one connection and answers PING, as long as the test lasts.
func answering(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, `INFO {"server_id":"one","version":"2.12.0","max_payload":1048576}`+"\r\n")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if lines.Text() == "PING" {
				fmt.Fprint(c, "PONG\r\n")
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// Names that programs use are subjects as they are; what cannot stand in a subject is encoded.
func TestSubjects(t *testing.T) {
	for channel, want := range map[string]string{
		"chat": "chat", "room.1": "room.1", "a/b": "a/b", "niños": "niños", "a b": "a%20b", "*": "%2A", "a.>": "a.%3E",
		".a": "%2Ea", "a.": "a%2E", "a..b": "a.%2Eb", ".": "%2E", "50%": "50%25", "$SYS.x": "%24SYS.x", "_INBOX.x": "%5FINBOX.x", "a\r\nb": "a%0D%0Ab",
	} {
		if got := nats.SubjectOf("", channel); got != want {
			t.Errorf("%q is the subject %q, want %q", channel, got, want)
		}
	}
}

// With a history, a subject that the stream does not store as it is becomes one token.
func TestKeptSubjects(t *testing.T) {
	for channel, want := range map[string]string{
		"chat": "chat", "a/b": "a/b", "room.1": "room.1", "room.1.x": "room.1.x", "news.es": "news.es", "news.es.x": "news%2Ees%2Ex",
		"user.1": "user%2E1", "room.": "room%2E", "a..b": "a%2E%2Eb",
	} {
		if got := nats.KeptSubject(channel, "room.>", "news.*"); got != want {
			t.Errorf("%q is the subject %q, want %q", channel, got, want)
		}
	}
}

// No two channels have the same subject, and each subject is one that a server takes.
func TestSubjectsAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune("a2E.*>% $_INBOXé\x00\n\x7f")), 1, 12, -1)
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		subject := nats.SubjectOf("", a)
		if (a == b) != (subject == nats.SubjectOf("", b)) {
			t.Fatalf("%q and %q", a, b)
		}
		if (a == b) != (nats.KeptSubject(a, "a.>") == nats.KeptSubject(b, "a.>")) {
			t.Fatalf("%q and %q, with a history", a, b)
		}
		if strings.ContainsAny(subject, " \t\r\n*>\x00\x7f") || strings.HasPrefix(subject, "$") || strings.Contains("."+subject+".", "..") {
			t.Fatalf("%q is the subject %q", a, subject)
		}
	})
}
