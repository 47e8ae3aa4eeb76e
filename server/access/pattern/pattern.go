package pattern

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
)

// separators stand between segments.
const separators = ".:/"

// reserved begins the names that no pattern matches.
const reserved = broker.ReservedPrefix

// Reasons for which a text is no pattern. They match ErrPattern.
var (
	ErrPattern = errors.New("pattern: not a pattern")

	errLong   = fmt.Errorf(`%w: it is longer than %d bytes`, ErrPattern, broker.MaxChannel)
	errEmpty  = fmt.Errorf(`%w: it has an empty segment, which matches nothing`, ErrPattern)
	errWhole  = fmt.Errorf(`%w: "*" and braces stand for whole segments: write room.* for the channels room.1 and room.2`, ErrPattern)
	errRest   = fmt.Errorf(`%w: "**" stands for the rest, so it is the last segment`, ErrPattern)
	errSub    = fmt.Errorf(`%w: {sub} is for rules only`, ErrPattern)
	errOwn    = fmt.Errorf(`%w: names that begin with "__" are the server's own`, ErrPattern)
	errBraces = fmt.Errorf(`%w: the only word in braces is {sub}`, ErrPattern)
	errName   = fmt.Errorf(`%w: no channel can have such a name`, ErrPattern)
)

// A kind is what a part of a Pattern stands for.
type kind byte

const (
	literal kind = iota // itself, separators included
	one                 // one segment
	subject             // one segment, which is to be the caller's subject
	rest                // all that is left
)

// A part of a Pattern. Parts of the kind literal stand between all others.
type part struct {
	kind kind
	text string // of a literal
}

// A Pattern stands for channels. It is immutable. The zero Pattern stands for none.
type Pattern struct {
	text       string
	parts      []part
	separators int  // between segments
	open       bool // there may be more of them, as it ends with "**"
}

// String returns the Pattern as it was written.
func (p Pattern) String() string { return p.text }

// HasSubject reports whether the caller's subject is a part of the Pattern.
func (p Pattern) HasSubject() bool {
	return slices.ContainsFunc(p.parts, func(t part) bool { return t.kind == subject })
}

// Parse returns the Pattern that text is, which has no {sub}, or an error that matches
// ErrPattern and does not quote it.
func Parse(text string) (Pattern, error) {
	p, err := ParseRule(text)
	if err == nil && p.HasSubject() {
		return Pattern{}, errSub
	}
	return p, err
}

// ParseRule is Parse for the patterns of rules, which may have {sub}.
func ParseRule(text string) (Pattern, error) {
	switch {
	case len(text) > broker.MaxChannel:
		return Pattern{}, errLong
	case strings.HasPrefix(text, reserved):
		return Pattern{}, errOwn
	}
	if broker.CheckChannel(text) != nil { // to which "*" and braces are letters like others
		return Pattern{}, orEmpty(text)
	}
	p := Pattern{text: strings.Clone(text), parts: make([]part, 0, 4)}
	for left := p.text; ; {
		segment, separator, behind := cut(left)
		part, err := parseSegment(segment)
		if err != nil {
			return Pattern{}, err
		}
		if part.kind == rest && separator != "" {
			return Pattern{}, errRest
		}
		p.add(part)
		p.open = part.kind == rest
		if separator == "" {
			break
		}
		p.add(partOf(separator))
		p.separators++
		left = behind
	}
	return p, nil
}

// orEmpty returns why a text is no pattern that would be no channel.
func orEmpty(text string) error {
	if text == "" || strings.Contains(text, "//") || strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") {
		return errEmpty
	}
	return errName
}

// parseSegment returns what a segment stands for.
func parseSegment(segment string) (part, error) {
	switch segment {
	case "":
		return part{}, errEmpty
	case "*":
		return part{kind: one}, nil
	case "**":
		return part{kind: rest}, nil
	case "{sub}":
		return part{kind: subject}, nil
	}
	if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
		return part{}, errBraces
	}
	if strings.ContainsAny(segment, "*{}") {
		return part{}, errWhole
	}
	return partOf(segment), nil
}

func partOf(text string) part { return part{kind: literal, text: text} }

// add appends a part. Literals that follow each other become one.
func (p *Pattern) add(t part) {
	if last := len(p.parts) - 1; t.kind == literal && last >= 0 && p.parts[last].kind == literal {
		p.parts[last].text += t.text
		return
	}
	p.parts = append(p.parts, t)
}

// cut returns what stands before the first separator of text, that separator, and what is
// behind it. Without a separator the first is all of text.
func cut(text string) (segment, separator, behind string) {
	i := strings.IndexAny(text, separators)
	if i < 0 {
		return text, "", ""
	}
	return text[:i], text[i : i+1], text[i+1:]
}

// segmentLength returns how long the first segment of text is.
func segmentLength(text string) int {
	for i := range len(text) {
		if c := text[i]; c == '.' || c == ':' || c == '/' {
			return i
		}
	}
	return len(text)
}

// Match reports whether the Pattern stands for a channel, {sub} being any one segment.
func (p Pattern) Match(channel string) bool {
	matched, _ := p.match(channel, "", false)
	return matched
}

// MatchSubject reports whether the Pattern stands for a channel, and whether each {sub} in
// it is that subject, which may be empty where the caller has none: then it is none. It
// allocates nothing.
func (p Pattern) MatchSubject(channel, sub string) (matched, same bool) {
	return p.match(channel, sub, true)
}

func (p Pattern) match(channel, sub string, compare bool) (matched, same bool) {
	if len(p.parts) == 0 || strings.HasPrefix(channel, reserved) {
		return false, false
	}
	same = true
	for _, t := range p.parts {
		n := 0
		switch t.kind {
		case literal:
			if !strings.HasPrefix(channel, t.text) {
				return false, false
			}
			n = len(t.text)
		case rest:
			n = len(channel)
		default:
			n = segmentLength(channel)
			same = same && (t.kind == one || compare && channel[:n] == sub)
		}
		if n == 0 {
			return false, false
		}
		channel = channel[n:]
	}
	return channel == "", same
}

// Covers reports whether p stands for every channel that q stands for, each {sub} being any
// one segment.
func (p Pattern) Covers(q Pattern) bool {
	if len(p.parts) == 0 || len(q.parts) == 0 {
		return len(q.parts) == 0
	}
	a, b := p.text, q.text
	for {
		of, separator, behindA := cut(a)
		other, otherSeparator, behindB := cut(b)
		switch {
		case of == "**":
			return true
		case other == "**", !stands(of, other), separator != otherSeparator:
			return false
		case separator == "":
			return true
		}
		a, b = behindA, behindB
	}
}

// stands reports whether a segment of a pattern stands for all that other does, which is
// not "**".
func stands(segment, other string) bool {
	return segment == "*" || segment == "{sub}" || segment == other
}

// Separators returns how many separators a channel has.
func Separators(channel string) (n int) {
	for i := range len(channel) {
		if c := channel[i]; c == '.' || c == ':' || c == '/' {
			n++
		}
	}
	return n
}

// Fits reports whether the Pattern may stand for a channel with so many separators: of many
// patterns, most need no further look.
func (p Pattern) Fits(separators int) bool {
	return separators == p.separators || p.open && separators > p.separators
}

// First returns the first segment, and whether it stands for itself alone: then only names
// that begin with it can match.
func (p Pattern) First() (segment string, itself bool) {
	segment, _, _ = cut(p.text)
	return segment, segment != "*" && segment != "**" && segment != "{sub}" && segment != ""
}

// A List is patterns any one of which is enough.
type List []Pattern

// ParseList parses each of texts. Its error says which one is wrong, by its index.
func ParseList(texts []string) (List, error) {
	list := make(List, len(texts))
	for i, text := range texts {
		p, err := Parse(text)
		if err != nil {
			return nil, &ListError{i, err}
		}
		list[i] = p
	}
	return list, nil
}

// A ListError says which pattern of a list is none.
type ListError struct {
	Index int
	Err   error
}

func (e *ListError) Error() string { return fmt.Sprintf("pattern %d: %v", e.Index+1, e.Err) }

// Unwrap returns why.
func (e *ListError) Unwrap() error { return e.Err }

// Match reports whether one of the patterns stands for a channel.
func (l List) Match(channel string) bool {
	for _, p := range l {
		if p.Match(channel) {
			return true
		}
	}
	return false
}
