package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// conversation decodes what a server sends over /live: frames, each with a JSON
// object whose first member is its type.
type conversation struct{ frames }

// told are the types of what a server says, beside messages.
var told = map[string]eventKind{
	"gap": gap, "welcome": welcome, "subscribed": subscribed, "published": published,
	"error": failed, "unsubscribed": failed,
}

const (
	typePrefix    = `{"type":"`
	messagePrefix = typePrefix + `message"`
)

// next implements decoder. What it does not know is nothing.
func (c *conversation) next(b []byte) (event, int, error) {
	e, n, err := c.frames.next(b)
	if e.kind != message || bytes.HasPrefix(e.data, []byte(messagePrefix)) {
		return e, n, err
	}
	name, _, _ := bytes.Cut(bytes.TrimPrefix(e.data, []byte(typePrefix)), []byte(`"`))
	e.kind = told[string(name)]
	return e, n, err
}

// An answer is what a server says to a command.
type answer struct {
	Ref    string
	Status int
	Detail string
}

// parseAnswer reads an answer that is not the one hoped for.
func parseAnswer(data []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return answer{}, fmt.Errorf("the server's answer is not understood: %w", err)
	}
	return a, nil
}

// Error implements error, for what was not done.
func (a answer) Error() string { return fmt.Sprintf("the server answered %d: %s", a.Status, a.Detail) }
