package redistest

import (
	"bytes"
	"os"
	"path/filepath"
)

// TruncateAOF cuts the append-only file of a server that is down, so that the last
// n commands that have word in them are lost, and what was written between and
// after them, as with a disk that did not write what it said it had. Redis starts
// with such a file, with a warning.
func (s *Server) TruncateAOF(word string, n int) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("redistest: no append-only file: %v", err)
	}
	newest := files[len(files)-1]
	content, err := os.ReadFile(newest)
	if err != nil {
		s.t.Fatalf("redistest: append-only file: %v", err)
	}
	for range n {
		end := bytes.LastIndex(content, []byte(word))
		if end < 0 {
			s.t.Fatalf("redistest: fewer than %d times %s in the append-only file", n, word)
		}
		content = content[:end]
	}
	if err := os.Truncate(newest, int64(len(content))); err != nil {
		s.t.Fatalf("redistest: append-only file: %v", err)
	}
}
