package cmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// readLines hands on the lines of standard input until that ends, which changes nothing. It is left to the end of the
// process, as a read of standard input cannot be interrupted.
func readLines(ctx context.Context, stdin io.Reader) <-chan string {
	lines := make(chan string)
	if stdin == nil {
		return lines
	}
	readInBackground()
	go func() {
		in := bufio.NewScanner(stdin)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// change does what a line of standard input asks for: +CHANNEL or -CHANNEL.
func (s *subscription) change(src source, line string) error {
	line = strings.TrimSpace(line)
	added, adds := strings.CutPrefix(line, "+")
	left, leaves := strings.CutPrefix(line, "-")
	switch {
	case line == "":
		return nil
	case adds && added != "":
		return s.add(src, added)
	case leaves && left != "":
		return s.leave(src, left)
	}
	s.note("not understood: %s (write +CHANNEL to listen to a channel, too, and -CHANNEL to leave one)", line)
	return nil
}

// add begins to listen to a channel.
func (s *subscription) add(src source, channel string) error {
	if slices.Contains(s.channels, channel) {
		s.note("listening to %s already", channel)
		return nil
	}
	s.channels = append(s.channels, channel)
	s.asked[channel] = true
	return src.subscribe(channel, "")
}

// leave listens to a channel no more.
func (s *subscription) leave(src source, channel string) error {
	if !slices.Contains(s.channels, channel) {
		s.note("not listening to %s", channel)
		return nil
	}
	s.drop(channel)
	return src.unsubscribe(channel)
}

// drop forgets a channel.
func (s *subscription) drop(channel string) {
	s.channels = slices.DeleteFunc(s.channels, func(c string) bool { return c == channel })
	delete(s.heard, channel)
	delete(s.asked, channel)
}

// note tells a person something about a channel.
func (s *subscription) note(format, channel string) {
	fmt.Fprintf(s.out.stderr, "pregon: "+format+"\n", shown(s.out.stderr, channel))
}
