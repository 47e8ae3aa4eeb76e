package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
)

// MaxFile is how long a configuration may be, in bytes.
const MaxFile = 1 << 20

// A Config is what a file says. What it does not say is zero.
type Config struct {
	Cookie       string // the name of the cookie that may have a token
	Origins      []string
	Hosts        []string
	TrustProxies []netip.Prefix

	Keys    []access.Key
	Issuers []token.Issuer // nil where the file says nothing about tokens; empty where it takes nobody's
	Rules   []access.Rule  // nil where the file says nothing about rules

	// Settings are those of the server that are flags as well, by the name of the flag.
	Settings map[string]Setting
}

// A Setting is the value of a flag, as text, and its place in the file.
type Setting struct {
	Value        string
	Line, Column int
}

// Options are what [Load] has to know of the settings that are flags.
type Options struct {
	// Settings are the names of those that a file may have.
	Settings []string
	// Check returns why a setting cannot have a value, in words that do not quote it. Nil
	// takes every value.
	Check func(name, value string) error
	// Tokens says that tokens are taken by flags, too, so that a file without is not warned about.
	Tokens bool
}

// Load reads the file at path and the secrets that it names; a name of a file in it is
// relative to its folder. The diagnostics are warnings: what can be used, but hardly as it was
// meant. The error is an [*Error], or is about the file as a whole.
func Load(path string, o Options) (Config, []Diagnostic, error) {
	text, err := readAll(path)
	if err != nil {
		return Config{}, nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	r := &reader{dir: filepath.Dir(path), options: o}
	c := r.config(text)
	inOrder(r.warnings)
	if len(r.faults) > 0 {
		inOrder(r.faults)
		return Config{}, r.warnings, &Error{path, r.faults}
	}
	return c, r.warnings, nil
}

func inOrder(all []Diagnostic) {
	slices.SortStableFunc(all, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

var (
	errNotRegular = errors.New("it is not a regular file")
	errTooLong    = errors.New("it is too long")
)

// readAll returns what is in a configuration.
func readAll(path string) ([]byte, error) {
	text, _, err := readFile(path, MaxFile)
	return text, err
}

// readFile returns what is in a regular file of at most so many bytes. Others, such as a
// pipe, could wait for ever, or be empty when they are read again.
func readFile(path string, most int64) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, reason(err)
	case !info.Mode().IsRegular():
		return nil, nil, errNotRegular
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, reason(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, nil, reason(err)
	case int64(len(text)) > most:
		return nil, nil, errTooLong
	}
	return text, info, nil
}

// reason returns what an error of package os says beside the path.
func reason(err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
