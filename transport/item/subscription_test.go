package item_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

// What the members of a wish mean: each is strict, a cursor of another channel is one that cannot be
// continued from, and all else that is wrong has its code.
func TestSubscription(t *testing.T) {
	t.Parallel()
	at := broker.Position{Epoch: 7, Seq: 3}
	own, foreign := `"`+transport.Cursor("a", at)+`"`, `"`+transport.Cursor("b", at)+`"`
	for _, c := range []struct {
		since, history, presence, member string
		want                             transport.Subscription
		code                             string
	}{
		{},
		{since: own, want: transport.Subscription{Start: transport.Start{Since: true, After: at}}},
		{since: foreign, want: transport.Subscription{Start: transport.Start{Since: true}}},
		{since: `""`, code: "bad_cursor"},
		{since: `"yesterday"`, code: "bad_cursor"},
		{since: `null`, code: "bad_cursor"},
		{since: `7`, code: "bad_cursor"},
		{since: `["` + transport.Cursor("a", at) + `"]`, code: "bad_cursor"},
		{since: own, history: `1`, code: "two_ways"},

		{history: `1`, want: transport.Subscription{Start: transport.Start{Last: 1}}},
		{history: `1000`, want: transport.Subscription{Start: transport.Start{Last: 1000}}},
		{history: `0`, code: "bad_history"},
		{history: `1001`, code: "bad_history"},
		{history: `-1`, code: "bad_history"},
		{history: `2.0`, code: "bad_history"},
		{history: `2e1`, code: "bad_history"},
		{history: `99999999999999999999`, code: "bad_history"},
		{history: `"20"`, code: "bad_history"},
		{history: `true`, code: "bad_history"},

		{presence: `true`, want: transport.Subscription{Presence: true}},
		{presence: `false`},
		{presence: `null`, code: "bad_presence"},
		{presence: `1`, code: "bad_presence"},
		{presence: `"true"`, code: "bad_presence"},

		{member: `{"sub":"ana"}`, want: transport.Subscription{Member: &transport.Member{Subject: "ana"}}},
		{member: ` {"info" : {"a" :1} ,"sub":"\u00f1"} `, want: transport.Subscription{Member: &transport.Member{Subject: "ñ", Info: []byte(`{"a" :1}`)}}},
		{member: `{"sub":"ana","info":null}`, want: transport.Subscription{Member: &transport.Member{Subject: "ana", Info: []byte(`null`)}}},
		{member: `{}`, code: "bad_member"},
		{member: `"ana"`, code: "bad_member"},
		{member: `null`, code: "bad_member"},
		{member: `{"sub":""}`, code: "bad_member"},
		{member: `{"sub":7}`, code: "bad_member"},
		{member: `{"sub":"\ud800"}`, code: "bad_member"},
		{member: `{"sub":"ana","sub":"bob"}`, code: "bad_member"},
		{member: `{"sub":"ana","connections":2}`, code: "bad_member"},
	} {
		member := []byte(c.member)
		w := item.Wish{Since: []byte(c.since), History: []byte(c.history), Presence: []byte(c.presence), Member: member}
		got, err := w.Subscription("a", true)
		clear(member) // nothing of it is kept
		if c.code == "" {
			c.want.Channel = "a"
		}
		if diff := cmp.Diff(c.want, got); diff != "" && err == nil {
			t.Errorf("%+v: %s", c, diff)
		}
		checkCode(t, c, err, c.code)
	}
	// What is wrong with a member is said of what it is.
	for text, detail := range map[string]string{
		`{"sub":""}`: "The sub of a member must not be empty.",
		`{"sub":7}`:  "A member is an object with sub, a string, and, if you like, info.",
	} {
		_, err := item.Wish{Member: []byte(text)}.Subscription("a", true)
		if p, ok := errors.AsType[*transport.Problem](err); !ok || p.Detail != detail {
			t.Errorf("%s: %v, want %q", text, err, detail)
		}
	}
	_, err := item.Wish{History: []byte("1")}.Subscription("a", false)
	checkCode(t, "history where none is kept", err, "no_history")
	_, err = item.Wish{Since: []byte(own)}.Subscription("a", false)
	checkCode(t, "since where none is kept", err, "")
}

func checkCode(t *testing.T, what any, err error, code string) {
	t.Helper()
	var p *transport.Problem
	if errors.As(err, &p); (err == nil) != (code == "") || p == nil && err != nil || p != nil && (p.Code != code || p.Status != 400) {
		t.Errorf("%+v: %v, want %q", what, err, code)
	}
}

// An object has members that are known, each once, whatever way their names are written.
func TestObject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want map[string][]byte
		err  error
	}{
		{`{}`, map[string][]byte{}, nil},
		{` {"a" : 1 , "\u0062":{"a":1,"a":2}} `, map[string][]byte{"a": []byte("1"), "b": []byte(`{"a":1,"a":2}`)}, nil},
		{`{"a":1,"A":2}`, nil, item.ErrUnknown},
		{`{"":1}`, nil, item.ErrUnknown},
		{`{"a":1,"a":1}`, nil, item.ErrRepeated},
		{`{"a":1,"\u0061":1}`, nil, item.ErrRepeated},
		{`[]`, nil, item.ErrNoObject},
		{`null`, nil, item.ErrNoObject},
		{`"{}"`, nil, item.ErrNoObject},
	} {
		got, err := item.Object([]byte(c.text), "a", "b")
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", c.text, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.text, diff)
		}
	}
}

// Whatever comes, an object is what its text says, or is refused, and what it says of a channel is
// within bounds.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{"since":"x"}`, `{"history":1,"presence":true}`, `{"member":{"sub":"a","info":[]}}`, `{"a":1,"a":1}`, `[{}]`, `{"s\u0069nce":7}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !item.Valid(text) {
			return
		}
		members, err := item.Object(text, "since", "history", "presence", "member")
		if err != nil {
			return
		}
		for name, value := range members {
			if !item.Valid(value) || !bytes.Contains(text, value) {
				t.Errorf("%q of %q is %q", name, text, value)
			}
		}
		w := item.Wish{Since: members["since"], History: members["history"], Presence: members["presence"], Member: members["member"]}
		s, err := w.Subscription("a", true)
		switch {
		case err != nil:
			checkProblem(t, err)
		case s.Last < 0 || s.Last > item.MaxHistory || s.Since && s.Last > 0 || s.Member != nil && s.Member.Subject == "":
			t.Errorf("%q is %+v", text, s)
		}
	})
}

func checkProblem(t *testing.T, err error) {
	t.Helper()
	if p := (*transport.Problem)(nil); !errors.As(err, &p) || p.Status != 400 {
		t.Errorf("not a problem of the caller's: %v", err)
	}
}
