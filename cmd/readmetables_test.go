package cmd_test

import (
	"go/ast"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// cells returns the cells of a row of a table, nil for any other line.
func cells(line string) []string {
	line, row := strings.CutPrefix(strings.TrimSpace(line), "| ")
	if !row {
		return nil
	}
	return strings.Split(strings.TrimSuffix(line, "|"), " | ")
}

var (
	quoted      = regexp.MustCompile("`([^`]+)`")
	flagStart   = regexp.MustCompile(`(?m)^ +(?:-h, )?--`)
	flagTail    = regexp.MustCompile(`^[a-z-]+`)
	saidDefault = regexp.MustCompile(`Default\s+([^\s,]+)`)
)

// defaults returns the defaults that the help of serve states, by flag.
func defaults(t *testing.T) map[string]string {
	t.Helper()
	_, help, _ := run(t, "", "serve", "--help")
	stated := map[string]string{}
	for _, entry := range flagStart.Split(help, -1) {
		flag := "--" + flagTail.FindString(entry)
		if found := saidDefault.FindStringSubmatch(entry); found != nil {
			stated[flag] = strings.TrimSuffix(found[1], ".")
		}
	}
	return stated
}

// A default in the table of flags is the one of the program.
func TestREADMEHasTheDefaultsOfFlags(t *testing.T) {
	stated := defaults(t)
	checked := 0
	for line := range strings.Lines(section(t, read(t, "server/README.md"), "## Configuration")) {
		row := cells(line)
		if len(row) < 2 || !strings.HasPrefix(row[0], "`--") {
			continue
		}
		values := quoted.FindAllStringSubmatch(row[1], -1)
		for i, flag := range quoted.FindAllStringSubmatch(row[0], -1) {
			if i >= len(values) {
				if stated[flag[1]] != "" {
					t.Errorf("%s: the default %s is not documented", flag[1], stated[flag[1]])
				}
				continue
			}
			checked++
			if got := strings.TrimSuffix(stated[flag[1]], "s"); got != strings.TrimSuffix(values[i][1], "s") {
				t.Errorf("%s: the default is %q, and documented as %q", flag[1], stated[flag[1]], values[i][1])
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d defaults found in the table", checked)
	}
}

// The commands that are named beside serve are those that the program has.
func TestREADMEHasTheCommands(t *testing.T) {
	_, help, _ := run(t, "", "--help")
	_, list, _ := strings.Cut(help, "Commands:\n")
	sentence, _, _ := strings.Cut(section(t, read(t, "server/README.md"), "## Configuration"), " are the other commands")
	documented := slices.DeleteFunc(distinct(quoted, sentence), func(name string) bool { return strings.HasPrefix(name, "pregon") })
	same(t, "command", append(documented, "serve"), distinct(regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) `), list))
}

// statuses returns the number of every constant of package http that is a status.
func statuses() map[string]int {
	byName := map[string]int{"StatusRequestURITooLong": http.StatusRequestURITooLong}
	for status := http.StatusBadRequest; status <= http.StatusNetworkAuthenticationRequired; status++ {
		if text := http.StatusText(status); text != "" {
			byName["Status"+strings.NewReplacer(" ", "", "-", "").Replace(text)] = status
		}
	}
	return byName
}

// problemStatus returns the code and the status of the problem that n makes, if it
// makes one with both as constants.
func problemStatus(n ast.Node) (code, status string) {
	literal, ok := n.(*ast.CompositeLit)
	if !ok {
		return "", ""
	}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			return "", ""
		}
		if c, ok := problemCode(pair); ok {
			code = c
		}
		if s, ok := pair.Value.(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, "Status") {
			status = s.Sel.Name
		}
	}
	return code, status
}

// A problem code stands in a row of the table of errors that has its status.
func TestREADMEHasTheStatusesOfProblems(t *testing.T) {
	documented := map[string][]string{} // statuses by code
	for line := range strings.Lines(section(t, read(t, "server/README.md"), "## Errors")) {
		if row := cells(line); len(row) == 2 {
			found := regexp.MustCompile(`\b\d{3}\b`).FindAllString(row[0], -1)
			for _, code := range distinct(quotedCode, row[1]) {
				documented[code] = append(documented[code], found...)
			}
		}
	}
	byName, checked := statuses(), 0
	sources(t, func(n ast.Node) {
		code, name := problemStatus(n)
		if code == "" || name == "" {
			return
		}
		checked++
		if status := strconv.Itoa(byName[name]); !slices.Contains(documented[code], status) {
			t.Errorf("%s is answered with %s, and documented with %v", code, status, documented[code])
		}
	}, "server", "transport")
	if checked < 10 {
		t.Errorf("only %d problems found in the code", checked)
	}
}

var (
	exampleRoute = regexp.MustCompile(`localhost:8000(/[a-z]*(?:\.[a-z]+)*)`)
	quotedRoute  = regexp.MustCompile("`(?:GET |POST )?(/[a-z]+)(?:[/?{][^`]*)?`")
)

// An address that an example or the text of a README names begins with a route.
func TestREADMENamesRealRoutes(t *testing.T) {
	var known []string
	for _, route := range openAPI(t).routes() {
		first, _, _ := strings.Cut(strings.TrimPrefix(route, "/"), "/")
		known = append(known, "/"+first)
	}
	for route := range adminRoutes(t) {
		first, _, _ := strings.Cut(strings.TrimPrefix(route, "/"), "/")
		known = append(known, "/"+first)
	}
	for _, name := range []string{"README.md", "server/README.md", "transport/README.md", "broker/README.md"} {
		text := read(t, name)
		for _, route := range append(distinct(exampleRoute, text), distinct(quotedRoute, text)...) {
			if !slices.Contains(known, route) {
				t.Errorf("%s: there is no route %s", name, route)
			}
		}
	}
}
