package nats_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/nats"
	natstest "github.com/pregon/pregon/testdata/nats"
)

// found returns what a node's Diagnose says, by subject.
func found(t *testing.T, b broker.Broker) map[string]broker.Finding {
	t.Helper()
	all, err := b.(broker.Diagnoser).Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]broker.Finding{}
	for _, f := range all {
		by[f.Subject] = f
	}
	return by
}

// Diagnose says what of a server would hurt.
func TestDiagnose(t *testing.T) {
	always := strings.Replace(keeping(t), "{", "{ sync_interval: always,", 1)
	system := `accounts { $SYS: { users: [{user: admin, password: secret}] }, A: { jetstream: enabled, users: [{user: pregon, password: secret}] } }`
	exported := strings.NewReplacer("$SYS: {", `$SYS: { exports: [{service: "$SYS.REQ.SERVER.*.JSZ"}],`,
		"A: {", `A: { imports: [{service: {account: "$SYS", subject: "$SYS.REQ.SERVER.*.JSZ"}}],`).Replace(system)
	for name, c := range map[string]struct {
		lines []string
		o     nats.Options
		want  map[string]broker.Severity
		says  string
	}{
		"without a history":   {nil, nats.Options{}, map[string]broker.Severity{"version": "ok", "max_payload": "ok", "permissions": "ok"}, "without a history"},
		"a small payload":     {[]string{"max_payload: 1MB"}, nats.Options{}, map[string]broker.Severity{"max_payload": "warn"}, "max_payload: 2MB"},
		"files":               {[]string{keeping(t)}, nats.Options{History: fiveMinutes}, map[string]broker.Severity{"storage": "ok", "power": "warn"}, "cannot be asked"},
		"memory":              {[]string{keeping(t)}, nats.Options{History: fiveMinutes, InMemory: true}, map[string]broker.Severity{"storage": "warn"}, "gone with it"},
		"may ask":             {[]string{always, exported}, nats.Options{History: fiveMinutes, Username: "pregon", Password: "secret"}, map[string]broker.Severity{"power": "ok"}, "sync_interval: always"},
		"may ask, not always": {[]string{keeping(t), exported}, nats.Options{History: fiveMinutes, Username: "pregon", Password: "secret"}, map[string]broker.Severity{"power": "warn"}, "in the last 2m0s"},
		"not the system":      {[]string{always, system}, nats.Options{History: fiveMinutes, Username: "pregon", Password: "secret"}, map[string]broker.Severity{"power": "warn"}, "PREGON"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Servers = []string{natstest.Start(t, c.lines...).Addr()}
			b := opened(t, c.o)
			defer b.Close()
			var text strings.Builder
			by := found(t, b)
			for subject, severity := range c.want {
				if by[subject].Severity != severity {
					t.Errorf("%s: %+v, want %s", subject, by[subject], severity)
				}
			}
			for _, f := range by {
				text.WriteString(f.Detail + f.Advice)
			}
			if !strings.Contains(text.String(), c.says) {
				t.Errorf("nothing says %q: %s", c.says, text.String())
			}
		})
	}
}

// The doctor's questions leave a server as it is: they make no stream, so that a node may start with any window, and begin
// no epoch where the server was started again. What would be made is told, and nothing where all is there.
func TestDiagnoseMakesNothing(t *testing.T) {
	server := natstest.Start(t, keeping(t))
	o := nats.Options{Servers: []string{server.Addr()}, History: fiveMinutes}
	unmade := func() string {
		t.Helper()
		b := opened(t, o)
		defer b.Close()
		if f := found(t, b)["storage"]; f.Severity != broker.SeverityOK {
			t.Errorf("the storage: %+v", f)
		}
		what, err := b.(broker.Maker).Unmade(t.Context())
		if err != nil {
			t.Error(err)
		}
		return what
	}
	if what := unmade(); what != "the stream PREGON" {
		t.Errorf("without a stream %q would be made", what)
	}
	node := o
	node.History = broker.Retention{MaxMessages: 10, MaxAge: time.Minute}
	b := opened(t, node)
	say(t, b, "chat", "hola")
	_ = b.Close()
	o = node
	before := last(t, server)
	if what := unmade(); what != "" || last(t, server) != before {
		t.Errorf("with a stream %q would be made, and its newest message is %d, before %d", what, last(t, server), before)
	}
	server.Kill()
	server.Restart()
	before = last(t, server)
	if what := unmade(); what != "the beginning of an epoch in the stream PREGON" || last(t, server) != before {
		t.Errorf("of a server that was started again %q would be made, and its newest message is %d, before %d", what, last(t, server), before)
	}
	o.History.MaxAge = time.Hour
	other := opened(t, o)
	defer other.Close()
	if _, err := other.(broker.Diagnoser).Diagnose(t.Context()); !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), "max_age") {
		t.Errorf("a stream with another window: %v", err)
	}
}

// last returns the number of the newest message of a server's stream.
func last(t *testing.T, server *natstest.Server) uint64 {
	t.Helper()
	info, err := stream(t, server).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq
}

// A message as long as LongestData says is taken with the longest of everything else, and one that is longer than the server
// takes is too large, with a history, too.
func TestLongestData(t *testing.T) {
	for name, o := range map[string]nats.Options{"without a history": {}, "with one": {History: fiveMinutes}} {
		t.Run(name, func(t *testing.T) {
			server := natstest.Start(t, keeping(t))
			o.Servers = []string{server.Addr()}
			b := opened(t, o)
			defer b.Close()
			channel := strings.Repeat("%", broker.MaxChannel)
			f := listen(t, b, channel)
			longest, err := b.(broker.Bounded).LongestData(t.Context())
			if err != nil || longest < 1<<20 {
				t.Fatal(longest, err)
			}
			m := broker.Message{Channel: channel, Data: make([]byte, longest), Binary: true, Key: strings.Repeat("%", broker.MaxKey),
				Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
				By:          &broker.Author{Subject: strings.Repeat("s", broker.MaxSubject), Session: strings.Repeat("s", broker.MaxSession)}}
			if _, err := b.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if heard, err := f.Next(); err != nil || len(heard.Data) != longest {
				t.Errorf("heard %d bytes, %v", len(heard.Data), err)
			}
			m.Data = make([]byte, longest+1<<20)
			if _, err := b.Publish(t.Context(), m); !errors.Is(err, broker.ErrTooLarge) {
				t.Errorf("what is longer: %v", err)
			}
		})
	}
}

// The permissions that Diagnose names are enough for all that a node does, and no more than those lets a stranger in.
func TestPermissionsAreEnough(t *testing.T) {
	for name, o := range map[string]nats.Options{
		"without a history": {Prefix: "rt."},
		"a prefix":          {Prefix: "rt.", History: fiveMinutes},
		"subjects":          {Subjects: []string{"room.>"}, History: fiveMinutes},
	} {
		t.Run(name, func(t *testing.T) {
			o.Servers = []string{natstest.Start(t, keeping(t)).Addr()}
			asked := opened(t, o)
			detail := found(t, asked)["permissions"].Detail
			_ = asked.Close()
			_, permissions, ok := strings.Cut(strings.TrimSuffix(detail, "."), "permissions: ")
			if !ok {
				t.Fatal(detail)
			}
			server := natstest.Start(t, keeping(t), `authorization { users = [{user: pregon, password: secret, permissions: `+permissions+`}] }`)
			o.Servers, o.Username, o.Password = []string{server.Addr()}, "pregon", "secret"
			b := opened(t, o)
			defer b.Close()
			f := listen(t, b, "room.1", "__own")
			at := say(t, b, "room.1", "hola")
			if m, err := f.Next(); err != nil || m.Position != at {
				t.Fatalf("heard %+v, %v", m, err)
			}
			if h, kept := broker.HistoryOf(b); kept {
				_ = behind(t, b, "room.1", at)
				newest, err := h.Newest(t.Context(), "room.1")
				if err != nil || newest[0] != at {
					t.Errorf("the newest is %v, %v", newest, err)
				}
				if err := h.Keep(t.Context(), "room.1"); err != nil {
					t.Error(err)
				}
				if _, err := b.(broker.Prober).Probe(t.Context(), broker.Message{Channel: "__own"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
