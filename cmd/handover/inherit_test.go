//go:build unix

package handover_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/pregon/pregon/cmd/handover"
)

// asHeir has the test's program print what it inherits.
const asHeir = "HANDOVER_TEST_HEIR"

func TestMain(m *testing.M) {
	if os.Getenv(asHeir) != "" {
		fmt.Println(inherit())
		return
	}
	os.Exit(m.Run())
}

func inherit() string {
	l, err := handover.Inherit()
	if err != nil {
		return err.Error()
	}
	defer l.Close()
	if os.Getenv("LISTEN_FDS") != "" {
		return "the variables are still there"
	}
	got, err := l.Listen(handover.HTTP, func() (net.Listener, error) { return nil, errors.New("nothing inherited") })
	if err != nil {
		return err.Error()
	}
	defer func() { _ = got.Close() }()
	if err := l.Unused(); err != nil {
		return err.Error()
	}
	return "inherited " + got.Addr().String()
}

// Sockets are taken by their names; those of another process are left alone, and what is no TCP
// socket that listens, or that nothing serves, is an error that says so.
func TestInherit(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	listening, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	me := "HANDOVER_PARENT=" + strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct {
		file *os.File
		env  string // parted by spaces
		want string
	}{
		"by name":           {listening, me + " LISTEN_FDS=1 LISTEN_FDNAMES=pregon.socket", "inherited " + tcp.Addr().String()},
		"without a name":    {listening, me + " LISTEN_FDS=1", "inherited " + tcp.Addr().String()},
		"another process":   {listening, "LISTEN_PID=1 LISTEN_FDS=1", "nothing inherited"},
		"nothing":           {listening, "", "nothing inherited"},
		"no socket":         {plain, me + " LISTEN_FDS=1", "no socket"},
		"unknown name":      {listening, me + " LISTEN_FDS=1 LISTEN_FDNAMES=ftp", "none of pregon"},
		"too few names":     {listening, me + " LISTEN_FDS=2 LISTEN_FDNAMES=http", "names"},
		"no number":         {listening, me + " LISTEN_FDS=x", "number"},
		"nothing serves it": {listening, me + " LISTEN_FDS=1 LISTEN_FDNAMES=admin", "nothing inherited"},
	} {
		heir := exec.Command(os.Args[0])
		heir.Env = append(append(os.Environ(), asHeir+"=1"), strings.Fields(c.env)...)
		heir.ExtraFiles = []*os.File{c.file}
		out, err := heir.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %q %v, want %q", name, out, err, c.want)
		}
	}
}
