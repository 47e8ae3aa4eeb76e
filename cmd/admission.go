package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/config"
)

// accessFlags say who may do what, as far as flags do.
type accessFlags struct {
	Config     string `placeholder:"FILE" help:"Who may do what, and settings: pregon.yaml. SIGHUP reads it again."`
	PublishKey string `placeholder:"@FILE" help:"Publishing needs the key in this file, which pregon key makes; without tokens anyone may listen. PREGON_PUBLISH_KEY may be the key itself."`
	JWTKey     string `name:"jwt-key" placeholder:"FILE" help:"Take tokens (JWT) that are signed with this key: public ones in PEM, or else a secret. Tokens say what their users may publish and hear."`
	JWKS       string `name:"jwks" placeholder:"URL" help:"Take tokens that are signed with a key of this set. Needs --issuer and --audience."`
	Issuer     string `placeholder:"ISS" help:"What the claim iss of tokens must be."`
	Audience   string `placeholder:"AUD" help:"What the claim aud of tokens must contain."`
	Open       bool   `help:"Let everyone who reaches the server publish and listen."`
}

// publishKeyName is that of the key of --publish-key, which no key of a file can have.
const publishKeyName = "--publish-key"

// given reports whether a flag stands on the command line.
func given(kctx *kong.Context, name string) bool {
	for _, p := range kctx.Path {
		if p.Flag != nil && p.Flag.Name == name && !p.Resolved {
			return true
		}
	}
	return false
}

// check says what of the flags makes no sense.
func (f accessFlags) check(kctx *kong.Context) error {
	switch {
	case given(kctx, "publish-key") && f.PublishKey != "" && !strings.HasPrefix(f.PublishKey, "@"):
		return errors.New("--publish-key: every user of the machine sees a key on the command line; write @FILE, the file that has it")
	case f.JWKS != "" && (f.Issuer == "" || f.Audience == ""):
		return errors.New("--jwks: give --issuer and --audience, too, as the owner of the keys signs tokens for others as well")
	case (f.Issuer != "" || f.Audience != "") && f.JWKS == "" && f.JWTKey == "":
		return errors.New("--issuer and --audience: they go with --jwks or --jwt-key")
	case f.Open && f.protected():
		return errors.New("--open: does not go with what says who may publish: --config, --publish-key, --jwt-key and --jwks")
	}
	return nil
}

// protected reports whether there is anything that says who may publish.
func (f accessFlags) protected() bool {
	return f.Config != "" || f.PublishKey != "" || f.takesTokens()
}

// takesTokens reports whether flags say whose tokens are taken.
func (f accessFlags) takesTokens() bool { return f.JWTKey != "" || f.JWKS != "" }

// An admission is who may do what, by the file and the flags together.
type admission struct {
	config   config.Config
	policy   *access.Policy
	verifier *token.Verifier
}

// admit reads the file and all secrets, those of flags, too. What is said in both adds up.
func (f accessFlags) admit(o config.Options, keysets *token.Keysets, log *slog.Logger) (*admission, error) {
	a := &admission{}
	o.Tokens = f.takesTokens()
	if f.Config != "" {
		var warnings []config.Diagnostic
		var err error
		if a.config, warnings, err = config.Load(f.Config, o); err != nil {
			return nil, usageError(err)
		}
		for _, w := range warnings {
			log.Warn("configuration", "file", f.Config, "line", w.Line, "column", w.Column, "text", w.Text)
		}
	}
	if err := f.addTo(&a.config, log); err != nil {
		return nil, usageError(err)
	}
	var err error
	if a.verifier, err = token.New(a.config.Issuers, token.Options{Keysets: keysets}); err != nil {
		return nil, usageError(errors.New(config.Plain(err)))
	}
	if !f.protected() {
		a.policy = access.Open()
		return a, nil
	}
	if a.policy, err = access.New(a.accessConfig()); err != nil {
		return nil, usageError(errors.New(config.Plain(err)))
	}
	return a, nil
}

// accessConfig returns what the policy is made of. Tokens that nobody can have are not the same as
// none: with "tokens: []" listening needs one.
func (a *admission) accessConfig() access.Config {
	c := access.Config{Keys: a.config.Keys, Rules: a.config.Rules}
	if a.config.Issuers != nil {
		c.Tokens = a.verifier
	}
	return c
}

// addTo adds what the flags say to a configuration.
func (f accessFlags) addTo(c *config.Config, log *slog.Logger) error {
	if f.PublishKey != "" {
		secret, err := f.publishKey(log)
		if err != nil {
			return fmt.Errorf("--publish-key: %w", err)
		}
		digest, err := access.DigestOf(secret)
		if err != nil {
			return fmt.Errorf("--publish-key: %s", aboutKey(err))
		}
		c.Keys = append(c.Keys, access.Key{Name: publishKeyName, Digest: digest})
	}
	if f.JWTKey != "" {
		i, err := f.keyIssuer(log)
		if err != nil {
			return fmt.Errorf("--jwt-key: %w", err)
		}
		c.Issuers = append(c.Issuers, i)
	}
	if f.JWKS != "" {
		i := token.Issuer{JWKS: f.JWKS, Issuer: f.Issuer, Audience: f.Audience}
		if err := i.Check(); err != nil {
			return fmt.Errorf("--jwks: %s", config.Plain(err))
		}
		c.Issuers = append(c.Issuers, i)
	}
	return nil
}

// publishKey returns the key of --publish-key.
func (f accessFlags) publishKey(log *slog.Logger) (string, error) {
	secret, err := secretOf(f.PublishKey, log)
	return string(secret), err
}

// secretOf returns the secret of a flag whose value is @FILE or, in the environment, the secret itself.
func secretOf(value string, log *slog.Logger) ([]byte, error) {
	path, isFile := strings.CutPrefix(value, "@")
	if !isFile {
		return []byte(value), nil
	}
	return readSecret(path, log)
}

// keyIssuer returns the issuer of the tokens that are signed with the key of --jwt-key.
func (f accessFlags) keyIssuer(log *slog.Logger) (token.Issuer, error) {
	i := token.Issuer{Issuer: f.Issuer, Audience: f.Audience}
	text, exposed, err := config.ReadSecret(f.JWTKey)
	switch {
	case err != nil:
		return i, fmt.Errorf("read %s: %w", f.JWTKey, err)
	case isPEM(text):
		i.PublicKeys = text
	default:
		i.Secret = text
		warnOfSecret(log, f.JWTKey, exposed, text)
	}
	if err := i.Check(); err != nil {
		return i, errors.New(config.Plain(err))
	}
	return i, nil
}

// aboutKey returns what an error of [access.DigestOf] says, as a sentence about the key.
func aboutKey(err error) string {
	return "the key" + strings.TrimPrefix(config.Plain(err), "it")
}

// readSecret returns what is in a file with a secret.
func readSecret(path string, log *slog.Logger) ([]byte, error) {
	secret, exposed, err := config.ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	warnOfSecret(log, path, exposed, secret)
	return secret, nil
}

func warnOfSecret(log *slog.Logger, path string, exposed bool, secret []byte) {
	if exposed {
		log.Warn("the file can be read by every user of the machine", "file", path)
	}
	if config.LooksWeak(string(secret)) {
		log.Warn("the secret does not look random; pregon key makes one that is", "file", path)
	}
}

// isPEM reports whether a key is in PEM (RFC 7468), and not a secret.
func isPEM(key []byte) bool { return strings.Contains(string(key), "-----BEGIN ") }

// usageError makes err end the program with exit code 2.
func usageError(err error) error {
	if errors.Is(err, errUsage) {
		return err
	}
	return fmt.Errorf("%w%w", err, errUsage)
}
