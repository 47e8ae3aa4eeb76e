package cmd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// An address is the URL of a running server, without a slash at its end.
type address string

var errAddress = errors.New("write http://host:port or https://host:port")

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *address) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return errAddress
	}
	*a = address(strings.TrimRight(string(text), "/"))
	return nil
}

var (
	errListen = errors.New("write HOST:PORT, such as localhost:8000, or :8000 for all addresses of the machine")
	errPort   = errors.New("the port must be a number from 0 to 65535")
)

// checkListen returns why a server cannot listen on an address, as far as its form shows.
func checkListen(hostPort string) error {
	host, port, err := net.SplitHostPort(hostPort)
	switch _, notPort := net.LookupPort("tcp", hostPort); {
	case hostPort != "" && notPort == nil:
		return fmt.Errorf("a port alone is written :%s", hostPort)
	case strings.Trim(hostPort, "0123456789") == "" && hostPort != "":
		return errPort
	case err != nil || port == "" || strings.Contains(host, "/"):
		return errListen
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return errPort
	}
	return nil
}

// userinfo is where a URL, well formed or not, may have a password.
var userinfo = regexp.MustCompile(`://\S*@`)

// withoutUserinfo returns text with the user and password of each URL in it
// made unreadable.
func withoutUserinfo(text string) string { return userinfo.ReplaceAllString(text, "://xxxxx@") }

// redacted returns a broker URL as it may be shown: without the parameters, too,
// which may hold a secret of a driver that is not known here.
func redacted(rawURL string) string {
	shown, _, _ := strings.Cut(withoutUserinfo(rawURL), "?")
	return shown
}

// withoutSecrets returns an argument as it may be shown on a command line: where it has a URL, the
// parameters are made unreadable like the password. They are not left out, so that nobody takes
// the command for a complete one.
func withoutSecrets(arg string) string {
	if !strings.Contains(arg, "://") {
		return arg
	}
	shown := redacted(arg)
	if shown != withoutUserinfo(arg) {
		shown += "?xxxxx"
	}
	return shown
}
