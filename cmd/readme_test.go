package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// readmes are the documents that these tests hold to the code.
var readmes = []string{
	"README.md", "CONTRIBUTING.md", "server/README.md", "transport/README.md", "broker/README.md", "cmd/bench/README.md", "client/README.md",
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section returns what stands in text from a heading to the next one of its level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n"+heading)
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	body, _, _ := strings.Cut(after, "\n## ")
	return body
}

// distinct returns the first group of every match, sorted, each once.
func distinct(re *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// same reports what one of two sorted lists has and the other has not.
func same(t *testing.T, what string, documented, real []string) {
	t.Helper()
	if len(real) == 0 {
		t.Fatalf("no %s found in the code", what)
	}
	for _, name := range real {
		if !slices.Contains(documented, name) {
			t.Errorf("%s %s is not documented", what, name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(real, name) {
			t.Errorf("the document has the %s %s, which does not exist", what, name)
		}
	}
}

var flagName = regexp.MustCompile("(?:^|[\\s`\\[(])(--[a-z][a-z-]+)")

// The table of flags has every flag of serve and no other.
func TestREADMEHasTheFlagsOfServe(t *testing.T) {
	_, help, _ := run(t, "", "serve", "--help")
	var rows strings.Builder
	for line := range strings.Lines(section(t, read(t, "server/README.md"), "## Configuration")) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "|"), "|"); ok && strings.HasPrefix(line, "| `--") {
			rows.WriteString(cell)
		}
	}
	flags := regexp.MustCompile(`(?m)^\s+(?:-\w, )?(--[a-z][a-z-]+)`)
	same(t, "flag", distinct(flagName, rows.String()),
		slices.DeleteFunc(distinct(flags, help), func(f string) bool { return f == "--help" || f == "--version" }))
}

// A flag that a README names is one of some command.
func TestREADMENamesRealFlags(t *testing.T) {
	known := []string{"--data-binary", "--help"} // the former is curl's
	for _, command := range []string{"serve", "pub", "sub", "members", "bench", "key", "token", "check", "doctor", "redis-script"} {
		_, help, _ := run(t, "", command, "--help")
		known = append(known, distinct(flagName, help)...)
	}
	for _, name := range readmes {
		for _, flag := range distinct(flagName, read(t, name)) {
			if !slices.Contains(known, flag) {
				t.Errorf("%s: no command has the flag %s", name, flag)
			}
		}
	}
}

// sources calls visit with every node of the program's source below the folders.
func sources(t *testing.T, visit func(ast.Node), folders ...string) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool { visit(n); return true })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// problemCode returns the code of a problem that n makes, if it makes one: as the
// field Code, as the first of a ChannelError, or as the first argument of a function that is a shorthand for it.
func problemCode(n ast.Node) (string, bool) {
	var value ast.Expr
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
			value = n.Value
		}
	case *ast.CompositeLit:
		if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "ChannelError" && len(n.Elts) > 0 {
			value = n.Elts[0]
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "bad" || f.Name == "badRequest") && len(n.Args) > 0 {
			value = n.Args[0]
		}
	}
	literal, ok := value.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	code, err := strconv.Unquote(literal.Value)
	return code, err == nil
}

// problemCodes returns the codes of all problems that the server may answer with.
func problemCodes(t *testing.T) []string {
	t.Helper()
	var codes []string
	sources(t, func(n ast.Node) {
		if code, ok := problemCode(n); ok {
			codes = append(codes, code)
		}
	}, "broker/channel.go", "server", "transport")
	slices.Sort(codes)
	return slices.Compact(codes)
}

var quotedCode = regexp.MustCompile("`([a-z]+(?:_[a-z0-9]+)*)`")

// The table of errors has every problem code and no other.
func TestREADMEHasTheProblemCodes(t *testing.T) {
	documented := distinct(quotedCode, section(t, read(t, "server/README.md"), "## Errors"))
	documented = slices.DeleteFunc(documented, func(name string) bool {
		return name == "code" || name == "outcomes" // members of a problem
	})
	same(t, "problem code", documented, problemCodes(t))
}

// The table of close codes has every one that the server sends and no other.
func TestREADMEHasTheCloseCodes(t *testing.T) {
	var real []string
	sources(t, func(n ast.Node) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 {
			return
		}
		if v, ok := spec.Values[0].(*ast.BasicLit); ok && v.Kind == token.INT && len(v.Value) == 4 && !strings.HasPrefix(v.Value, "0") {
			real = append(real, v.Value)
		}
	}, "transport/internal/websocket")
	var documented []string
	_, table, _ := strings.Cut(read(t, "transport/README.md"), "| close code |")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		documented = append(documented, regexp.MustCompile(`\d{4}`).FindAllString(cell, -1)...)
	}
	same(t, "close code", documented, real)
}

// The table of gap reasons has those of the broker and of the transports.
func TestREADMEHasTheGapReasons(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "transport/README.md"), "| `reason` |")
	table, _, _ = strings.Cut(table, "\n\n")
	row := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|")
	same(t, "gap reason", distinct(row, table), []string{
		string(broker.LinkLost), string(broker.Overrun), string(transport.SlowClient), string(transport.NotRetained),
		string(transport.NewEpoch), string(transport.Missing), string(broker.Denied),
	})
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unlinked = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns the names by which the headings of a document are linked to.
func anchors(text string) []string {
	var names []string
	for _, heading := range distinct(title, text) {
		plain := unlinked.ReplaceAllString(strings.ToLower(heading), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

// A link within the repository leads to a file and a heading that exist.
func TestREADMELinksLeadSomewhere(t *testing.T) {
	for _, name := range readmes {
		text := read(t, name)
		for _, target := range distinct(link, text) {
			if strings.Contains(target, "://") {
				continue
			}
			file, heading, anchored := strings.Cut(target, "#")
			there := name
			if file != "" {
				there = filepath.Join(filepath.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join("..", there)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, target)
			} else if anchored && !slices.Contains(anchors(read(t, there)), heading) {
				t.Errorf("%s: %s has no heading #%s", name, there, heading)
			}
		}
	}
}

var proof = regexp.MustCompile("`go test (\\./[a-z/.]+) -run ('[^']+'|[A-Za-z]+)")

// Every test that a promise names exists.
func TestREADMEPromisesHaveTests(t *testing.T) {
	proofs := proof.FindAllStringSubmatch(read(t, "server/README.md"), -1)
	if len(proofs) < 20 {
		t.Fatalf("only %d promises name a test", len(proofs))
	}
	for _, p := range proofs {
		folder, below := strings.CutSuffix(p[1], "/...")
		tests := testsIn(t, folder, below)
		for pattern := range strings.SplitSeq(strings.Trim(p[2], "'"), `\|`) {
			if !slices.ContainsFunc(tests, regexp.MustCompile(pattern).MatchString) {
				t.Errorf("no test of %s matches %s", p[1], pattern)
			}
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsIn returns the names of the tests of a folder, or of those below it, too.
func testsIn(t *testing.T, folder string, below bool) []string {
	t.Helper()
	var names []string
	root := filepath.Join("..", folder)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && !below:
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			names = append(names, distinct(testFunction, string(text))...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
