package waysin_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
)

// leastSecret is the length of what is looked for: less may stand anywhere by chance.
const leastSecret = 20

// formsOf returns the texts by which a credential, or a part of a token, would be given away: as it is,
// escaped, in hexadecimal, and in base64 of both kinds wherever it stands in what was encoded.
func formsOf(credential string) []string {
	var forms []string
	for _, part := range append(strings.Split(credential, "."), credential) {
		if len(part) >= leastSecret && len(part) <= 4<<10 {
			forms = append(forms, part, url.QueryEscape(part), hex.EncodeToString([]byte(part)))
			forms = append(forms, inBase64(part)...)
		}
	}
	return forms
}

// inBase64 returns what of a text in base64 does not depend on what is ahead of it and behind.
func inBase64(text string) []string {
	var forms []string
	for ahead := range 3 {
		padded := []byte(strings.Repeat("x", ahead) + text)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(padded)
			forms = append(forms, encoded[4:len(encoded)-4])
		}
	}
	return forms
}

// leakOf returns a form of a credential that is in a text.
func leakOf(credential, text string) (form string, leaks bool) {
	for _, form := range formsOf(credential) {
		if strings.Contains(text, form) {
			return form, true
		}
	}
	return "", false
}
