package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shown returns text as it is to be written to w. What others have written may hold
// sequences that move the cursor, set the clipboard or turn the direction of
// writing, and line ends that make one message look like two: on a terminal they are
// made visible. Programs that read from a pipe get every byte as it is.
func shown(w io.Writer, text string) string {
	if isTerminal(w) {
		return visible(text)
	}
	return text
}

// visible returns text with each character that acts on a terminal, and each byte
// that is not UTF-8, written as Go and JSON write it. Tabs stay, and so do the
// joiners that emoji and many languages need.
func visible(text string) string {
	if strings.IndexFunc(text, acts) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\n':
			b.WriteString(`\n`)
		case !acts(r):
			b.WriteString(text[i : i+n])
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

// acts reports whether a terminal may do something else than show r.
func acts(r rune) bool {
	const zwnj, zwj = '\u200C', '\u200D'
	return r != '\t' && r != zwnj && r != zwj && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// isTerminal reports whether somebody looks at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
