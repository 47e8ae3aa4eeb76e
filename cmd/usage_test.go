package cmd_test

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// firstLine returns the first line of a text, without its end.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// The command line answers to what somebody types with the exit code that is documented, and with one
// line that names flag and value and says what would be right.
func TestCommandLine(t *testing.T) {
	const (
		needsHostPort = "write HOST:PORT, such as localhost:8000, or :8000 for all addresses of the machine (see pregon serve --help)"
		needsPort     = "the port must be a number from 0 to 65535 (see pregon serve --help)"
	)
	for _, c := range []struct {
		args string // words between spaces; _ is an empty one
		code int
		says string
	}{
		{"--version", 0, ""},
		{"-v", 0, ""},
		{"-V", 0, ""},
		{"version", 0, ""},
		{"sub chat --version", 0, ""},
		{"help", 0, ""},
		{"help sub", 0, ""},
		{"help help", 0, ""},
		{"--listen _ --help", 0, ""},
		{"help nope", 2, "unknown command or unexpected argument nope (see pregon --help)"},
		{"help sub pub", 0, ""}, // the help of sub, to whose channels that goes
		{"nope", 2, "unknown command or unexpected argument nope (see pregon --help)"},
		{"pubb chat hola", 2, "unknown command pubb: did you mean pub? (see pregon --help)"},
		{"publish chat hola", 2, "unknown command publish: did you mean pub? (see pregon --help)"},
		{"subscribe chat", 2, "unknown command subscribe: did you mean sub? (see pregon --help)"},
		{"serve nope", 2, "unexpected argument nope (see pregon serve --help)"},
		{"pub chat hola mundo", 2, "unexpected argument mundo (see pregon pub --help)"},
		{"pub chat", 2, "missing: <message> (see pregon pub --help)"},
		{"sub", 2, "missing: <channel> ... (see pregon sub --help)"},
		{"--port 80", 2, "unknown flag --port: did you mean --listen? (see pregon serve --help)"},
		{"-p 80", 2, "unknown flag -p: did you mean --listen? (see pregon serve --help)"},
		{"-listen :80", 2, "unknown flag -listen: did you mean --listen? (see pregon serve --help)"},
		{"--lisen=:80", 2, "unknown flag --lisen: did you mean --listen? (see pregon serve --help)"},
		{"--LISTEN=:80", 2, "unknown flag --LISTEN: did you mean --listen? (see pregon serve --help)"},
		{"--max-conn 5", 2, "unknown flag --max-conn: did you mean --max-connections? (see pregon serve --help)"},
		{"--frobnicate", 2, "unknown flag --frobnicate (see pregon serve --help)"},
		{"--rate 5", 2, "unknown flag --rate of pregon serve: it is one of bench, behind that name (see pregon serve --help)"},
		{"--url http://h sub chat", 2, "unknown flag --url of pregon serve: it is one of pub, sub, members, bench, doctor, healthcheck, behind that name (see pregon serve --help)"},
		{"--listen :80 sub chat", 2, "--listen is a flag of pregon serve, and not of pregon sub (see pregon serve --help)"},
		{"sub chat --host h", 2, "unknown flag --host: did you mean --url? (see pregon sub --help)"},
		{"sub chat --token x", 2, "unknown flag --token: did you mean --token-file? (see pregon sub --help)"},
		{"sub chat --insecure", 2, "unknown flag --insecure: did you mean --ca? (see pregon sub --help)"},
		{"--listen", 2, "--listen: the value is missing: --listen=HOST:PORT (see pregon serve --help)"},
		{"--listen --open", 2, "--listen: the value is missing: --listen=HOST:PORT (see pregon serve --help)"},
		{"--listen _", 2, "--listen '': " + needsHostPort},
		{"--listen localhost", 2, "--listen localhost: " + needsHostPort},
		{"--listen=::1:80", 2, "--listen=::1:80: " + needsHostPort},
		{"--listen http://localhost:80", 2, "--listen http://localhost:80: " + needsHostPort},
		{"--listen 8000", 2, "--listen 8000: a port alone is written :8000 (see pregon serve --help)"},
		{"--listen 99999", 2, "--listen 99999: " + needsPort},
		{"--listen :99999", 2, "--listen :99999: " + needsPort},
		{"--listen localhost:-1", 2, "--listen localhost:-1: " + needsPort},
		{"--history -1m", 2, "--history=-1m: must be 0, or from 1s to 720h (see pregon serve --help)"},
		{"--history 10", 2, "--history 10: must be a time such as 10s (see pregon serve --help)"},
		{"--history 1m --history 9999h", 2, "--history 9999h: must be 0, or from 1s to 720h (see pregon serve --help)"},
		{"--ping-interval 60s", 2, "--pong-timeout: must be more than --ping-interval (see pregon serve --help)"},
		{"--max-message 10MB", 2, `--max-message 10MB: write a number of bytes, or one with KiB, MiB or GiB, such as 64KiB (see pregon serve --help)`},
		{"--max-connections -1", 2, "--max-connections=-1: must not be negative (see pregon serve --help)"},
		{"--max-connections many", 2, "--max-connections many: must be a whole number (see pregon serve --help)"},
		{"--log-level loud", 2, "--log-level loud: must be one of debug, info, warn and error (see pregon serve --help)"},
		{"--log-format xml", 2, "--log-format xml: must be one of text, json (see pregon serve --help)"},
		{"--open=maybe", 2, "--open=maybe: must be true or false (see pregon serve --help)"},
		{"--publish-key s3cret", 2, "--publish-key: every user of the machine sees a key on the command line; write @FILE, the file that has it (see pregon serve --help)"},
		{"sub chat --last 0", 2, "--last 0: must be from 1 to 1000 (see pregon sub --help)"},
		{"sub chat --last -1", 2, "--last=-1: must be from 1 to 1000 (see pregon sub --help)"},
		{"sub chat --last 2000", 2, "--last 2000: must be from 1 to 1000 (see pregon sub --help)"},
		{"sub chat --url h:1", 2, "--url h:1: write http://host:port or https://host:port (see pregon sub --help)"},
		{"sub chat --url redis://:s3cret@h", 2, "--url redis://xxxxx@h: write http://host:port or https://host:port (see pregon sub --help)"},
		{"bench --rate fast", 2, "--rate fast: must be a number (see pregon bench --help)"},
		{"redis://:s3cret@h", 2, "unknown command or unexpected argument redis://xxxxx@h (see pregon --help)"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(c.args)
			for i := range args {
				args[i] = strings.TrimPrefix(args[i], "_")
			}
			code, stdout, stderr := run(t, "", args...)
			want := c.says
			if want != "" {
				want = "pregon: " + want
			}
			if code != c.code || firstLine(stderr) != want || strings.Contains(stdout+stderr, "s3cret") {
				t.Errorf("exit %d, %q; want %d and %q", code, stderr, c.code, want)
			}
			if (stdout != "") != (code == 0) {
				t.Errorf("exit %d, and printed %q", code, stdout)
			}
		})
	}
}

// A flag that is given without a text, as where a variable of the shell is not set, does not mean the
// same as none: with it something else would be promised.
func TestMistakesEmptyValues(t *testing.T) {
	for _, c := range []struct{ args, would string }{
		{"pub chat hola --key _", "--key=KEY"},
		{"pub chat hola --token-file _", "--token-file=FILE"},
		{"pub chat hola --ca _", "--ca=FILE"},
		{"members chat --token-file _", "--token-file=FILE"},
		{"bench --html _", "--html=FILE"},
		{"check testdata/nothing.yaml --channel c --token-file _", "--token-file=FILE"},
		{"token --jwt-key testdata/nothing --sub _", "--sub=SUBJECT"},
		{"token --jwt-key testdata/nothing --audience _", "--audience=AUD"},
		{"token --jwt-key testdata/nothing --info _", "--info=JSON"},
		{"doctor --config _", "--config=FILE"},
		{"--broker nothing --config _", "--config=FILE"},
		{"serve --broker nothing --publish-key _", "--publish-key=@FILE"},
		{"serve --broker nothing --jwt-key _", "--jwt-key=FILE"},
		{"serve --broker nothing --jwks _", "--jwks=URL"},
		{"serve --broker nothing --jwt-key testdata/nothing --issuer _", "--issuer=ISS"},
		{"serve --broker nothing --jwt-key testdata/nothing --audience _", "--audience=AUD"},
		{"serve --broker nothing --admin _", "--admin=HOST:PORT"},
		{"serve --broker nothing --cookie _", "--cookie=NAME"},
		{"serve --broker nothing --host _", "--host=NAME"},
		{"serve --broker nothing --host a.example --host _", "--host=NAME"},
		{"serve --broker nothing --allow-origin _", "--allow-origin=ORIGIN"},
		{"serve --broker nothing --trust-proxy _", "--trust-proxy=CIDR"},
		{"serve --broker nothing --acme _", "--acme=HOST"},
		{"serve --broker nothing --redirect _", "--redirect=HOST:PORT"},
		{"serve --broker nothing --tls-ticket-key _", "--tls-ticket-key=@FILE"},
	} {
		for _, form := range []string{"two words", "joined"} {
			args := strings.Fields(c.args)
			if form == "joined" {
				args = strings.Fields(strings.ReplaceAll(c.args, " _", "="))
			}
			for i := range args {
				args[i] = strings.TrimPrefix(args[i], "_")
			}
			flag, _, _ := strings.Cut(c.would, "=")
			want := "pregon: " + flag + ": the value is empty: write " + c.would + ", or leave the flag out (see pregon "
			if code, stdout, stderr := run(t, "", args...); code != 2 || !strings.HasPrefix(stderr, want) || stdout != "" {
				t.Errorf("%q: exit %d, %q, %q; want %q", args, code, stdout, stderr, want)
			}
		}
	}
	// What stands behind -- is no flag, and an empty message is one.
	if code, _, stderr := run(t, "", "pub", "--url=http://localhost:1", "--key=k", "--", "--key", ""); code != 1 {
		t.Errorf("arguments behind --: exit %d, %q", code, stderr)
	}
}

// A variable that stands for nothing, or has a bad value, is named with what would be right. It keeps nobody
// from reading the help or the version. Those that Kubernetes sets are passed over.
func TestEnvironment(t *testing.T) {
	const serves = "broker: bad URL: no scheme; write one of " // what the command line below ends with
	for _, c := range []struct{ variable, value, says string }{
		{"PREGON_FOO", "1", "unknown environment variable PREGON_FOO: pregon serve --help has those that there are"},
		{"PREGON_LISTN", ":80", "unknown environment variable PREGON_LISTN: did you mean PREGON_LISTEN?"},
		{"PREGON_PORT", "80", "unknown environment variable PREGON_PORT: did you mean PREGON_LISTEN?"},
		{"PREGON_VERSION", "1", "unknown environment variable PREGON_VERSION: pregon serve --help has those that there are"},
		{"PREGON_HISTORY", "-1m", "--history (PREGON_HISTORY=-1m): must be 0, or from 1s to 720h (see pregon serve --help)"},
		{"PREGON_HISTORY", "10", "--history (PREGON_HISTORY=10): must be a time such as 10s (see pregon serve --help)"},
		{"PREGON_LISTEN", "", "--listen (PREGON_LISTEN=''): write HOST:PORT, such as localhost:8000, or :8000 for all addresses of the machine (see pregon serve --help)"},
		{"PREGON_PORT", "tcp://10.0.0.1:8000", serves},
		{"PREGON_SERVICE_HOST", "10.0.0.1", serves},
		{"PREGON_SERVICE_PORT_HTTP", "8000", serves},
		{"PREGON_PORT_8000_TCP_ADDR", "10.0.0.1", serves},
		{"PREGON_SSE_PORT", "tcp://10.0.0.1:8000", serves},
		{"PREGON_DEMO_PORT_8000_TCP", "tcp://10.0.0.1:8000", serves},
	} {
		t.Run(c.variable+"="+c.value, func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			if code, _, stderr := run(t, "", "--broker", "nothing"); code != 2 || !strings.HasPrefix(firstLine(stderr), "pregon: "+c.says) {
				t.Errorf("exit %d, %q; want %q", code, stderr, c.says)
			}
			for _, args := range []string{"--help", "help sub", "--version"} {
				code, stdout, stderr := run(t, "", strings.Fields(args)...)
				if strings.Contains(c.says, "unknown") != strings.Contains(stderr, c.variable) || code != 0 || stdout == "" {
					t.Errorf("%s: exit %d, %q, %q", args, code, stdout, stderr)
				}
			}
		})
	}
}

// The version tells the build, Go and the platform, in one line, however it is asked for.
func TestVersion(t *testing.T) {
	for _, args := range []string{"version", "--version", "-v", "-V"} {
		_, stdout, stderr := run(t, "", args)
		words := strings.Fields(stdout)
		if len(words) < 4 || words[0] != "pregon" || stderr != "" || strings.Count(stdout, "\n") != 1 ||
			!strings.HasSuffix(stdout, " "+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+"\n") {
			t.Errorf("%s: %q %q", args, stdout, stderr)
		}
	}
}

// The help of each command is what was agreed on, and the same by each way to ask for it.
func TestHelp(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	for _, command := range []string{"", "serve", "pub", "sub", "members", "bench", "key", "token", "check", "doctor", "redis-script", "brokers", "version", "help"} {
		name := command
		if name == "" {
			name = "pregon"
		}
		t.Run(name, func(t *testing.T) {
			_, help, _ := run(t, "", append(strings.Fields(command), "--help")...)
			if _, other, _ := run(t, "", append([]string{"help"}, strings.Fields(command)...)...); other != help {
				t.Errorf("pregon help %s: %s", command, cmp.Diff(help, other))
			}
			path := filepath.Join("testdata", "help", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(help), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(golden), help); diff != "" {
				t.Errorf("run the test with -update if this is meant: %s", diff)
			}
		})
	}
}
