package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/config"
)

var update = flag.Bool("update", false, "write the golden files")

// options have some settings, one of which is to be a size.
var options = config.Options{
	Settings: []string{"max-message", "history", "compress"},
	Check: func(name, value string) error {
		if name == "compress" && value != "true" {
			return errors.New("not true")
		}
		if name == "max-message" {
			return new(config.Size).UnmarshalText([]byte(value))
		}
		return nil
	},
}

// folder returns a copy of testdata whose secrets only the user can read.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	secrets, err := filepath.Glob(filepath.Join(dir, "secrets", "*"))
	if err != nil || len(secrets) == 0 {
		t.Fatal("no secrets", err)
	}
	for _, path := range secrets {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// said is what is said of a file, without the path of its folder.
func said(dir string, warnings []config.Diagnostic, err error) string {
	var b strings.Builder
	var e *config.Error
	switch {
	case errors.As(err, &e):
		fmt.Fprintln(&b, strings.Join(e.Lines(), "\n"))
	case err != nil:
		fmt.Fprintln(&b, err)
	}
	for _, w := range warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	return strings.ReplaceAll(b.String(), dir+string(filepath.Separator), "")
}

// All that is wrong with a file is told with its place, and no secret is.
func TestGolden(t *testing.T) {
	t.Setenv("CONFIG_TEST_SHORT", "s3cret")
	dir := folder(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) < 7 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			_, warnings, err := config.Load(path, options)
			got, golden := said(dir, warnings, err), filepath.Join("testdata", name+".golden")
			if strings.Contains(strings.ReplaceAll(got, "s3cret.key", ""), "s3cret") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A good file is read completely.
func TestExample(t *testing.T) {
	c, warnings, err := config.Load(filepath.Join(folder(t), "example.yaml"), options)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want, err := access.DigestOf("k3y-Zb9sTq-40fUxWmRaLd")
	if err != nil {
		t.Fatal(err)
	}
	if c.Cookie != "rt" || len(c.Origins) != 2 || len(c.Hosts) != 1 || fmt.Sprint(c.TrustProxies) != "[10.0.0.0/8 ::1/128]" {
		t.Errorf("%+v", c)
	}
	if fmt.Sprint(c.Settings) != "map[compress:{true 8 11} history:{5m 7 10} max-message:{2MiB 6 14}]" {
		t.Error(c.Settings)
	}
	if len(c.Keys) != 2 || c.Keys[0].Digest != want || c.Keys[0].Publish != nil || !c.Keys[1].Admin || c.Keys[1].Rate.String() != "100/s" || fmt.Sprint(c.Keys[1].Publish) != "[jobs.**]" {
		t.Errorf("%+v", c.Keys)
	}
	if len(c.Issuers) != 3 || c.Issuers[0].Audience != "pregon" || string(c.Issuers[1].Secret) != "f81d4fae7dec11d0a76500a0c91e6bf6e2" ||
		c.Issuers[1].MaxAge != time.Hour || !c.Issuers[2].NeverExpires || c.Issuers[2].Line != 15 {
		t.Errorf("%+v", c.Issuers)
	}
	r := c.Rules
	if len(r) != 3 || r[0].Subscribe != access.Anyone || r[0].History.MaxAge != 10*time.Minute || r[0].History.MaxMessages != 500 || r[0].Line != 17 ||
		r[1].Subscribe != access.Token || r[1].Publish != access.Keys || !r[2].Presence || r[2].MaxMessage != 16<<10 || r[2].Rate.String() != "5/s" {
		t.Errorf("%+v", r)
	}
	if _, err := access.New(access.Config{Keys: c.Keys, Rules: c.Rules}); err != nil {
		t.Error(err)
	}
}

// write writes a configuration.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pregon.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is no YAML, or YAML that is not taken, is told with its place and without its text.
func TestSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"cookie: [":                                "line 2, column 1: it is not YAML",
		"rules: [a {":                              "did not find expected ',' or ']'",
		"cookie: a: s3cret":                        "line 1, column 10: it is not YAML",
		"cookie: 's3cret":                          "line 1, column 16: it is not YAML",
		"a:\n\tb: s3cret":                          "line 2, column 1: it is not YAML",
		"cookie: *s3cret":                          "line 1, column 9: anchors",
		"cookie: &s3cret x":                        "line 1, column 9: anchors",
		"rules: [{channels: [*]}]":                 "line 1, column 2",
		"hosts: &a [*a, *a]":                       "anchors",
		"<<: {cookie: s3cret}":                     "line 1, column 1: unknown key <<",
		"cookie: !!binary s3cret":                  "line 1, column 9: tags",
		"cookie: !s3cret x":                        "line 1, column 9: tags",
		"cookie: a\n---\ncookie: b":                "line 2, column 1: a second document",
		"cookie: a\n---\ncookie: [":                "it is not YAML",
		"cookie: \xff":                             "line 1, column 9: it is not text",
		"cookie: a\nhosts: [\x00]":                 "line 2, column 9: it is not text",
		"? [a]\n: b":                               "line 1, column 3",
		"[]":                                       "line 1, column 1: this must be a mapping, of names and their values",
		"s3cret":                                   "line 1, column 1: this must be a mapping, of names and their values",
		"%YAML 9.9\n---\na: b":                     "it is not YAML",
		strings.Repeat("{a: ", 20000):              "it is not YAML",
		strings.Repeat("a", config.MaxFile+1):      "too long",
		strings.Repeat("k: v\n", 1000):             "and 950 more",
		"cookie: \"a\\u001b\"":                     "line 1, column 9",
		"\"co\\u001bokie\": a":                     "did you mean cookie",
		"tokens:\n- {secret-file: s3cret\\nx, a}":  "line 2",
		"rules:\n- {channels: [user.{sub}]}":       "quotes",
		"keys:\n- {name: a, file: /dev/stdin}":     "line 2, column 19: this file cannot be read",
		"keys:\n- {name: a, file: /proc/s3cret/x}": "cannot be read: no such file",
	} {
		_, _, err := config.Load(write(t, text), options)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %.300v; want %q", text, err, want)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%.40q is shown: %v", text, err)
		}
	}
	// Nothing is a file that was cut off, or lost; what is meant to be nothing is {}.
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "~", "null\n", "\ufeff# x\r\n"} {
		if _, _, err := config.Load(write(t, text), options); err == nil || !strings.Contains(err.Error(), "the file is empty; write {}") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"{}", "rules: []\n", "\ufeff# x\r\ncookie: a\r\n"} {
		if _, _, err := config.Load(write(t, text), options); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), options); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := config.Load(t.TempDir(), options); err == nil {
		t.Error("a folder was read")
	}
}

// A secret is what is in its file, without one newline at the end; others who may read it are
// a warning.
func TestSecrets(t *testing.T) {
	const secret = "k3y-Zb9sTq-40fUxWmRaLd"
	want, err := access.DigestOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{secret: true, secret + "\n": true, secret + "\r\n": true, secret + "\n\n": false, " " + secret: false, "": false, strings.Repeat("k", 70000): false} {
		path := write(t, "keys: [{name: a, file: key}]\nrules: []\n")
		key := filepath.Join(filepath.Dir(path), "key")
		if err := os.WriteFile(key, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, warnings, err := config.Load(path, options)
		if (err == nil) != good || good && (c.Keys[0].Digest != want || len(warnings) > 0) {
			t.Errorf("%.30q: %v, %v", text, err, warnings)
		}
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		_, warnings, err = config.Load(path, options)
		if good && runtime.GOOS != "windows" && (len(warnings) != 1 || warnings[0].Line != 1 || warnings[0].Column != 24) {
			t.Errorf("%v, %v", warnings, err)
		}
	}
	t.Setenv("CONFIG_TEST_KEY", secret+"\n")
	c, _, err := config.Load(write(t, "keys: [{name: a, env: CONFIG_TEST_KEY}]"), options)
	if err != nil || c.Keys[0].Digest != want {
		t.Error(err)
	}
}

// A file without tokens is warned about where that is hardly meant, unless flags bring tokens or
// the file says that it takes nobody's.
func TestWarnsOfNoTokens(t *testing.T) {
	const asking = "rules: [{channels: [a], subscribe: token}]\n"
	for text, warns := range map[string]bool{
		"{}": true, "tokens: []\n": false, "rules: []\n": false,
		asking: true, "tokens: []\n" + asking: false,
	} {
		c, warnings, err := config.Load(write(t, text), options)
		if err != nil || len(warnings) > 0 != warns {
			t.Errorf("%q: %v, %v", text, warnings, err)
		}
		if has := strings.HasPrefix(text, "tokens"); has != (c.Issuers != nil) {
			t.Errorf("%q: the issuers are %#v", text, c.Issuers)
		}
		flags := options
		flags.Tokens = true
		if _, warnings, err := config.Load(write(t, text), flags); err != nil || len(warnings) > 0 {
			t.Errorf("%q with flags: %v, %v", text, warnings, err)
		}
	}
}

// A random secret does not look weak, and what people make up does.
func TestLooksWeak(t *testing.T) {
	for secret, weak := range map[string]bool{
		"k3y-Zb9sTq-40fUxWmRaLd": false, "f81d4fae7dec11d0a76500a0c91e6bf6e2": false, "8Jr2k0Vt5Yq1Zb7Xw3Lp": false,
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": true, "abcabcabcabcabcabcabc": true, "your-256-bit-secret-your-256-bit": true,
		"MyPassword-2024-MyCompany": true, "q8Zr-Tk2Wq8Zr-Tk2W": true, "12345678901234567890": true,
	} {
		if config.LooksWeak(secret) != weak {
			t.Errorf("%s: %v", secret, !weak)
		}
	}
}

// Whatever a file has, it is read or refused, with places that are in it.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("a: &a [*a]\n---\n? {b: c}\n: !!x 'y'"))
	dir := folder(f)
	path := filepath.Join(dir, "pregon.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, warnings, err := config.Load(path, options)
		var e *config.Error
		if err != nil && !errors.As(err, &e) && len(text) <= config.MaxFile {
			t.Fatal(err)
		}
		places := warnings
		if e != nil {
			places = append(places, e.Faults...)
		}
		lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(text)), "\n") + 2
		for _, d := range places {
			if d.Line < 0 || d.Line > lines || d.Text == "" || strings.ContainsAny(d.Text, "\n\r\x1b") {
				t.Errorf("%+v of %d lines", d, lines)
			}
		}
		if err == nil {
			if _, err := access.New(access.Config{Keys: c.Keys, Rules: c.Rules}); err != nil {
				t.Errorf("it was taken, and cannot be used: %v", err)
			}
		}
	})
}
