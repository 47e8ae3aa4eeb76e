package cmd

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

type keyCommand struct{}

// Help is shown by pregon key --help.
func (keyCommand) Help() string {
	return `A key is a secret of your backend's, which sends it as Authorization: Bearer KEY. It is not for browsers: give their users tokens. It also serves as the secret of tokens.

  umask 077; pregon key >key
  pregon --publish-key @key
  curl -X POST -H "Authorization: Bearer $(cat key)" "http://localhost:8000/publish/chat?message=Hola"`
}

// keyBytes is how much chance is in a key.
const keyBytes = 32

// Run prints a key on standard output, and how to use it on standard error.
func (keyCommand) Run(out *console) error {
	var secret [keyBytes]byte
	_, _ = rand.Read(secret[:]) // never fails
	if _, err := fmt.Fprintln(out.stdout, base64.RawURLEncoding.EncodeToString(secret[:])); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintln(out.stderr, "Keep it in a file that only the server and your backend can read, and start pregon with --publish-key @FILE. Your backend sends it as Authorization: Bearer KEY. It is not for browsers.")
	return nil
}
