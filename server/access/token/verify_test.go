package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// now is the time of tests whose clock stands.
var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func newVerifier(t testing.TB, at time.Time, issuers ...token.Issuer) *token.Verifier {
	t.Helper()
	v, err := token.New(issuers, token.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refused checks that v refuses raw for a reason, and that the error has nothing of it.
func refused(t *testing.T, v *token.Verifier, raw, reason string) {
	t.Helper()
	c, err := v.Verify(t.Context(), raw)
	var refusal *token.InvalidError
	if !errors.Is(err, token.ErrInvalid) || !errors.As(err, &refusal) || refusal.Reason != reason {
		t.Errorf("claims %+v, error %v; want the reason %q", c, err, reason)
		return
	}
	if !cmp.Equal(c, token.Claims{}) {
		t.Errorf("refused with claims %+v", c)
	}
}

// Each token of the table is refused for what is wrong with it, and for nothing else.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now, kit.Issuers()...)
	bad := kit.Bad()
	if len(bad) < 45 {
		t.Errorf("only %d bad tokens", len(bad))
	}
	names := map[string]bool{}
	for _, b := range bad {
		if names[b.Name] {
			t.Errorf("two are named %q", b.Name)
		}
		names[b.Name] = true
		t.Run(b.Name, func(t *testing.T) { refused(t, v, b.Raw, b.Reason) })
	}
}

// A good token of every algorithm is accepted, and by the issuer alone that has its key; what it says is
// told in full.
func TestEveryAlgorithm(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	issuers := kit.Issuers()
	keys := map[string]any{}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		keys[alg] = kit.Secret
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		keys[alg] = kit.Private
	}
	add := func(alg string, private, public any) {
		keys[alg] = private
		issuers = append(issuers, token.Issuer{PublicKeys: tokentest.PublicPEM(public), Line: len(issuers) + 1})
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		k := newECDSA(t, curve)
		add(alg, k, &k.PublicKey)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	add("EdDSA", private, public)

	v := newVerifier(t, now, issuers...)
	claims := kit.Claims().With("pregon", `{"subscribe":["room.*","a.**"],"publish":[],"info":{"name":"Iñigo"}}`)
	for alg, key := range keys {
		t.Run(alg, func(t *testing.T) {
			got, err := v.Verify(t.Context(), tokentest.Sign(alg, key, tokentest.Header(alg), claims.String()))
			if err != nil {
				t.Fatal(err)
			}
			want := token.Claims{
				Subject: "u1", Expires: now.Add(time.Hour), Subscribe: []string{"room.*", "a.**"}, Publish: []string{},
				Info: json.RawMessage(`{"name":"Iñigo"}`), Line: got.Line, Issuer: got.Issuer, ID: got.ID,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			for _, i := range issuers {
				if i.Line == got.Line {
					return
				}
			}
			t.Errorf("line %d is of no issuer", got.Line)
		})
	}
}

func newECDSA(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The curve of a key decides its algorithm (RFC 7518, section 3.4): ES512 with a key on P-256 would be
// another way to say what is signed.
func TestCurveDecides(t *testing.T) {
	t.Parallel()
	k := newECDSA(t, elliptic.P256())
	v := newVerifier(t, now, token.Issuer{PublicKeys: tokentest.PublicPEM(&k.PublicKey)})
	claims := tokentest.NewKit(now).Claims().String()
	good := tokentest.Sign("ES256", k, tokentest.Header("ES256"), claims)
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Error("ES256 with P-256:", err)
	}
	for _, alg := range []string{"ES384", "ES512", "RS256", "EdDSA", "HS256"} {
		refused(t, v, tokentest.Sign("ES256", k, tokentest.Header(alg), claims), "no issuer has such a key")
	}
}

// What a token may have and need not, and the last value that counts of all that has a bound.
func TestGoodTokens(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now, kit.Issuers()...)
	c := kit.Claims()
	in := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + "]" }
	for name, claims := range map[string]tokentest.Object{
		"without a subject":              c.Without("sub"),
		"without grants":                 c.Without("pregon"),
		"empty grants":                   c.With("pregon", "{}"),
		"255 bytes of subject":           c.With("sub", tokentest.Text(strings.Repeat("a", 255))),
		"a subject in Spanish":           c.With("sub", `"Iñaki Núñez"`),
		"a subject in escapes":           c.With("sub", `"\u0049\ud83d\ude00"`),
		"one of several audiences":       c.With("aud", `["other","pregon"]`),
		"expires in a day":               c.With("exp", in(24*time.Hour)),
		"a clock that is ahead":          c.With("exp", in(24*time.Hour+5*time.Second)).And("nbf", in(5*time.Second)).And("iat", in(5*time.Second)),
		"expires in half a second":       c.With("exp", in(0)+".5"),
		"exp with an exponent":           c.With("exp", "1.7958204e9"),
		"not before now":                 c.And("nbf", in(0)),
		"issued in the future":           c.And("iat", in(time.Hour)),
		"100 patterns":                   c.With("pregon", `{"subscribe":`+list(50)+`,"publish":`+list(50)+`}`),
		"1 KiB of info":                  c.With("pregon", `{"info":"`+strings.Repeat("a", 1022)+`"}`),
		"info is null":                   c.With("pregon", `{"info":null}`),
		"claims of others":               c.And("email", `"a@b"`).And("jti", `"x"`).And("Pregon2", "[1,{}]"),
		"a member twice, in two objects": c.And("a", `{"x":1,"y":{"x":2}}`),
		"a member in two cases, below":   c.And("a", `{"x":1,"X":2}`),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), kit.HS256(claims)); err != nil {
				t.Error(err)
			}
		})
	}
	for name, header := range map[string]string{
		"spaces":          ` { "alg" : "HS256" } `,
		"a kid":           `{"alg":"HS256","kid":"any"}`,
		"a typ":           `{"alg":"HS256","typ":"at+jwt"}`,
		"a thumbprint":    `{"alg":"HS256","x5t":"abc"}`,
		"members of ours": `{"alg":"HS256","sub":"u2","SUB2":1}`,
	} {
		t.Run("header with "+name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), tokentest.Sign("HS256", kit.Secret, header, c.String())); err != nil {
				t.Error(err)
			}
		})
	}
}

// A token counts until exp and not at exp, and without leeway.
func TestExpiry(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	at := now
	v, err := token.New(kit.Issuers(), token.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	raw := kit.RS256(kit.Claims())
	at = now.Add(time.Hour - time.Nanosecond)
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Error("just before exp:", err)
	}
	at = now.Add(time.Hour)
	refused(t, v, raw, "expired")
}

// Only where the issuer's tokens need not expire, exp may be absent or far away; one that is there counts.
func TestNeverExpires(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now, token.Issuer{Secret: kit.Secret, NeverExpires: true})
	c, err := v.Verify(t.Context(), kit.HS256(kit.Claims().Without("exp")))
	if err != nil || !c.Expires.IsZero() {
		t.Error("without exp:", c.Expires, err)
	}
	c, err = v.Verify(t.Context(), kit.HS256(kit.Claims().With("exp", "253402300799")))
	if err != nil || c.Expires.Year() != 9999 {
		t.Error("in the year 9999:", c.Expires, err)
	}
	refused(t, v, kit.HS256(kit.Claims().With("exp", fmt.Sprint(now.Unix()-1))), "expired")
	refused(t, v, kit.HS256(kit.Claims().With("exp", "null")), "exp is not a number")
}

// An issuer's own maximum age and claim count for its tokens and for no others.
func TestSettingsOfAnIssuer(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now,
		token.Issuer{Secret: kit.Secret, Line: 3, MaxAge: time.Minute, Claim: "https://example.com/grants"},
		token.Issuer{PublicKeys: kit.PublicPEM(), Line: 4})
	minute := kit.Claims().With("exp", fmt.Sprint(now.Add(time.Minute).Unix())).And("https://example.com/grants", `{"publish":["own"]}`)
	for line, raw := range map[int]string{3: kit.HS256(minute), 4: kit.RS256(minute)} {
		c, err := v.Verify(t.Context(), raw)
		if err != nil || c.Line != line {
			t.Fatal("line", line, c, err)
		}
		if own := cmp.Equal(c.Publish, []string{"own"}); own != (line == 3) {
			t.Errorf("line %d grants %q", line, c.Publish)
		}
	}
	refused(t, v, kit.HS256(kit.Claims()), "exp is too far away")
	if _, err := v.Verify(t.Context(), kit.RS256(kit.Claims())); err != nil {
		t.Error(err)
	}
}

// Of several issuers each is tried that fits, so that a secret can be replaced, or be used for two
// audiences. The reason is the one of the issuer that signed.
func TestSeveralIssuers(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	old := []byte("the secret of last week, 32 bytes or more")
	v := newVerifier(t, now,
		token.Issuer{Secret: old, Line: 1},
		token.Issuer{Secret: kit.Secret, Audience: "a", Line: 2},
		token.Issuer{Secret: kit.Secret, Audience: "b", Line: 3},
		token.Issuer{Secret: kit.Secret, Issuer: "other", Line: 4},
		token.Issuer{Secret: old, Line: 5})
	for aud, line := range map[string]int{`"a"`: 2, `"b"`: 3} {
		if c, err := v.Verify(t.Context(), kit.HS256(kit.Claims().With("aud", aud))); err != nil || c.Line != line {
			t.Error(aud, c.Line, err)
		}
	}
	raw := kit.HS256(kit.Claims().With("aud", `"c"`))
	refused(t, v, raw, "wrong audience")
	var refusal *token.InvalidError
	if _, err := v.Verify(t.Context(), raw); !errors.As(err, &refusal) || refusal.Line != 3 {
		t.Error("line", refusal.Line, err)
	}
	refused(t, newVerifier(t, now), kit.HS256(kit.Claims()), "no issuer has such a key")
}

// An error has nothing of the token, as it goes into the log.
func TestErrorsHaveNothingOfTheToken(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now, kit.Issuers()...)
	const canary = "canary"
	for _, raw := range []string{
		canary, canary + "." + canary + "." + canary,
		kit.HS256(kit.Claims().With("sub", `"`+canary+`\u0000"`)),
		kit.HS256(kit.Claims().With("pregon", `{"`+canary+`":1}`)),
		kit.HS256(kit.Claims().With("iss", `"`+canary+`"`)),
		kit.HS256(kit.Claims().With("exp", `"`+canary+`"`)),
		kit.HS256(kit.Claims().And("a", canary)),
		tokentest.Sign("HS256", kit.Secret, `{"alg":"`+canary+`"}`, "{}"),
		tokentest.Sign("HS256", kit.Secret, `{"alg":"HS256","kid":{"`+canary+`":1}}`, "{}"),
	} {
		if _, err := v.Verify(t.Context(), raw); err == nil || strings.Contains(err.Error(), canary) {
			t.Error(err)
		}
	}
}
