package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// commandTimeout bounds a call of Do.
const commandTimeout = 5 * time.Second

// Do sends one command on a connection of its own, as redis-cli does, and returns
// the reply as text: an array has one line an element, nil is empty. Redis' error
// reply is an error whose text is the reply.
func (s *Server) Do(args ...string) (string, error) {
	c, err := net.DialTimeout("tcp", s.Addr(), commandTimeout)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		return "", err
	}
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, command.String()); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(c))
}

// MustDo is Do for commands that must succeed.
func (s *Server) MustDo(args ...string) string {
	s.t.Helper()
	reply, err := s.Do(args...)
	if err != nil {
		s.t.Fatalf("redistest: %s: %v", args[0], err)
	}
	return reply
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", errors.New("empty reply")
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	case '$':
		return readBulk(r, rest)
	case '*':
		return readArray(r, rest)
	default:
		return "", errors.New("not a reply of Redis")
	}
}

func readBulk(r *bufio.Reader, length string) (string, error) {
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 {
		return "", err
	}
	data := make([]byte, n+len("\r\n"))
	_, err = io.ReadFull(r, data)
	return string(data[:n]), err
}

func readArray(r *bufio.Reader, length string) (string, error) {
	n, err := strconv.Atoi(length)
	if err != nil {
		return "", err
	}
	elements := make([]string, 0, max(n, 0))
	for range n {
		e, err := readReply(r)
		if err != nil {
			return "", err
		}
		elements = append(elements, e)
	}
	return strings.Join(elements, "\n"), nil
}
