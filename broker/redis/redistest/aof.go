package redistest

import (
	"bytes"
	"os"
	"path/filepath"
)

// TruncateAOF cuts the append-only file of a server that is down before the last
// command that has word in it: that command and what was written after it are
// lost, as with a disk that did not write what it said it had. Redis starts with
// such a file, with a warning.
func (s *Server) TruncateAOF(word string) {
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
	end := bytes.LastIndex(content, []byte(word))
	if end < 0 {
		s.t.Fatalf("redistest: no %s in the append-only file", word)
	}
	if err := os.Truncate(newest, int64(end)); err != nil {
		s.t.Fatalf("redistest: append-only file: %v", err)
	}
}
