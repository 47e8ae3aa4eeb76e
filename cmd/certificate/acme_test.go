package certificate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/cmd/certificate"
)

// obtaining returns an ACME for localhost whose authority is away, and its log.
func obtaining(t *testing.T, folder string) (*certificate.ACME, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	a, err := certificate.NewACME(certificate.ACMEOptions{
		Hosts: []string{"localhost"}, Folder: folder, Directory: "https://127.0.0.1:1/", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, &log
}

// An authority that is away is asked again less and less often, and the log says each time when.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, log := obtaining(t, t.TempDir())
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		a.Watch(ctx)
		var waits []string
		for line := range strings.Lines(log.String()) {
			if _, wait, failed := strings.Cut(line, `"again in"=`); failed {
				waits = append(waits, strings.TrimSpace(wait))
			}
		}
		const want = "5s 15s 45s 2m15s 6m45s 20m15s 1h0m0s 1h0m0s 1h0m0s"
		if got := strings.Join(waits, " "); got != want {
			t.Errorf("again in %s; want %s\n%s", got, want, log.String())
		}
	})
}

// A certificate that the folder has is served from the first moment on, if it is good. Else handshakes
// fail, and order nothing.
func TestKeptCertificates(t *testing.T) {
	cert, key := made(t, 7, year)
	expired, expiredKey := made(t, 8, -time.Minute)
	for name, c := range map[string]struct {
		kept   []byte
		served bool
	}{
		"good":           {append(key, cert...), true},
		"expired":        {append(expiredKey, expired...), false},
		"another key":    {append(expiredKey, cert...), false},
		"cut off":        {key, false},
		"nothing at all": {nil, false},
	} {
		folder := t.TempDir()
		write(t, filepath.Join(folder, "localhost"), c.kept)
		a, _ := obtaining(t, folder)
		got, err := a.Config().GetCertificate(&tls.ClientHelloInfo{ServerName: "LOCALHOST."})
		if (err == nil) != c.served || c.served && got.Leaf.SerialNumber.Int64() != 7 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

// A folder is made where it is missing. One that cannot have files is an error at the start, and
// one that others may look into a warning.
func TestFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	if _, log := obtaining(t, folder); log.Len() > 0 {
		t.Error(log.String())
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, log := obtaining(t, folder); !strings.Contains(log.String(), "others may look into it") {
		t.Errorf("no warning: %q", log.String())
	}
	file := filepath.Join(folder, "file")
	write(t, file, nil)
	if _, err := certificate.NewACME(certificate.ACMEOptions{Hosts: []string{"localhost"}, Folder: file, Logger: slog.Default()}); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// An authority is asked for full names only.
func TestACMEHosts(t *testing.T) {
	for name, good := range map[string]bool{
		"rt.example.com": true, "a-b.c1.example": true, "xn--mller-kva.example": true,
		"localhost": false, "127.0.0.1": false, "::1": false, "*.example.com": false, "RT.example.com": false, "rt.example.com.": false,
		"rt.example.com:443": false, "-a.example": false, "a_b.example": false, "": false, "../x.example": false, "müller.example": false,
		strings.Repeat("a.", 130) + "example": false,
	} {
		if err := certificate.CheckACMEHost(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
