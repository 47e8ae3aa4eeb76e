package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/server/access/pattern"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/config"
)

type tokenCommand struct {
	JWTKey    string        `env:"-" name:"jwt-key" placeholder:"FILE" help:"What to sign with: a private key in PEM, or else a secret of at least 32 bytes."`
	Config    string        `env:"-" placeholder:"FILE" help:"Instead: sign as the first of tokens in this file that has a secret, and take --issuer, --audience and --claim from there."`
	Sub       string        `env:"-" placeholder:"SUBJECT" help:"Whom it is for: the name of a user, without the characters . : / where rules have {sub}."`
	Subscribe []string      `env:"-" sep:"none" placeholder:"PATTERN" help:"Channels that it lets its user listen to, such as room.*. May be repeated."`
	Publish   []string      `env:"-" sep:"none" placeholder:"PATTERN" help:"Channels that it lets its user publish to. May be repeated."`
	For       time.Duration `env:"-" default:"1h" placeholder:"TIME" help:"How long it is valid. Default ${default}."`
	Info      string        `env:"-" placeholder:"JSON" help:"What others may see of the user."`
	Issuer    string        `env:"-" placeholder:"ISS" help:"The claim iss."`
	Audience  string        `env:"-" placeholder:"AUD" help:"The claim aud."`
	Claim     string        `env:"-" placeholder:"NAME" help:"The claim that has the patterns and the info. Default pregon."`
	KeyID     string        `env:"-" name:"kid" placeholder:"ID" help:"The ID of the key."`
}

// Help is shown by pregon token --help.
func (tokenCommand) Help() string {
	return `A token (JWT) lets a user's browser in. Your application makes one for each user who has signed in; this command is for trying it out.

  pregon token --jwt-key secret --sub u1 --subscribe 'room.*' >token
  pregon sub room.7 --token-file token`
}

// Validate is called by kong.
func (c *tokenCommand) Validate() error {
	switch {
	case c.For < time.Second:
		return errors.New("--for: must be at least 1s")
	case c.JWTKey == "" && c.Config == "":
		return errors.New("--jwt-key or --config: one is needed")
	case c.JWTKey != "" && c.Config != "":
		return errors.New("--jwt-key and --config: give only one of them")
	}
	for name, list := range map[string][]string{"subscribe": c.Subscribe, "publish": c.Publish} {
		for _, text := range list {
			if _, err := pattern.Parse(text); err != nil {
				return fmt.Errorf("--%s: %s", name, config.Plain(err))
			}
		}
	}
	return nil
}

// Run prints a token.
func (c *tokenCommand) Run(out *console, kctx *kong.Context) error {
	key, err := c.key(kctx)
	if err != nil {
		return err
	}
	now := time.Now()
	raw, err := token.Mint(key, token.Draft{
		Subject: c.Sub, Subscribe: c.Subscribe, Publish: c.Publish, Info: []byte(c.Info),
		Issued: now, Expires: now.Add(c.For), Issuer: c.Issuer, Audience: c.Audience, Claim: c.Claim, KeyID: c.KeyID,
	})
	switch {
	case errors.Is(err, token.ErrInvalid):
		return usageError(errors.New(config.Plain(err)))
	case err != nil:
		return usageError(fmt.Errorf("--jwt-key: %s", config.Plain(err)))
	}
	if _, err := fmt.Fprintln(out.stdout, raw); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if c.Config == "" && c.For > token.DefaultMaxAge {
		fmt.Fprintf(out.stderr, "pregon: servers take tokens of at most %s, unless max-age or expires in their configuration says otherwise\n", config.Duration(token.DefaultMaxAge))
	}
	return nil
}

// key returns what to sign with.
func (c *tokenCommand) key(kctx *kong.Context) ([]byte, error) {
	if c.Config != "" {
		return c.fromFile(kctx)
	}
	key, _, err := config.ReadSecret(c.JWTKey)
	if err != nil {
		return nil, fmt.Errorf("--jwt-key: read %s: %w", c.JWTKey, err)
	}
	return key, nil
}

// fromFile returns the secret of a configuration, and takes what goes with it.
func (c *tokenCommand) fromFile(kctx *kong.Context) ([]byte, error) {
	file, _, err := config.Load(c.Config, fileOptions(serveNode(kctx.Model)))
	if err != nil {
		return nil, usageError(err)
	}
	i := slices.IndexFunc(file.Issuers, func(i token.Issuer) bool { return i.Secret != nil })
	if i < 0 {
		return nil, fmt.Errorf("--config: there is no secret-file among tokens in %s%w", c.Config, errUsage)
	}
	issuer := file.Issuers[i]
	if longest := cmp.Or(issuer.MaxAge, token.DefaultMaxAge); c.For > longest && !issuer.NeverExpires {
		return nil, fmt.Errorf("--for: the server takes tokens of at most %s (max-age in %s)%w", config.Duration(longest), c.Config, errUsage)
	}
	c.Issuer, c.Audience, c.Claim = cmp.Or(c.Issuer, issuer.Issuer), cmp.Or(c.Audience, issuer.Audience), cmp.Or(c.Claim, issuer.Claim)
	return issuer.Secret, nil
}
