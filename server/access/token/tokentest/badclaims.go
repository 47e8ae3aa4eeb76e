package tokentest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (k *Kit) badDates() []Bad {
	in := func(d time.Duration) string { return fmt.Sprint(k.Now.Add(d).Unix()) }
	c := k.Claims()
	return slices.Concat(
		k.signed("no exp", map[string]Object{"no exp": c.Without("exp")}),
		k.signed("expired", map[string]Object{
			"expired an hour ago":  c.With("exp", in(-time.Hour)),
			"expired a second ago": c.With("exp", in(-time.Second)),
			"expires now":          c.With("exp", in(0)),
			"expired in 1970":      c.With("exp", "0"),
		}),
		k.signed("exp is too far away", map[string]Object{
			"expires in a day and a minute": c.With("exp", in(24*time.Hour+time.Minute)),
			"expires in the year 9999":      c.With("exp", "253402300799"),
		}),
		k.signed("exp is no date", map[string]Object{
			"exp 1e400":           c.With("exp", "1e400"),
			"exp -1e400":          c.With("exp", "-1e400"),
			"exp 1e300":           c.With("exp", "1e300"),
			"exp in milliseconds": c.With("exp", fmt.Sprint(k.Now.Add(time.Hour).UnixMilli())),
			"exp negative":        c.With("exp", "-1"),
			"exp 2^63":            c.With("exp", "9223372036854775808"),
			"exp wraps":           c.With("exp", "18446744073709551616"),
		}),
		k.signed("exp is not a number", map[string]Object{
			"exp is null":      c.With("exp", "null"),
			"exp is a string":  c.With("exp", Text(in(time.Hour))),
			"exp is \"NaN\"":   c.With("exp", `"NaN"`),
			"exp is \"never\"": c.With("exp", `"never"`),
			"exp is true":      c.With("exp", "true"),
			"exp is a list":    c.With("exp", "["+in(time.Hour)+"]"),
		}),
		k.signed("not valid yet", map[string]Object{
			"nbf in a minute": c.And("nbf", in(time.Minute)),
			"nbf in a year":   c.And("nbf", in(365*24*time.Hour)),
		}),
		k.signed("nbf is not a number", map[string]Object{"nbf is a string": c.And("nbf", `"0"`), "nbf is null": c.And("nbf", "null")}),
		k.signed("nbf is no date", map[string]Object{"nbf 1e400": c.And("nbf", "1e400"), "nbf negative": c.And("nbf", "-1")}),
		k.signed("iat is not a number", map[string]Object{"iat is a string": c.And("iat", `"0"`)}),
		k.signed("iat is no date", map[string]Object{"iat -1e400": c.And("iat", "-1e400")}),
	)
}

func (k *Kit) badParties() []Bad {
	c := k.Claims()
	return slices.Concat(
		k.signed("no issuer has such a key", map[string]Object{
			"another issuer":         c.With("iss", `"https://evil.example"`),
			"no issuer":              c.Without("iss"),
			"issuer in another case": c.With("iss", Text(strings.ToUpper(Issuer))),
			"issuer with a slash":    c.With("iss", Text(Issuer+"/")),
			"issuer is a list":       c.With("iss", "["+Text(Issuer)+"]"),
			"issuer is null":         c.With("iss", "null"),
		}),
		k.signed("wrong audience", map[string]Object{
			"another audience":           c.With("aud", `"other"`),
			"no audience":                c.Without("aud"),
			"audience in another case":   c.With("aud", `"PREGON"`),
			"audience begins so":         c.With("aud", `"pregon.example"`),
			"other audiences":            c.With("aud", `["a","b"]`),
			"an empty list of audiences": c.With("aud", `[]`),
		}),
		k.signed("aud is not of its form", map[string]Object{
			"audience is a number":        c.With("aud", "1"),
			"audience is null":            c.With("aud", "null"),
			"audience is an object":       c.With("aud", `{"pregon":true}`),
			"audiences with one a number": c.With("aud", `["pregon",1]`),
			"audiences with one a list":   c.With("aud", `["pregon",["pregon"]]`),
		}),
	)
}

func (k *Kit) badSubject() []Bad {
	c := k.Claims()
	return slices.Concat(
		k.signed("sub is not a string", map[string]Object{
			"sub is a number":  c.With("sub", "1"),
			"sub is null":      c.With("sub", "null"),
			"sub is a list":    c.With("sub", `["u1"]`),
			"sub is an object": c.With("sub", `{"id":"u1"}`),
			"sub is true":      c.With("sub", "true"),
		}),
		k.signed("sub is empty or too long", map[string]Object{
			"sub is empty":                     c.With("sub", `""`),
			"sub has 256 bytes":                c.With("sub", Text(strings.Repeat("a", 256))),
			"sub has 256 bytes of 128 letters": c.With("sub", `"`+strings.Repeat("ñ", 128)+`"`),
		}),
		k.signed("sub has a control or format character", map[string]Object{
			"sub with NUL":                 c.With("sub", `"u1\u0000"`),
			"sub with a newline":           c.With("sub", `"u1\nu2"`),
			"sub with DEL":                 c.With("sub", `"u1\u007f"`),
			"sub with a C1 control":        c.With("sub", `"u1\u0085"`),
			"sub written from the right":   c.With("sub", `"\u202eu1"`),
			"sub with a zero-width space":  c.With("sub", `"u\u200b1"`),
			"sub with a zero-width joiner": c.With("sub", `"u\u200d1"`),
			"sub with a line separator":    c.With("sub", `"u1\u2028"`),
			"sub with a byte order mark":   c.With("sub", `"\ufeffu1"`),
			"sub with a tag":               c.With("sub", `"u1\udb40\udc41"`),
		}),
	)
}

func (k *Kit) badGrants() []Bad {
	c := k.Claims()
	patterns := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + "]" }
	return slices.Concat(
		k.signed("the grants are not an object", map[string]Object{
			"grants are null":     c.With("pregon", "null"),
			"grants are a string": c.With("pregon", `"**"`),
			"grants are a list":   c.With("pregon", `["**"]`),
			"grants are true":     c.With("pregon", "true"),
		}),
		k.signed("a member comes twice", map[string]Object{
			"subscribe twice":          c.With("pregon", `{"subscribe":["a"],"subscribe":["**"]}`),
			"subscribe and Subscribe":  c.With("pregon", `{"subscribe":["a"],"Subscribe":["**"]}`),
			"info with a member twice": c.With("pregon", `{"info":{"a":1,"a":2}}`),
		}),
		k.signed("an unknown member in the grants", map[string]Object{
			"Subscribe alone":       c.With("pregon", `{"Subscribe":["**"]}`),
			"another member":        c.With("pregon", `{"subscribe":["**"],"admin":true}`),
			"publish, mistyped":     c.With("pregon", `{"publich":["**"]}`),
			"a member with no name": c.With("pregon", `{"":["**"]}`),
		}),
		k.signed("subscribe is not a list of strings", map[string]Object{
			"subscribe is a string":  c.With("pregon", `{"subscribe":"**"}`),
			"subscribe is null":      c.With("pregon", `{"subscribe":null}`),
			"subscribe is true":      c.With("pregon", `{"subscribe":true}`),
			"subscribe has a number": c.With("pregon", `{"subscribe":["**",1]}`),
			"subscribe has null":     c.With("pregon", `{"subscribe":[null]}`),
			"subscribe has a list":   c.With("pregon", `{"subscribe":[["**"]]}`),
			"subscribe is an object": c.With("pregon", `{"subscribe":{"**":true}}`),
		}),
		k.signed("publish is not a list of strings", map[string]Object{
			"publish is a string":   c.With("pregon", `{"publish":"**"}`),
			"publish has an object": c.With("pregon", `{"publish":["**",{}]}`),
		}),
		k.signed("more than 100 patterns", map[string]Object{
			"101 patterns to subscribe": c.With("pregon", `{"subscribe":`+patterns(101)+`}`),
			"101 patterns together":     c.With("pregon", `{"subscribe":`+patterns(60)+`,"publish":`+patterns(41)+`}`),
		}),
		k.signed("info is longer than 1 KiB", map[string]Object{
			"info of 1,025 bytes": c.With("pregon", `{"info":"`+strings.Repeat("a", 1023)+`"}`),
		}),
	)
}
