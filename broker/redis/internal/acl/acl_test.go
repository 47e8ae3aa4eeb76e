package acl_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/redis/internal/acl"
)

// The command that makes a user allows what the node does with it, and no more: it begins
// from nothing, and each use adds its own commands.
func TestLine(t *testing.T) {
	const plain = "ACL SETUSER pregon reset on >PASSWORD &* +publish +subscribe +unsubscribe +ping"
	for _, test := range []struct {
		use  acl.Use
		want string
	}{
		{acl.Use{}, plain},
		{acl.Use{Prefix: "app:"}, strings.Replace(plain, "&*", "&app:*", 1)},
		{acl.Use{Prefix: "a*b c'"}, strings.Replace(plain, "&*", "&a?b?c?*", 1)},
		{acl.Use{Sentinels: true}, plain + " +role"},
		{acl.Use{Database: true}, plain + " +select"},
		{acl.Use{Sentinels: true, Database: true}, plain + " +role +select"},
	} {
		if got := test.use.Finding().Advice; got != test.want {
			t.Errorf("%+v:\n got %s\nwant %s", test.use, got, test.want)
		}
	}
}

// A history needs its keys, and a user for one has the commands of a node without.
func TestLineWithHistory(t *testing.T) {
	f := acl.Use{Prefix: "app:", History: true}.Finding()
	words := strings.Fields(f.Advice)
	for _, want := range []string{"&app:*", "~app:__pregon:*", "+publish", "+evalsha", "+xadd", "+xgroup|create", "+config|get"} {
		if !slices.Contains(words, want) {
			t.Errorf("%s is not in %s", want, f.Advice)
		}
	}
	for _, word := range words {
		if strings.HasPrefix(word, "~") && word != "~app:__pregon:*" || strings.HasPrefix(word, "+@") {
			t.Errorf("%s allows too much", word)
		}
	}
	if !strings.Contains(f.Detail, "CONFIG|GET") {
		t.Errorf("%q does not say what may be left out", f.Detail)
	}
}

// A refusal is told in our own words, and repeats nothing but names of commands that the
// driver uses.
func TestLacking(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"NOPERM User u has no permissions to run the 'xadd' command", "for the command XADD"},
		{"NOPERM User u has no permissions to run the 'script|load' command", "for the command SCRIPT|LOAD"},
		{"NOPERM User u has no permissions to run the 'flushall' command", acl.NoPermission},
		{"NOPERM No permissions to access a channel", "for the channel"},
		{"NOPERM no permission for the channel", "for the channel"},
		{"NOPERM No permissions to access one of the keys used", "for a key of the history"},
		{"NOPERM no permission for the stream", "for the command XADD, or for a key"},
		{"ERR The user executing the script can't run this command or subcommand", "for a command of the script"},
		{"NOPERM secret-word", acl.NoPermission},
	} {
		got := acl.Lacking(test.text)
		if !strings.Contains(got, test.want) || strings.Contains(got, "secret") || strings.Contains(got, "flushall") {
			t.Errorf("%s\n got %q, want %q in it", test.text, got, test.want)
		}
	}
}
