package hub_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The files that the package's documentation has a reader follow are there, and no path through
// them is longer than eight.
func TestWhereToRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile(`(?m)(^//\t\S+\.go .*\n)+`).FindAll(text, -1)
	if len(paths) != 2 {
		t.Errorf("%d paths", len(paths))
	}
	for _, path := range paths {
		files := regexp.MustCompile(`(?m)^//\t(\S+\.go) `).FindAllSubmatch(path, -1)
		if len(files) > 8 {
			t.Errorf("a path of %d files", len(files))
		}
		for _, file := range files {
			if _, err := os.Stat(filepath.Join("..", "..", string(file[1]))); err != nil {
				t.Error(err)
			}
		}
	}
}
