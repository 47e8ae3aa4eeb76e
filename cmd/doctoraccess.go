package cmd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/config"
)

// diagnoseAccess says what is doubtful about who may do what: in the file, and in a token.
func (c *doctorCommand) diagnoseAccess(ctx context.Context, kctx *kong.Context) []broker.Finding {
	var findings []broker.Finding
	var file config.Config
	if c.Config != "" {
		var warnings []config.Diagnostic
		var err error
		file, warnings, err = config.Load(c.Config, fileOptions(serveNode(kctx.Model)))
		findings = aboutFile(c.Config, file, warnings, err)
		if err != nil {
			return findings
		}
		if _, err := servable(ctx, c.Config, file); err != nil {
			return append(findings, accessFinding(broker.SeverityFailure, "config", plainly(err)+"."))
		}
	}
	if c.TokenFile != "" {
		findings = append(findings, c.diagnoseToken(ctx, file)...)
	}
	return findings
}

func aboutFile(path string, file config.Config, warnings []config.Diagnostic, err error) []broker.Finding {
	var findings []broker.Finding
	var faults *config.Error
	switch {
	case errors.As(err, &faults):
		for _, line := range faults.Lines() {
			findings = append(findings, accessFinding(broker.SeverityFailure, "config", line+"."))
		}
	case err != nil:
		findings = append(findings, accessFinding(broker.SeverityFailure, "config", sentence(err)))
	default:
		findings = append(findings, accessFinding(broker.SeverityOK, "config", path+": "+summary(file)+"."))
	}
	for _, w := range warnings {
		findings = append(findings, accessFinding(broker.SeverityWarning, "config", path+": "+w.String()+"."))
	}
	return findings
}

func accessFinding(severity broker.Severity, subject, detail string) broker.Finding {
	return broker.Finding{Severity: severity, Subject: subject, Detail: detail}
}

// diagnoseToken says what is doubtful about a key or token.
func (c *doctorCommand) diagnoseToken(ctx context.Context, file config.Config) []broker.Finding {
	credential, err := clientFlags{TokenFile: c.TokenFile}.credential()
	if err != nil {
		return []broker.Finding{accessFinding(broker.SeverityFailure, "token", sentence(err))}
	}
	var findings []broker.Finding
	if c.Config != "" {
		findings = append(findings, aboutCredential(ctx, file, credential))
	} else {
		findings = append(findings, describeCredential(credential, time.Now()))
	}
	if sub := claimsOf(credential).Sub; strings.ContainsAny(sub, ".:/") {
		f := accessFinding(broker.SeverityWarning, "token", "The subject has a separator of channel names (. : /), as email addresses do: {sub} stands for one segment, so no such channel is this user's.")
		f.Advice = "Use an ID without them, which should also be nothing personal: names of channels are seen in logs and metrics."
		findings = append(findings, f)
	}
	return findings
}

// aboutCredential says whether a server with the file would take a credential.
func aboutCredential(ctx context.Context, file config.Config, credential string) broker.Finding {
	a, done, err := admissionOf(file)
	if err != nil {
		return accessFinding(broker.SeverityFailure, "token", sentence(errors.New(config.Plain(err))))
	}
	defer done()
	caller, err := a.policy.Authenticate(ctx, credential, true)
	if err != nil {
		return accessFinding(broker.SeverityFailure, "token", sentence(errors.New(config.Plain(err))))
	}
	return accessFinding(broker.SeverityOK, "token", "It is good: "+describeCaller(caller.Identity())+".")
}

// describeCredential says what a credential is by its form, as without a configuration it is not
// known what it is worth.
func describeCredential(credential string, now time.Time) broker.Finding {
	const needsConfig = "With --config pregon.yaml it is said whether a server takes it, too."
	f := accessFinding(broker.SeverityOK, "token", "It has the form of a key.")
	f.Advice = needsConfig
	if strings.HasPrefix(credential, "eyJ") {
		f.Severity, f.Detail = describeToken(claimsOf(credential), now)
	} else if _, err := access.DigestOf(credential); err != nil {
		f.Severity, f.Detail = broker.SeverityFailure, sentence(errors.New(aboutKey(err)))
	}
	return f
}

func describeToken(c claims, now time.Time) (broker.Severity, string) {
	of := "a token without a subject"
	if c.Sub != "" {
		of = fmt.Sprintf("a token of %q", c.Sub)
	}
	switch expires := time.Unix(int64(c.Exp), 0).UTC().Format(time.RFC3339); {
	case !c.read:
		return broker.SeverityFailure, "It begins as a token does, but cannot be read."
	case c.Exp == 0:
		return broker.SeverityWarning, "It is " + of + " and never expires, which most servers refuse."
	case int64(c.Exp) <= now.Unix():
		return broker.SeverityFailure, "It is " + of + " and has expired, at " + expires + "."
	default:
		return broker.SeverityOK, "It is " + of + " and expires at " + expires + "."
	}
}

// claims are what a token, which is not verified, says of itself.
type claims struct {
	Sub  string  `json:"sub"`
	Exp  float64 `json:"exp"` // in seconds, which may have fractions (RFC 7519, section 2)
	read bool
}

// claimsOf reads a token; of what is none the claims are not read.
func claimsOf(credential string) claims {
	parts := strings.Split(credential, ".")
	if len(parts) != 3 {
		return claims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}
	}
	c.read = true
	return c
}

// withRules returns findings where rules say who may publish: what lets others publish past
// them is worse then.
func withRules(findings []broker.Finding) []broker.Finding {
	for i := range findings {
		if findings[i].Subject == "password" && findings[i].Advice != "" {
			findings[i].Severity = broker.SeverityWarning
		}
	}
	return findings
}
