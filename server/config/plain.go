package config

import (
	"errors"
	"strings"

	"github.com/pregon/pregon/server/access/token"
)

// prefixes name packages and kinds of errors, in the order in which they stand.
var prefixes = []string{
	"access: ", "unauthorized: ", "not a key: ", "not a rule: ", "token: ", "mint: ", "pattern: ", "not a pattern: ", "server: ",
}

// Plain returns what an error of packages access and token says, in one line and for whoever
// wrote the configuration or has the credential: without the names of packages.
func Plain(err error) string {
	if of, ok := errors.AsType[*token.InvalidError](err); ok {
		return oneLine("the token is not valid: " + of.Reason)
	}
	if of, ok := errors.AsType[*token.IssuerError](err); ok {
		err = of.Err
	}
	text := err.Error()
	for _, p := range prefixes {
		text = strings.TrimPrefix(text, p)
	}
	return oneLine(text)
}
