package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	noAlias    = "anchors, which begin with &, and aliases, which begin with *, are not taken: write out what is meant, and put patterns that begin with * in quotes"
	noDocument = "the file is empty; write {} where a configuration without settings is meant"
	inQuotes   = "; text with any of * { } [ ] , : # belongs in quotes"
)

// quotation is where an error of the YAML library may have text of the file.
var quotation = regexp.MustCompile(`'[^']*'|\(value: .*\)`)

// punctuation is what the library says that it expected, which is not of the file.
var punctuation = regexp.MustCompile(`^'[,:?{}\[\]-]'$`)

// withoutText returns what the YAML library says, without text of the file.
func withoutText(message string) string {
	return quotation.ReplaceAllStringFunc(message, func(quoted string) string {
		if punctuation.MatchString(quoted) {
			return quoted
		}
		return "…"
	})
}

// parse returns the one document of a file. Where it returns nil, the fault is told: that it is
// no YAML, or that nothing stands in it. A file that was cut off would else be taken for one
// without rules, which lets everyone listen.
func (r *reader) parse(text []byte) *yaml.Node {
	l, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithUniqueKeys(false)) // that they are unique is ours to check
	if err != nil {
		r.syntax(text, err)
		return nil
	}
	var document, second yaml.Node
	switch err := l.Load(&document); {
	case errors.Is(err, io.EOF):
		r.fault(&yaml.Node{}, "%s", noDocument)
		return nil
	case err != nil:
		r.syntax(text, err)
		return nil
	}
	switch err := l.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.syntax(text, err)
		return nil
	default:
		r.fault(&second, "a second document begins here; a file has one")
		return nil
	}
	if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
		r.fault(&yaml.Node{}, "%s", noDocument)
		return nil
	}
	return document.Content[0]
}

// syntax says what is no YAML, without text of the file.
func (r *reader) syntax(text []byte, err error) {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		r.fault(&yaml.Node{}, "it is not YAML")
		return
	}
	n := &yaml.Node{Line: at.Mark.Line, Column: at.Mark.Column}
	switch {
	case at.Stage == yaml.ComposerStage, strings.Contains(at.ContextMsg, "alias"):
		r.fault(n, "%s", noAlias)
	case at.Stage == yaml.ReaderStage:
		n.Line, n.Column = place(text)
		r.fault(n, "it is not text in UTF-8 without control characters")
	case at.Stage == yaml.ParserStage, at.Stage == yaml.ScannerStage:
		r.fault(n, "it is not YAML: %s%s", withoutText(at.Message), inQuotes)
	default:
		r.fault(n, "it is not YAML")
	}
}

// place returns where text has the first byte that is no character of a text.
func place(text []byte) (line, column int) {
	line = 1
	for _, c := range string(text) {
		column++
		switch {
		case c == '\uFFFD', c < ' ' && c != '\n' && c != '\r' && c != '\t':
			return line, column
		case c == '\n':
			line, column = line+1, 0
		}
	}
	return 0, 0
}
