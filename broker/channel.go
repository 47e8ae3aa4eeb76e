package broker

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxChannel is the longest channel name in bytes.
const MaxChannel = 255

// ReservedPrefix begins the names that no client may publish or subscribe to:
// Redis' own (__keyspace@0__:…) and ours (__pregon…).
const ReservedPrefix = "__"

// Format characters that change what is written.
const (
	nonJoiner = '\u200C'
	joiner    = '\u200D'
)

// A ChannelError says why a channel name from outside was refused. It never
// contains the name.
type ChannelError struct {
	Code   string // channel_empty, channel_too_long, channel_reserved or bad_channel
	Detail string // one sentence for the caller
}

// Error implements error.
func (e *ChannelError) Error() string { return "broker: " + e.Code + ": " + e.Detail }

// CheckChannel reports whether name may be used by clients: 1 to [MaxChannel]
// bytes of UTF-8 without control, format or line-separator characters, not
// beginning with [ReservedPrefix], and with no "/"-separated part that is
// empty, "." or "..". Everything else is literal: letters of any script, spaces,
// and the characters * ? [ ] { } ; + that mean something elsewhere.
//
// Of the format characters U+200C and U+200D are allowed, the zero-width
// (non-)joiners, without which Persian words and many emoji cannot be written.
//
// A name with "//", such as a whole URL, is refused everywhere: proxies and client
// libraries make one slash of the two in a path, also where they were escaped,
// and then one side would publish to a channel that the other does not hear,
// without a word. Without the slashes, as in "https:example.com/a", it will do.
//
// The error is a *ChannelError.
func CheckChannel(name string) error {
	switch {
	case name == "":
		return &ChannelError{"channel_empty", "The channel name is empty."}
	case len(name) > MaxChannel:
		return &ChannelError{"channel_too_long", "The channel name is longer than 255 bytes."}
	case !utf8.ValidString(name):
		return &ChannelError{"bad_channel", "The channel name is not valid UTF-8."}
	case strings.HasPrefix(name, ReservedPrefix):
		return &ChannelError{"channel_reserved", `Channel names that begin with "__" are reserved.`}
	}
	for _, r := range name {
		if r >= ' ' && r <= '~' {
			continue // as nearly all are
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != nonJoiner && r != joiner {
			return &ChannelError{"bad_channel", "The channel name contains a control, format or line-separator character."}
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return &ChannelError{"bad_channel", `The channel name has a part between "/" that is empty, "." or "..".`}
		}
	}
	return nil
}

// ParseChannel takes a channel name out of the escaped path of a URL: what
// follows the route, as in [net/url.URL.EscapedPath]. It unescapes once, so
// %61 and a are the same channel, a%2Fb is a/b, and a%252Fb is the name
// "a%2Fb"; a plus is a plus. Publish, subscribe and permissions all use it.
//
// The error is a *ChannelError.
func ParseChannel(escaped string) (string, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return "", &ChannelError{"bad_channel", "The channel name has a bad percent escape."}
	}
	if err := CheckChannel(name); err != nil {
		return "", err
	}
	return name, nil
}
