package broker_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pregon/pregon/broker"
	"pgregory.net/rapid"
)

func code(err error) string {
	var refused *broker.ChannelError
	if errors.As(err, &refused) {
		return refused.Code
	}
	if err != nil {
		return "not a *ChannelError: " + err.Error()
	}
	return ""
}

// A name from outside is refused with the code of the rule that it breaks.
func TestCheckChannel(t *testing.T) {
	for _, c := range []struct{ name, code string }{
		{"chat", ""}, {"a", ""}, {"noticias/españa/2026", ""}, {"two words", ""}, {" ", ""},
		{"频道", ""}, {"\U0001F4E3", ""}, {"e\u0301", ""},
		{"\U0001F468\u200D\U0001F469\u200D\U0001F467", ""}, {"می\u200Cخواهم", ""}, {"\u200D", ""}, {"\u2764\uFE0F", ""}, {"https:example.com/a", ""},
		{"*", ""}, {"?", ""}, {"[a]", ""}, {"{tag}", ""}, {";", ""}, {"+", ""}, {"a%2Fb", ""}, {`"'\`, ""},
		{"_a", ""}, {"a__b", ""}, {"a/__b", ""}, {"...", ""}, {".hidden", ""}, {"a..b", ""},
		{strings.Repeat("x", 255), ""}, {strings.Repeat("é", 127), ""},

		{"", "channel_empty"},
		{strings.Repeat("x", 256), "channel_too_long"}, {strings.Repeat("é", 128), "channel_too_long"},
		{"__", "channel_reserved"}, {"__pregon", "channel_reserved"}, {"__keyspace@0__:x", "channel_reserved"},
		{"\xFF\xFE", "bad_channel"}, {"ni\xC3", "bad_channel"}, {"\xED\xA0\x80", "bad_channel"},
		{"a\x00b", "bad_channel"}, {"a\nb", "bad_channel"}, {"a\rb", "bad_channel"}, {"\t", "bad_channel"}, {"\x7F", "bad_channel"},
		{"a\u0085b", "bad_channel"}, {"a\u200Bb", "bad_channel"}, {"a\u202Eb", "bad_channel"}, {"a\u200Eb", "bad_channel"}, {"a\u2060b", "bad_channel"}, {"a\U000E0067b", "bad_channel"}, {"a\uFEFFb", "bad_channel"},
		{"a\u2028b", "bad_channel"}, {"a\u2029b", "bad_channel"},
		{"/", "bad_channel"}, {"/a", "bad_channel"}, {"a/", "bad_channel"}, {"a//b", "bad_channel"}, {"https://example.com/a", "bad_channel"},
		{".", "bad_channel"}, {"..", "bad_channel"}, {"a/./b", "bad_channel"}, {"a/..", "bad_channel"}, {"../a", "bad_channel"},
	} {
		if got := code(broker.CheckChannel(c.name)); got != c.code {
			t.Errorf("CheckChannel(%q): code %q, want %q", c.name, got, c.code)
		}
	}
}

// A path is unescaped exactly once, and a plus is a plus.
func TestParseChannel(t *testing.T) {
	for _, c := range []struct{ escaped, name, code string }{
		{"chat", "chat", ""}, {"%61", "a", ""}, {"a/b", "a/b", ""}, {"a%2Fb", "a/b", ""}, {"a%2fb", "a/b", ""},
		{"a%252Fb", "a%2Fb", ""}, {"a+b", "a+b", ""}, {"a%20b", "a b", ""}, {"a;b", "a;b", ""},
		{"se%C3%B1al", "señal", ""}, {"señal", "señal", ""},
		{"", "", "channel_empty"}, {"%zz", "", "bad_channel"}, {"%", "", "bad_channel"}, {"a%2", "", "bad_channel"},
		{"%ff%fe", "", "bad_channel"}, {"%0d%0a", "", "bad_channel"}, {"%00", "", "bad_channel"},
		{"%2e%2e", "", "bad_channel"}, {"%2F", "", "bad_channel"}, {"%5F%5Fx", "", "channel_reserved"},
	} {
		name, err := broker.ParseChannel(c.escaped)
		if got := code(err); got != c.code {
			t.Errorf("ParseChannel(%q): code %q, want %q", c.escaped, got, c.code)
		}
		if err == nil && name != c.name {
			t.Errorf("ParseChannel(%q) = %q, want %q", c.escaped, name, c.name)
		}
	}
}

// The error says what is wrong without repeating what may be hostile.
func TestChannelErrorDoesNotEcho(t *testing.T) {
	for _, name := range []string{"evil\nline", "__evil", "/evil", strings.Repeat("evil", 100), "evil\xFF"} {
		if err := broker.CheckChannel(name); err == nil || strings.Contains(err.Error(), "evil") {
			t.Errorf("CheckChannel(%q): %v; want an error without the name", name, err)
		}
	}
}

// A name that is accepted comes through a URL unharmed, however it is escaped.
func checkRoundTrip(t interface{ Fatalf(string, ...any) }, name string) {
	if err := broker.CheckChannel(name); err != nil {
		if code(err) == "" || strings.HasPrefix(code(err), "not a") {
			t.Fatalf("CheckChannel(%q): %v; want a *ChannelError", name, err)
		}
		return
	}
	if name == "" || len(name) > broker.MaxChannel || !utf8.ValidString(name) || strings.HasPrefix(name, broker.ReservedPrefix) {
		t.Fatalf("CheckChannel(%q) accepted it", name)
	}
	u := &url.URL{Path: "/publish/" + name}
	for _, escaped := range []string{url.PathEscape(name), strings.TrimPrefix(u.EscapedPath(), "/publish/")} {
		if got, err := broker.ParseChannel(escaped); err != nil || got != name {
			t.Fatalf("ParseChannel(%q) = %q, %v; want %q", escaped, got, err, name)
		}
	}
}

func TestChannelRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkRoundTrip(t, rapid.StringN(0, -1, broker.MaxChannel+5).Draw(t, "name"))
	})
}

// What ParseChannel accepts is a channel, and writing it into a URL again leads
// to the same one.
func FuzzParseChannel(f *testing.F) {
	for _, seed := range []string{"chat", "a%2Fb", "a%252Fb", "%zz", "%ff", "..", "__x", "a+b;c", "%F0%9F%93%A3", "\u2028", "a//b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		checkRoundTrip(t, escaped)
		name, err := broker.ParseChannel(escaped)
		if err == nil && broker.CheckChannel(name) != nil {
			t.Fatalf("ParseChannel(%q) = %q, which CheckChannel refuses", escaped, name)
		}
		if err == nil {
			checkRoundTrip(t, name)
		}
	})
}
