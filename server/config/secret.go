package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxSecret is how long a file with a secret, or with keys, may be.
const maxSecret = 64 << 10

// ReadSecret returns what is in a file, which is regular and not long, without one newline at its
// end, and whether every user of the machine may read it. The error quotes nothing of it.
func ReadSecret(path string) (secret []byte, exposed bool, err error) {
	text, info, err := readFile(path, maxSecret)
	if err != nil {
		return nil, false, err
	}
	return []byte(withoutNewline(string(text))), isExposed(info), nil
}

func isExposed(info fs.FileInfo) bool {
	const others = 0o004
	return runtime.GOOS != "windows" && info.Mode().Perm()&others != 0
}

// withoutNewline returns text without one newline at its end, which editors and echo put there.
func withoutNewline(text string) string {
	if rest, ok := strings.CutSuffix(text, "\r\n"); ok {
		return rest
	}
	return strings.TrimSuffix(text, "\n")
}

// path returns the path of a file that the configuration names.
func (r *reader) path(n *yaml.Node) (string, bool) {
	name, ok := r.text(n)
	if ok && !filepath.IsAbs(name) {
		name = filepath.Join(r.dir, name)
	}
	return name, ok
}

// secretFile returns what is in a file with a secret.
func (r *reader) secretFile(n *yaml.Node) ([]byte, bool) {
	path, ok := r.path(n)
	if !ok {
		return nil, false
	}
	secret, exposed, err := ReadSecret(path)
	if err != nil {
		r.fault(n, "this file cannot be read: %v", err)
		return nil, false
	}
	if exposed {
		r.warn(n, "this file can be read by every user of the machine")
	}
	return secret, true
}

// file returns what is in a file that has no secret.
func (r *reader) file(n *yaml.Node) ([]byte, bool) {
	path, ok := r.path(n)
	if !ok {
		return nil, false
	}
	text, _, err := readFile(path, maxSecret)
	if err != nil {
		r.fault(n, "this file cannot be read: %v", err)
	}
	return text, err == nil
}

// variable returns the secret in an environment variable.
func (r *reader) variable(n *yaml.Node) (string, bool) {
	name, ok := r.text(n)
	if !ok {
		return "", false
	}
	secret := withoutNewline(os.Getenv(name))
	if secret == "" {
		r.fault(n, "this environment variable is not set")
	}
	return secret, secret != ""
}

// warnOfWeak tells where a secret looks as if it could be guessed.
func (r *reader) warnOfWeak(n *yaml.Node, secret string) {
	if LooksWeak(secret) {
		r.warn(n, "this secret does not look random; pregon key makes one that is")
	}
}

// fewBytes is how many different bytes a random secret of 20 letters or 32 hexadecimal digits
// has, and one that somebody made up may not have.
const fewBytes = 8

// madeUp are parts of secrets that stand in examples.
var madeUp = []string{"secret", "password", "passwort", "contrase", "changeme", "change-me", "change_me", "example", "12345678", "abcdefgh", "qwerty"}

// LooksWeak reports whether a secret is surely not random: it repeats itself, has few different
// bytes, or is like those in examples.
func LooksWeak(secret string) bool {
	different := map[byte]bool{}
	for i := range len(secret) {
		different[secret[i]] = true
	}
	if len(different) < fewBytes {
		return true
	}
	small := strings.ToLower(secret)
	for _, part := range madeUp {
		if strings.Contains(small, part) {
			return true
		}
	}
	// What consists of a repeated part is found in itself, doubled, before its end.
	return strings.Contains((secret + secret)[1:2*len(secret)-1], secret)
}
