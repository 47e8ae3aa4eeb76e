package config

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
)

// Hash returns a digest of what all nodes of a deployment are to have in common: all but the
// settings, and where something stands in the file. Two that differ mean different things. Secrets
// are in it, so it is not for showing to those who may guess at a weak one.
func (c Config) Hash() [32]byte {
	c.Settings = nil
	c.Issuers = append([]token.Issuer(nil), c.Issuers...)
	for i := range c.Issuers {
		c.Issuers[i].Line = 0
	}
	rules := c.Rules
	if rules != nil {
		c.Rules = append([]access.Rule{}, rules...)
	}
	for i := range c.Rules {
		c.Rules[i].Line = 0
	}
	text, _ := json.Marshal(c) // there is nothing in it that JSON cannot have
	return sha256.Sum256(text)
}
