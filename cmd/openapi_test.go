package cmd_test

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/token"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// A description is what these tests read of server/openapi.json.
type description struct {
	Paths map[string]map[string]struct {
		Parameters []reference
		Responses  map[string]json.RawMessage
	}
	Components struct {
		Parameters map[string]struct{ Name, In string }
		Responses  map[string]json.RawMessage
		Schemas    struct {
			Problem struct {
				Properties struct {
					Code struct{ Enum []string }
				}
			}
		}
	}
}

type reference struct {
	To string `json:"$ref"`
}

func openAPI(t *testing.T) description {
	t.Helper()
	var d description
	if err := json.Unmarshal([]byte(read(t, "server/openapi.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// queryOf returns the names of the query parameters of an operation.
func (d description) queryOf(t *testing.T, parameters []reference) []string {
	t.Helper()
	var names []string
	for _, r := range parameters {
		p, ok := d.Components.Parameters[strings.TrimPrefix(r.To, "#/components/parameters/")]
		if !ok {
			t.Errorf("%s leads nowhere", r.To)
		}
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	return names
}

func TestOpenAPIHasTheProblemCodes(t *testing.T) {
	same(t, "problem code", openAPI(t).Components.Schemas.Problem.Properties.Code.Enum, problemCodes(t))
}

// Every route in the server's source is described. Those of transports are named
// after them, and of the files of the page only the page itself is for others.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	routes := []string{"/", "/live", "/live/{channel}", "/ws", "/ws/{channel}", "/sse", "/sse/{channel}"}
	sources(t, func(n ast.Node) {
		literal, ok := n.(*ast.CompositeLit)
		if !ok || len(literal.Elts) < 3 {
			return
		}
		path, ok := literal.Elts[0].(*ast.BasicLit)
		if !ok || path.Kind != token.STRING {
			return
		}
		if name, err := strconv.Unquote(path.Value); err == nil && strings.HasPrefix(name, "/") {
			routes = append(routes, strings.Replace(name, "*", "{channel}", 1))
		}
	}, "server")
	slices.Sort(routes)
	same(t, "route", openAPI(t).routes(), slices.Compact(routes))
}

// routes returns the paths that are described, sorted.
func (d description) routes() []string {
	return slices.Sorted(maps.Keys(d.Paths))
}

// The table of routes has every one that is described and no other.
func TestREADMEHasTheRoutes(t *testing.T) {
	table, _, _ := strings.Cut(read(t, "server/README.md"), "\n## ")
	row := regexp.MustCompile("`(?:GET|POST|DELETE) (/[^`]*)`")
	same(t, "route", distinct(row, table), openAPI(t).routes())
}

// door serves the routes that are described.
func door(t *testing.T) *httptest.Server {
	t.Helper()
	b := memory.New()
	t.Cleanup(func() { _ = b.Close() })
	s, err := server.New(context.Background(), server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	return h
}

// ask returns the status and, of a problem, the code of the answer to one request,
// which for /ws and /live is a handshake.
func ask(t *testing.T, method, url string) (status int, code string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodGet && (strings.Contains(url, "/ws") || strings.Contains(url, "/live")) {
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.Header.Get("Content-Type") != "application/problem+json" {
		return answer.StatusCode, ""
	}
	var problem struct{ Code string }
	body, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(body, &problem)
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, problem.Code
}

// A route takes the methods that are described and no others.
func TestOpenAPIHasTheMethods(t *testing.T) {
	h := door(t)
	for path, operations := range openAPI(t).Paths {
		url := h.URL + strings.Replace(path, "{channel}", "chat", 1)
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			_, described := operations[strings.ToLower(method)]
			if _, code := ask(t, method, url); (code != "method_not_allowed" && code != "not_found") != described {
				t.Errorf("%s %s: described is %v, and the answer %q", method, path, described, code)
			}
		}
	}
}

// Every parameter of a query that an operation takes is described, and no other.
func TestOpenAPIHasTheParameters(t *testing.T) {
	h, d := door(t), openAPI(t)
	var all []string
	for _, p := range d.Components.Parameters {
		if p.In == "query" {
			all = append(all, p.Name)
		}
	}
	for path, operations := range d.Paths {
		for method, operation := range operations {
			for status, response := range operation.Responses {
				var r reference
				if json.Unmarshal(response, &r) == nil && r.To != "" && d.Components.Responses[strings.TrimPrefix(r.To, "#/components/responses/")] == nil {
					t.Errorf("%s: the answer %s leads nowhere", path, status)
				}
			}
			described := d.queryOf(t, operation.Parameters)
			if len(described) == 0 {
				continue // what it is asked for is not looked at
			}
			url := h.URL + strings.Replace(path, "{channel}", "chat", 1)
			for _, name := range append(slices.Clone(all), "unknown") {
				_, code := ask(t, strings.ToUpper(method), url+"?"+name+"=x")
				if code == "two_ways" {
					continue // a channel in the path and in the query
				}
				if (code != "bad_query") != slices.Contains(described, name) {
					t.Errorf("%s %s: the parameter %s is answered with %q", method, path, name, code)
				}
			}
		}
	}
}
