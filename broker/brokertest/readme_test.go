package brokertest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/brokertest"
)

// The page for authors of drivers leads from nothing to a driver that is tested, by its own words, and that driver has
// at most the length which the page says.
func TestAuthorsPage(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page2, _ := strings.Cut(string(page), "### From nothing to a tested driver\n")
	blocks := regexp.MustCompile("(?s)```(sh|go)\n(.*?)```").FindAllStringSubmatch(page2, -1)
	if len(blocks) != 3 || blocks[1][1] != "go" {
		t.Fatalf("%d blocks, want commands, a test, and commands", len(blocks))
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	beside := t.TempDir()
	if err := os.Symlink(root, filepath.Join(beside, "pregon")); err != nil {
		t.Fatal(err)
	}
	run(t, beside, blocks[0][2])
	mine := filepath.Join(beside, "mine")
	if err := os.WriteFile(filepath.Join(mine, "mine_test.go"), []byte(blocks[1][2]), 0o600); err != nil {
		t.Fatal(err)
	}
	driver, err := os.ReadFile(filepath.Join(mine, "mine.go"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(driver), "\n"); lines > 130 {
		t.Errorf("the driver has %d lines, and the page says 130", lines)
	}
	// The sums of pregon have all that is needed, without a network.
	last := strings.Replace(blocks[2][2], "go mod tidy", "cp ../pregon/go.sum .", 1)
	last = strings.Replace(last, "go test -race -v", "GOFLAGS=-mod=mod GOPROXY=off go test -short", 1)
	run(t, mine, last)
}

// run has the shell do what the page says.
func run(t *testing.T, dir, commands string) {
	c := exec.CommandContext(t.Context(), "sh", "-ec", commands)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
}

// The cases that the page names exist.
func TestAuthorsPageNamesCases(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "### What the rules are for\n")
	table, _, _ = strings.Cut(table, "\n### ")
	known := map[string]bool{"WithCut": true, "Message.Prev": true}
	for _, name := range brokertest.CaseNames() {
		known[name] = true
	}
	named := 0
	for _, row := range strings.Split(table, "\n") {
		rule, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		_, cases, ok := strings.Cut(rule, "(")
		if !ok || !strings.HasPrefix(row, "| ") {
			continue
		}
		for _, name := range regexp.MustCompile("`([A-Za-z.]+)`").FindAllStringSubmatch(cases, -1) {
			if named++; !known[name[1]] {
				t.Errorf("there is no case %s", name[1])
			}
		}
	}
	if named < 15 {
		t.Errorf("only %d cases are named", named)
	}
}
