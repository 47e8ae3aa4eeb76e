package token

import (
	"crypto/sha256"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what a token may say.
const (
	maxSubject  = 255     // bytes
	maxPatterns = 100     // of subscribe and publish together
	maxInfo     = 1 << 10 // bytes of JSON
)

// skew is how far the clock of an issuer may be ahead of ours before its fresh tokens are refused.
const skew = 5 * time.Second

// Claims are what a valid token says. The receiver may keep them, but must not change them: a later
// call with the same token returns the same slices.
type Claims struct {
	// ID is the same for the same token, and for no other. Nothing of the token can be told
	// from it. It is zero for Claims that no Verifier has made.
	ID [sha256.Size]byte

	Subject string    // whom it was given to; empty where it does not say
	Expires time.Time // from then on it is not valid; zero: never

	// Subscribe and Publish are the patterns that it grants, as it has them: they may be of no
	// valid form.
	Subscribe, Publish []string

	Info json.RawMessage // the member info of its grants, at most 1 KiB; nil where there is none
	Line int             // of the Issuer that signed it

	Issuer Fingerprint // of what made it valid: see Verifier.Trusts
}

// claims returns what the claims of a token say that i has signed. They are checked as of now.
func (i *issuer) claims(ms members, now time.Time) (Claims, error) {
	c := Claims{Line: i.Line}
	var err error
	if c.Expires, err = i.checkDates(ms, now); err != nil {
		return Claims{}, err
	}
	if err := i.checkParties(ms); err != nil {
		return Claims{}, err
	}
	if c.Subject, err = subject(ms); err != nil {
		return Claims{}, err
	}
	if err := c.readGrants(ms, i.Claim); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// checkDates checks exp, nbf and the form of iat (RFC 7519, sections 4.1.4 to 4.1.6), and returns exp.
func (i *issuer) checkDates(ms members, now time.Time) (time.Time, error) {
	expires, err := date(ms, "exp")
	switch {
	case err != nil:
		return time.Time{}, err
	case expires.IsZero() && !i.NeverExpires:
		return time.Time{}, invalid("no exp")
	case !expires.IsZero() && !now.Before(expires):
		return time.Time{}, invalid(Expired)
	case !i.NeverExpires && expires.After(now.Add(i.MaxAge+skew)):
		return time.Time{}, invalid(TooLong)
	}
	begins, err := date(ms, "nbf")
	switch {
	case err != nil:
		return time.Time{}, err
	case begins.After(now.Add(skew)):
		return time.Time{}, invalid(NotYet)
	}
	_, err = date(ms, "iat")
	return expires, err
}

// lastDate is the last second of the year 9999, in seconds since 1970: the last date that RFC 3339 has.
const lastDate = 253402300799

// date returns the date that a claim is (RFC 7519, section 2, NumericDate), and the zero time where
// there is none.
func date(ms members, name string) (time.Time, error) {
	raw, ok, err := ms.get(name)
	if err != nil || !ok {
		return time.Time{}, err
	}
	if jsontext.Value(raw).Kind() != '0' {
		return time.Time{}, invalid(name + " is not a number")
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds > lastDate {
		return time.Time{}, invalid(name + " is no date")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// checkParties checks iss and aud (RFC 7519, sections 4.1.1 and 4.1.3). Their form counts even where
// the issuer asks for no value.
func (i *issuer) checkParties(ms members) error {
	if _, _, err := ms.text("iss"); err != nil {
		return err
	}
	raw, ok, err := ms.get("aud")
	if err != nil {
		return err
	}
	audience, isList := texts(raw)
	if one, isText := text(raw); isText {
		audience = []string{one}
	} else if ok && !isList {
		return invalid("aud is not of its form")
	}
	if i.Audience != "" && !slices.Contains(audience, i.Audience) {
		return invalid(WrongAudience)
	}
	return nil
}

// subject returns sub, which becomes a part of channel names, log lines and pages.
func subject(ms members) (string, error) {
	sub, ok, err := ms.text("sub")
	switch {
	case err != nil || !ok:
		return "", err
	case sub == "" || len(sub) > maxSubject || !utf8.ValidString(sub):
		return "", invalid("sub is empty or too long")
	}
	for _, r := range sub {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return "", invalid("sub has a control or format character")
		}
	}
	return sub, nil
}

// readGrants reads the claim that has the grants: an object of subscribe, publish and info.
func (c *Claims) readGrants(ms members, claim string) error {
	raw, ok, err := ms.get(claim)
	if err != nil || !ok {
		return err
	}
	if jsontext.Value(raw).Kind() != '{' {
		return invalid("the grants are not an object")
	}
	grants, err := readMembers(raw)
	if err != nil {
		return err
	}
	for _, m := range grants {
		if err := c.readGrant(m); err != nil {
			return err
		}
	}
	if len(c.Subscribe)+len(c.Publish) > maxPatterns {
		return invalid("more than 100 patterns")
	}
	return nil
}

func (c *Claims) readGrant(m member) error {
	ok := true
	switch m.name {
	case "subscribe":
		c.Subscribe, ok = texts(m.value)
	case "publish":
		c.Publish, ok = texts(m.value)
	case "info":
		if len(m.value) > maxInfo {
			return invalid("info is longer than 1 KiB")
		}
		c.Info = slices.Clone(m.value)
	default:
		return invalid("an unknown member in the grants")
	}
	if !ok {
		return invalid(m.name + " is not a list of strings")
	}
	return nil
}
