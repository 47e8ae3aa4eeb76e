package pattern_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/server/access/pattern"
)

// A pattern stands for these channels and not for those.
func TestMatch(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"chat", "chat", "Chat chat. chat.1 cha chatt xchat"},
		{"room.*", "room.1 room.ñ room.*", "room room. room.1.2 room:1 room.1/2 rooms.1"},
		{"room.**", "room.1 room.1.2 room.1/2:3 room.*", "room room. rooms.1"},
		{"*", "a ab ñ", "a.b a: .a"},
		{"**", "a a.b a..b .a a/b:c", "__a __keyspace@0__:a"},
		{"*.**", "a.b a.b.c a..", "a a. .a"},
		{"a.*.c", "a.b.c", "a..c a.b:c a.b.c.d a.c"},
		{"a:b/c.d", "a:b/c.d", "a.b/c.d a:b:c.d"},
		{"user.{sub}", "user.1 user.{sub}", "user. user user.1.2"},
		{"user.{sub}.**", "user.1.a user.1.a.b", "user.1 user..a"},
		{"*:*", "a:b", "a a.b a:b:c :b a:"},
		{"_a.*", "_a.1", "__a.1"},
	} {
		p, err := pattern.ParseRule(c.pattern)
		if err != nil {
			t.Fatalf("%s: %v", c.pattern, err)
		}
		for _, channel := range strings.Fields(c.yes) {
			if !p.Match(channel) {
				t.Errorf("%s does not match %s", p, channel)
			}
		}
		for _, channel := range append(strings.Fields(c.no), "") {
			if p.Match(channel) {
				t.Errorf("%s matches %q", p, channel)
			}
		}
	}
}

// What cannot match as it was meant is no pattern, and {sub} is one in rules only.
func TestParse(t *testing.T) {
	for _, text := range []string{
		"", "room*", "*room", "a.b*", "***", "**.a", "a.**.b", "a.**.", "{sub", "sub}", "{Sub}", "{}", "{sub}x", "x{sub}", "user.{id}",
		"a..b", ".a", "a.", "a//b", "__a", "__*", "a/../b", "a\n", "\xff", strings.Repeat("a", 256), "{sub}{sub}", "**/", "a/./b",
	} {
		if _, err := pattern.ParseRule(text); !errors.Is(err, pattern.ErrPattern) {
			t.Errorf("%q: %v", text, err)
		} else if len(text) > 3 && strings.Contains(err.Error(), "pattern: "+text) {
			t.Errorf("%q is quoted", text)
		}
	}
	if _, err := pattern.Parse("user.{sub}"); !errors.Is(err, pattern.ErrPattern) {
		t.Error(err)
	}
	list, err := pattern.ParseList([]string{"a", "b.*"})
	if err != nil || !list.Match("b.1") || list.Match("b") {
		t.Error(list, err)
	}
	if _, err := pattern.ParseList([]string{"a", "b*"}); !errors.As(err, new(*pattern.ListError)) || !errors.Is(err, pattern.ErrPattern) {
		t.Error(err)
	}
	if (pattern.Pattern{}).Match("a") {
		t.Error("the zero pattern matches")
	}
}

// A subject is one segment: one that has a separator, and none, is nobody's.
func TestMatchSubject(t *testing.T) {
	for _, c := range []struct {
		pattern, channel, sub string
		matched, same         bool
	}{
		{"user.{sub}", "user.1", "1", true, true}, {"user.{sub}", "user.1", "2", true, false}, {"user.{sub}", "user.1", "", true, false},
		{"user.{sub}.**", "user.1.a", "1.a", true, false}, {"user.{sub}", "user.1.a", "1.a", false, false}, {"user.{sub}.**", "user.a/b", "a/b", false, false},
		{"{sub}.{sub}", "a.a", "a", true, true}, {"{sub}.{sub}", "a.b", "a", true, false}, {"a.*", "a.b", "", true, true}, {"user.{sub}", "user.", "", false, false},
		{"user.{sub}", "user.A", "a", true, false}, {"{sub}.**", "a.b", "a", true, true},
	} {
		p, err := pattern.ParseRule(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		matched, same := p.MatchSubject(c.channel, c.sub)
		if matched != c.matched || matched && same != c.same {
			t.Errorf("%v: %v, %v", c, matched, same)
		}
	}
}

// expression is what a pattern means, as a regular expression.
func expression(p string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for _, part := range regexp.MustCompile(`[.:/]|[^.:/]+`).FindAllString(p, -1) {
		switch part {
		case "*", "{sub}":
			b.WriteString(`[^.:/]+`)
		case "**":
			b.WriteString(`.+`)
		default:
			b.WriteString(regexp.QuoteMeta(part))
		}
	}
	return regexp.MustCompile(b.String() + `$`)
}

var alphabet = rapid.StringMatching(`([ab*]|\*\*|\{sub\})([.:/]([ab*]|\*\*|\{sub\})){0,4}`)

// One pattern covers another where it matches all that the other matches, and nothing else
// is said to.
func TestCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, err := pattern.ParseRule(alphabet.Draw(t, "a"))
		b, wrong := pattern.ParseRule(alphabet.Draw(t, "b"))
		if err != nil || wrong != nil {
			t.Skip("not patterns")
		}
		covered := a.Covers(b)
		for range 20 {
			channel := rapid.StringMatching(`[ab]([.:/][ab]){0,5}`).Draw(t, "channel")
			if covered && b.Match(channel) && !a.Match(channel) {
				t.Fatalf("%s is said to cover %s, and not for %s", a, b, channel)
			}
		}
		if !a.Covers(a) {
			t.Fatalf("%s does not cover itself", a)
		}
	})
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"**", "a.*", true}, {"a.**", "a.b.**", true}, {"a.**", "a.*", true}, {"a.**", "a", false}, {"a.*", "a.**", false}, {"a.*", "a.{sub}", true},
		{"a.{sub}", "a.*", true}, {"*", "a", true}, {"a", "*", false}, {"a.*", "a:*", false}, {"*.*", "*.**", false}, {"a.*.c", "a.b.c", true},
	} {
		a, _ := pattern.ParseRule(c.a)
		b, _ := pattern.ParseRule(c.b)
		if a.Covers(b) != c.want {
			t.Errorf("%s covers %s: %v", a, b, !c.want)
		}
	}
}

// Whatever a text and a channel are, matching is what the regular expression says, and the
// first segment is where it says.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"room.*", "room.1"}, {"**", "a..b"}, {"{sub}:**", "a:/"}, {"a.*.c", "a..c"}, {"*", "\xff"}, {"__a", "__a"}, {"a\u200c.*", "a\u200c.b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, channel string) {
		p, err := pattern.ParseRule(text)
		if err != nil {
			return
		}
		want := !strings.HasPrefix(channel, "__") && expression(text).MatchString(channel)
		if got := p.Match(channel); got != want {
			t.Errorf("%q matches %q: %v", text, channel, got)
		}
		if want && !p.Fits(pattern.Separators(channel)) {
			t.Errorf("%q is said not to fit %q, which it matches", text, channel)
		}
		if p.String() != text {
			t.Errorf("%q is shown as %q", text, p)
		}
		if segment, itself := p.First(); itself && p.Match(channel) && !strings.HasPrefix(channel, segment) {
			t.Errorf("%q matches %q without %q", text, channel, segment)
		}
	})
}
