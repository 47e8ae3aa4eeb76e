package cmd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/broker"
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
	}
	if sub := subjectOf(credential); strings.ContainsAny(sub, ".:/") {
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

// subjectOf returns what a token, which is not verified, says of its subject.
func subjectOf(credential string) string {
	parts := strings.Split(credential, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Sub string `json:"sub"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Sub
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
