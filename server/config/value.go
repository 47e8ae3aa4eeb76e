package config

import (
	"encoding"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/pattern"
)

// text reads one value as it stands: numbers and words such as true are text, too.
func (r *reader) text(n *yaml.Node) (string, bool) {
	if !r.is(n, yaml.ScalarNode) {
		return "", false
	}
	if n.Value == "" || strings.ContainsFunc(n.Value, unicode.IsControl) {
		r.fault(n, "this must be text in one line")
		return "", false
	}
	return n.Value, true
}

// into returns what reads text into a variable.
func (r *reader) into(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) { *to, _ = r.text(n) }
}

// texts returns what reads a list of text into a variable, after check has looked at each.
func (r *reader) texts(to *[]string, check func(string) error) func(*yaml.Node) {
	return func(n *yaml.Node) {
		*to = []string{}
		r.list(n, func(item *yaml.Node) {
			text, ok := r.text(item)
			if !ok {
				return
			}
			if err := check(text); err != nil {
				r.fault(item, "%s", Plain(err))
				return
			}
			*to = append(*to, text)
		})
	}
}

// flag returns what reads true or false into a variable.
func (r *reader) flag(to *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if !r.is(n, yaml.ScalarNode) {
			return
		}
		if n.Tag != "!!bool" {
			r.fault(n, "this must be true or false")
			return
		}
		*to = strings.EqualFold(n.Value, "true")
	}
}

// number returns what reads a whole number from least to most into a variable.
func (r *reader) number(to *int, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if !r.is(n, yaml.ScalarNode) {
			return
		}
		v, err := strconv.Atoi(n.Value)
		if err != nil || v < least || v > most {
			r.fault(n, "this must be a number from %d to %d", least, most)
			return
		}
		*to = v
	}
}

// duration returns what reads a time from least to most into a variable.
func (r *reader) duration(to *time.Duration, least, most time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if !r.is(n, yaml.ScalarNode) {
			return
		}
		v, err := time.ParseDuration(n.Value)
		if err != nil || v < least || v > most {
			r.fault(n, "this must be a time from %s to %s, such as 10m", Duration(least), Duration(most))
			return
		}
		*to = v
	}
}

// Duration returns a time as people write it, without the units that are zero.
func Duration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// parsed returns what reads a value that knows its own form.
func (r *reader) parsed(to encoding.TextUnmarshaler) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if !r.is(n, yaml.ScalarNode) {
			return
		}
		if err := to.UnmarshalText([]byte(n.Value)); err != nil {
			r.fault(n, "%s", Plain(err))
		}
	}
}

// rate returns what reads a rate such as 5/s into a variable.
func (r *reader) rate(to *access.Rate) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if !r.is(n, yaml.ScalarNode) {
			return
		}
		v, err := access.ParseRate(n.Value)
		if err != nil {
			r.fault(n, "%s", Plain(err))
			return
		}
		*to = v
	}
}

// isPattern returns why text is no pattern of a key's.
func isPattern(text string) error {
	_, err := pattern.Parse(text)
	return err
}

// oneLine returns text without control and format characters, which would act on a terminal or look
// like another line.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
}
