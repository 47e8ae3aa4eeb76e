package cmd

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/server/config"
)

// otherNames are what flags and commands are called elsewhere.
var otherNames = map[string][]string{
	"port": {"listen"}, "p": {"listen"}, "addr": {"listen", "url"}, "address": {"listen", "url"}, "bind": {"listen"}, "http": {"listen"},
	"redis": {"broker"}, "redis-url": {"broker"}, "nats": {"broker"},
	"cors": {"allow-origin"}, "origin": {"allow-origin"}, "origins": {"allow-origin"},
	"verbose": {"log-level"}, "debug": {"log-level"}, "quiet": {"log-level"}, "log": {"log-level"},
	"cert": {"tls-cert", "ca"}, "key": {"publish-key", "token-file"}, "secret": {"jwt-key"}, "cacert": {"ca"}, "insecure": {"ca"}, "k": {"ca"},
	"token": {"token-file"}, "auth": {"token-file"}, "bearer": {"token-file"}, "header": {"token-file"},
	"server": {"url"}, "host": {"url"}, "u": {"url"}, "f": {"format", "config"}, "c": {"config"}, "n": {"last"}, "history": {"last"},
	"run": {"serve"}, "start": {"serve"},
	"publish": {"pub"}, "send": {"pub"}, "subscribe": {"sub"}, "tail": {"sub"}, "listen": {"sub"},
	"jwt": {"token"}, "keygen": {"key"}, "benchmark": {"bench"}, "load": {"bench"}, "validate": {"check"}, "lint": {"check"},
}

// nearestName returns that of names which somebody who writes another one probably means, empty
// where there is none: one that it is the beginning of, means or is like.
func nearestName(written string, names []string) string {
	written = strings.ToLower(written)
	for _, other := range otherNames[written] {
		if slices.Contains(names, other) {
			return other
		}
	}
	if len(written) > 2 {
		if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, written) }); i >= 0 {
			return names[i]
		}
	}
	return config.Nearest(written, names)
}

// flagNamed returns a flag of a command or of all commands, nil where there is none.
func flagNamed(command *kong.Node, name string) *kong.Flag {
	for _, group := range command.AllFlags(true) {
		for _, f := range group {
			if f.Name == name {
				return f
			}
		}
	}
	return nil
}

// flagNames returns the names of the flags of a command.
func flagNames(command *kong.Node) []string {
	var names []string
	for _, group := range command.AllFlags(true) {
		for _, f := range group {
			names = append(names, f.Name)
		}
	}
	return names
}
