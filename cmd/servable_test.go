package cmd_test

import (
	"strings"
	"testing"
)

// check refuses what serve would refuse, with the place, and does not refuse what serve takes.
func TestCheckIsAsStrictAsServe(t *testing.T) {
	for text, says := range map[string]string{
		"compress: true\nping-interval: 60s\n": "line 2, column 16: --pong-timeout: must be more than --ping-interval",
		"tls-cert: a.pem\n":                    "line 1, column 11: --tls-cert and --tls-key: give both or neither",
		"tls-key: a.pem\ntls-cert: a.pem\n":    "line 2, column 11: load --tls-cert and --tls-key",
		"max-message: 10\n":                    "line 1, column 14: --max-message: must be at least",
		"history: 1ms\n":                       "line 1, column 10: --history: must be 0, or",
		"write-timeout: 0s\n":                  "line 1, column 16: --write-timeout: must be at least",
		"broker: nope://s3cret\n":              "line 1, column 9: --broker: ",
		"broker: forgetful://\nhistory: 5m\n":  "line 2, column 10: --history: brokers of forgetful:// keep no history",
		"max-connections: -1\n":                "line 1, column 18: --max-connections: must not be negative",
	} {
		file := written(t, "pregon.yaml", text)
		for _, args := range [][]string{{"check", file}, {"doctor", "--broker", "memory://", "--config", file}} {
			code, stdout, stderr := run(t, "", args...)
			want := map[string]int{"check": 2, "doctor": 1}[args[0]]
			if code != want || !strings.Contains(stdout+stderr, file+": "+says) || strings.Contains(stdout+stderr, "s3cret") {
				t.Errorf("%s of %q: exit %d, %q %q; want %q", args[0], text, code, stdout, stderr, says)
			}
		}
		if code, _, _ := run(t, "", "--config", file, "--listen", "localhost:0"); code == 0 {
			t.Errorf("serve takes %q", text)
		}
	}
	const rule = "rules:\n- {channels: [a], history: {for: 1m}}\n"
	t.Setenv("PREGON_PING_INTERVAL", "60s") // of another process than the server
	for text, warns := range map[string]string{
		"ping-interval: 60s\npong-timeout: 130s\nrules: []\n": "",
		"broker: redis://h\nrules: []\n":                      "",
		"history: 5m\n" + rule:                                "",
		"broker: memory://?history=5m\n" + rule:               "",
		rule:                                                  "warning: line 2: the rule has a history, and the server keeps none: give --history, too",
		"broker: even://\n" + rule:                            "warning: line 3: the rule has a history of its own",
		"slow-clients: catch-up\n":                            "warning: line 1, column 15: --slow-clients: catch-up needs --history",
	} {
		code, stdout, stderr := run(t, "", "check", written(t, "pregon.yaml", text))
		if code != 0 || !strings.Contains(stdout, warns) || strings.Contains(stdout, "warning") != (warns != "") {
			t.Errorf("%q: exit %d, %q %q; want %q", text, code, stdout, stderr, warns)
		}
	}
}
