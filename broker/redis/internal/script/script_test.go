package script_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/redis/internal/script"
)

// No two of a deployment's keys have the same name, whatever channels and keys are called,
// and all are below the prefix, in the part of the names that is pregon's own.
func TestKeysAreDistinct(t *testing.T) {
	names := map[string]string{}
	note := func(what, name string) {
		if before, twice := names[name]; twice {
			t.Errorf("%s and %s are both %q", before, what, name)
		}
		names[name] = what
		if !strings.HasPrefix(name, "app:__pregon:") {
			t.Errorf("%s is %q", what, name)
		}
	}
	note("the record", script.RecordKey("app:"))
	for _, channel := range []string{"a", "ab", "abc", "k:a", "run", "1:a", "ä"} {
		note("the stream of "+channel, script.StreamKey("app:", channel))
		for _, key := range []string{"c", "bc", "b", "1", "b:c", ""} {
			note("the marker of "+key+" in "+channel, script.MarkerKey("app:", channel, key))
		}
	}
}

// A marker's name is short for long keys, too.
func TestMarkerIsShort(t *testing.T) {
	long := script.MarkerKey("", strings.Repeat("c", 255), strings.Repeat("k", 255))
	if len(long) != len(script.MarkerKey("", "c", "k")) {
		t.Errorf("it has %d bytes", len(long))
	}
}

// A script's text is the same for the same life, and another for any other: a server that
// was started again does not know it.
func TestPublishNamesTheLife(t *testing.T) {
	base := script.Publish("run/0 17 0 SECRET", 17, "SECRET")
	if base != script.Publish("run/0 17 0 SECRET", 17, "SECRET") {
		t.Error("the same arguments make two texts")
	}
	for name, other := range map[string]string{
		"life":   script.Publish("run/1 17 0 SECRET", 17, "SECRET"),
		"epoch":  script.Publish("run/0 17 0 SECRET", 18, "SECRET"),
		"secret": script.Publish("run/0 17 0 SECRET", 17, "OTHER"),
	} {
		if other == base {
			t.Errorf("the text is the same with another %s", name)
		}
	}
}

// Of all that the scripts do, exactly one thing is written to the append-only file, unless
// a stream is replaced: so no text has a writing command that this list does not know.
func TestCommandsThatWrite(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want string
	}{
		"record":  {script.Record, "SET"},
		"publish": {script.Publish("run/0 17 0 S", 17, "S"), "PUBLISH UNLINK XADD"},
		"others":  {script.ForOthers(""), "PEXPIRE PUBLISH UNLINK XADD"},
		"library": {script.Library(""), "PEXPIRE PUBLISH UNLINK XADD"},
	} {
		reads := map[string]bool{"GET": true, "TIME": true, "XRANGE": true, "XREVRANGE": true, "EXISTS": true, "XINFO": true, "INFO": true}
		writes := map[string]bool{}
		for _, call := range regexp.MustCompile(`redis\.p?call\('(\w+)'`).FindAllStringSubmatch(test.text, -1) {
			if !reads[call[1]] {
				writes[call[1]] = true
			}
		}
		for _, want := range strings.Fields(test.want) {
			if !writes[want] {
				t.Errorf("%s does not write by %s", name, want)
			}
			delete(writes, want)
		}
		for command := range writes {
			t.Errorf("%s calls %s", name, command)
		}
	}
}

// A prefix gets into a text as a string of Lua and as nothing else, whatever is in it.
func TestPrefixIsQuoted(t *testing.T) {
	const prefix = "a\"]]\n'..os.exit()--\x00\xFF"
	for name, text := range map[string]string{"script": script.ForOthers(prefix), "library": script.Library(prefix)} {
		if strings.Contains(text, "os.exit") || strings.Contains(text, "\x00") || strings.Contains(text, "\xFF") {
			t.Errorf("%s: the prefix stands in it as it is", name)
		}
		if !strings.Contains(text, `"\097\034\093\093\010\039\046\046`) {
			t.Errorf("%s: the prefix is not there", name)
		}
	}
	if script.Library("") == script.Library("a") {
		t.Error("the prefix makes no difference")
	}
	if !strings.HasPrefix(script.Library(""), "#!lua name="+script.LibraryName+"\n") {
		t.Error("the library does not begin with its name")
	}
}
