package live_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/live"
)

const longest = 20 // bytes of a message

// codeOf returns the code of the answer that err stands for.
func codeOf(err error) string {
	var p *transport.Problem
	var name *broker.ChannelError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &p):
		return p.Code
	case errors.As(err, &name):
		return "a name"
	}
	return err.Error()
}

// nothing stands for a text that is no JSON object, after which the connection is closed.
const nothing = "nothing"

// What cannot be done has its code, and the ref and the channel to answer with, wherever they stand in the text.
func TestBadCommands(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("r", 65)
	for text, want := range map[string]struct{ code, ref, channel string }{
		``: {code: nothing}, ` `: {code: nothing}, `[]`: {code: nothing}, `"subscribe"`: {code: nothing}, `null`: {code: nothing}, `{`: {code: nothing},
		`{"type":"members"`: {code: nothing}, `{"type":"members",}`: {code: nothing}, `{"type" "members"}`: {code: nothing}, `{'type':'members'}`: {code: nothing},
		`{"type":"members"}{}`: {code: nothing}, `{"type":"members"} x`: {code: nothing}, `{type:"members"}`: {code: nothing}, `{"type":"members","ref":01}`: {code: nothing},
		`{"ref":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`: {code: nothing},
		"{\"type\":\"sub\tscribe\"}": {code: nothing}, "\ufeff{}": {code: nothing},

		`{}`:                                  {code: "bad_command"},
		`{"ref":7}`:                           {code: "bad_command", ref: "7"},
		`{"type":7}`:                          {code: "bad_command"},
		`{"type":null,"ref":1,"channel":"a"}`: {code: "bad_command", ref: "1", channel: "a"},
		`{"ref":"x","type":"presence"}`:       {code: "unknown_type", ref: `"x"`},
		`{"type":"Subscribe","channel":"a","ref":-1.5E+3}`:               {code: "unknown_type", ref: "-1.5E+3", channel: "a"},
		`{"type":"history","since":"x","new":[1,{}],"ref":0}`:            {code: "unknown_type", ref: "0"},
		`{"type":"subscribe","channel":"a","x":1,"ref":"\u00e4"}`:        {code: "bad_command", ref: `"\u00e4"`, channel: "a"},
		`{"type":"subscribe","channel":"a","data":"x"}`:                  {code: "bad_command", channel: "a"},
		`{"type":"subscribe","channel":"a","Since":"x"}`:                 {code: "bad_command", channel: "a"},
		`{"type":"renew","channel":"a","token":"x"}`:                     {code: "bad_command", channel: "a"},
		`{"type":"publish","channel":"a","data":"x","data":"x","ref":1}`: {code: "bad_command", ref: "1", channel: "a"},
		`{"type":"members","ch\u0061nnel":"a","channel":"a"}`:            {code: "bad_command"},
		`{"type":"members","type":"members","channel":"a"}`:              {code: "bad_command", channel: "a"},
		`{"type":"members","ref":1,"ref":1,"channel":"a"}`:               {code: "bad_command", channel: "a"},
		`{"type":"members","ref":null,"channel":"a"}`:                    {code: "bad_command", channel: "a"},
		`{"type":"members","ref":{},"channel":"a"}`:                      {code: "bad_command", channel: "a"},
		`{"type":"members","ref":true,"channel":"a"}`:                    {code: "bad_command", channel: "a"},
		`{"type":"members","ref":"` + long + `","channel":"a"}`:          {code: "bad_command", channel: "a"},
		`{"type":"members","ref":1` + strings.Repeat("0", 64) + `}`:      {code: "bad_command"},

		`{"type":"subscribe","ref":1}`:                                        {code: "no_channel", ref: "1"},
		`{"type":"publish","ref":1,"data":"x"}`:                               {code: "no_channel", ref: "1"},
		`{"type":"members","channel":7}`:                                      {code: "bad_command"},
		`{"type":"members","channel":["a"]}`:                                  {code: "bad_command"},
		`{"type":"members","channel":""}`:                                     {code: "a name"},
		`{"type":"members","channel":"a//b","ref":1}`:                         {code: "a name", ref: "1"},
		`{"type":"members","channel":"__a"}`:                                  {code: "a name"},
		`{"type":"members","channel":"a\u0000"}`:                              {code: "a name"},
		`{"type":"members","channel":"\ud800"}`:                               {code: "bad_channel"},
		`{"type":"unsubscribe","channel":"` + strings.Repeat("c", 256) + `"}`: {code: "a name"},

		`{"type":"subscribe","channel":"a","since":7}`:                      {code: "bad_cursor", channel: "a"},
		`{"type":"subscribe","channel":"a","since":"x"}`:                    {code: "bad_cursor", channel: "a"},
		`{"type":"subscribe","channel":"a","since":""}`:                     {code: "bad_cursor", channel: "a"},
		`{"type":"subscribe","channel":"a","history":0}`:                    {code: "bad_history", channel: "a"},
		`{"type":"subscribe","channel":"a","history":-1}`:                   {code: "bad_history", channel: "a"},
		`{"type":"subscribe","channel":"a","history":1001}`:                 {code: "bad_history", channel: "a"},
		`{"type":"subscribe","channel":"a","history":1e2}`:                  {code: "bad_history", channel: "a"},
		`{"type":"subscribe","channel":"a","history":"5"}`:                  {code: "bad_history", channel: "a"},
		`{"type":"subscribe","channel":"a","history":99999999999999999}`:    {code: "bad_history", channel: "a"},
		`{"type":"subscribe","channel":"a","history":5,"since":"x"}`:        {code: "two_ways", channel: "a"},
		`{"type":"subscribe","channel":"a","presence":1}`:                   {code: "bad_presence", channel: "a"},
		`{"type":"subscribe","channel":"a","presence":"true"}`:              {code: "bad_presence", channel: "a"},
		`{"type":"subscribe","channel":"a","member":"ana"}`:                 {code: "bad_member", channel: "a"},
		`{"type":"subscribe","channel":"a","member":{}}`:                    {code: "bad_member", channel: "a"},
		`{"type":"subscribe","channel":"a","member":{"sub":7}}`:             {code: "bad_member", channel: "a"},
		`{"type":"subscribe","channel":"a","member":{"sub":"\udc00"}}`:      {code: "bad_member", channel: "a"},
		`{"type":"subscribe","channel":"a","member":{"sub":"a","x":1}}`:     {code: "bad_member", channel: "a"},
		`{"type":"subscribe","channel":"a","member":{"sub":"a","sub":"a"}}`: {code: "bad_member", channel: "a"},

		`{"type":"publish","channel":"a"}`:                                {code: "no_message", channel: "a"},
		`{"type":"publish","channel":"a","encoding":"base64"}`:            {code: "no_message", channel: "a"},
		`{"type":"publish","channel":"a","data":"x","encoding":"hex"}`:    {code: "bad_encoding", channel: "a"},
		`{"type":"publish","channel":"a","data":1,"encoding":"base64"}`:   {code: "bad_encoding", channel: "a"},
		`{"type":"publish","channel":"a","data":"\ud800"}`:                {code: "invalid_utf8", channel: "a"},
		`{"type":"publish","channel":"a","data":"x","key":7}`:             {code: "bad_key", channel: "a"},
		`{"type":"publish","channel":"a","data":"x","key":""}`:            {code: "bad_key", channel: "a"},
		`{"type":"publish","channel":"a","data":"123456789012345678901"}`: {code: "too_large", channel: "a"},

		`{"type":"renew"}`: {code: "bad_command"}, `{"type":"renew","token":""}`: {code: "bad_command"}, `{"type":"renew","token":7}`: {code: "bad_command"},
	} {
		c, err, ok := live.Parse(text, longest, true)
		switch {
		case !ok:
			if want.code != nothing {
				t.Errorf("%.100s is no object", text)
			}
		case codeOf(err) != want.code || c.Ref() != want.ref || c.Channel() != want.channel:
			t.Errorf("%.100s: %s, ref %s, channel %q", text, codeOf(err), c.Ref(), c.Channel())
		}
	}
	if _, err, _ := live.Parse(`{"type":"subscribe","channel":"a","history":5}`, longest, false); codeOf(err) != "no_history" {
		t.Error("history where none is kept:", err)
	}
}

// What commands mean.
func TestGoodCommands(t *testing.T) {
	t.Parallel()
	at := broker.Position{Epoch: 7, Seq: 3}
	here, elsewhere := transport.Cursor("a", at), transport.Cursor("b", at)
	for text, start := range map[string]transport.Start{
		`{"type":"subscribe","channel":"a"}`:                             {},
		`{"type":"subscribe","channel":"a","history":1000}`:              {Last: 1000},
		`{"type":"subscribe","channel":"a","since":"` + here + `"}`:      {Since: true, After: at},
		`{"type":"subscribe","channel":"a","since":"` + elsewhere + `"}`: {Since: true}, // is not recovered, as over HTTP
	} {
		if c, err, _ := live.Parse(text, longest, true); err != nil || c.Kind() != "subscribe" || c.Channel() != "a" || c.Subscription().Channel != "a" || c.Subscription().Start != start {
			t.Errorf("%s: %v, %v", text, c, err)
		}
	}
	c, err, _ := live.Parse(` { "member" : {"info":[1, 2],"sub":"an\u0061"}, "presence":true,"channel":"a" , "ref" : "`+strings.Repeat("x", 64)+`", "type":"subs\u0063ribe" } `, longest, true)
	if err != nil || c.Kind() != "subscribe" || len(c.Ref()) != 66 {
		t.Fatal(c, err)
	}
	if s := c.Subscription(); !s.Presence || s.Member.Subject != "ana" || string(s.Member.Info) != "[1, 2]" {
		t.Errorf("%+v", s)
	}
	for text, want := range map[string]struct {
		data, key string
		binary    bool
	}{
		`{"type":"publish","channel":"a","data":"añ\n\u00f1"}`:               {data: "añ\nñ"},
		`{"type":"publish","channel":"a","data":"","key":"k 1"}`:             {key: "k 1"},
		`{"type":"publish","channel":"a","data": {"a": 1e400} }`:             {data: `{"a": 1e400}`},
		`{"type":"publish","channel":"a","data":"/wA=","encoding":"base64"}`: {data: "\xff\x00", binary: true},
		`{"type":"publish","channel":"a","data":"12345678901234567890"}`:     {data: "12345678901234567890"},
	} {
		c, err, _ := live.Parse(text, longest, true)
		if data, key, binary := c.Data(); err != nil || data != want.data || key != want.key || binary != want.binary {
			t.Errorf("%s: %q, %q, %v, %v", text, data, key, binary, err)
		}
	}
	if c, err, _ := live.Parse(`{"type":"renew","token":"eyJ","ref":1}`, longest, true); err != nil || c.Kind() != "renew" || c.Token() != "eyJ" {
		t.Error(c, err)
	}
}

// A command that is too long to be read is answered with the ref that it begins with, if it does.
func TestRefOfABeginning(t *testing.T) {
	t.Parallel()
	for beginning, want := range map[string]string{
		`{"type":"publish","ref":7,"channel":"a","data":"xxx`: "7",
		`{"ref":"a b","data":`:                                `"a b"`,
		`{"data":"xxx`:                                        "",
		`{"ref":7`:                                            "", // more digits may follow
		`{"ref":{},"data":"x`:                                 "",
		``:                                                    "",
	} {
		if got := live.RefOf(beginning); got != want {
			t.Errorf("%s: %s", beginning, got)
		}
	}
}

// FuzzParse: no text does harm; what is no object for package encoding/json is none here; and an answer has
// a ref of the text, and a channel that can be one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":"subscribe","ref":1,"channel":"room.1","since":"AAAA","presence":true}`,
		`{"type":"subscribe","channel":"a","history":20,"member":{"sub":"ana","info":{"a":[]}}}`,
		`{"type":"publish","ref":"\u0000","channel":"a","data":{"a":"\ud800"},"key":"k"}`,
		`{"type":"publish","channel":"a","data":"/w==","encoding":"base64"}`,
		`{"type":"renew","ref":-0.0e-0,"token":"x"}`, `{"type":"members","channel":"\ud83d\ude00"}`, `{"a":{"a":1,"a":2}}`, `{} `, `[`, `{"type":"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?") // as others are refused before
		c, err, ok := live.Parse(text, longest, true)
		var object map[string]json.RawMessage
		if isObject := json.Unmarshal([]byte(text), &object) == nil && object != nil; isObject != ok {
			t.Fatalf("%q: is an object: %v", text, ok)
		}
		if !ok {
			return
		}
		if ref := c.Ref(); len(ref) > 66 || !strings.Contains(text, ref) || ref != "" && !json.Valid([]byte(ref)) {
			t.Errorf("%q has the ref %q", text, ref)
		}
		if name := c.Channel(); name != "" && broker.CheckChannel(name) != nil {
			t.Errorf("%q has the channel %q", text, name)
		}
		if known := codeOf(err); err == nil && c.Kind() == "" || strings.Contains(known, " ") && known != "a name" {
			t.Errorf("%q: %v", text, err)
		}
	})
}
