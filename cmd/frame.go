package cmd

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pregon/pregon/transport"
)

// A frame is what a server tells in one JSON object: on /live, or on an event stream in JSON.
type frame struct {
	Type      string  `json:"type"`
	Ref       int     `json:"ref"` // of the command that it answers, zero for none
	Channel   string  `json:"channel"`
	ID        string  `json:"id"`
	Data      string  `json:"data"`
	Encoding  string  `json:"encoding"`
	Recovered *bool   `json:"recovered"` // subscribed only
	Repeated  bool    `json:"repeated"`  // published only
	Status    int     `json:"status"`    // errors, and channels that the server ends
	Code      string  `json:"code"`
	Detail    string  `json:"detail"`
	Retry     int     `json:"retry"` // seconds
	Ping      float64 `json:"ping"`  // welcome only, seconds
	TTL       float64 `json:"ttl"`   // welcome and renewed, seconds
	Limits    struct{ Message int }
	Count     int                `json:"count"`
	Members   []transport.Member `json:"members"`
	More      bool               `json:"more"`
	Joined    []transport.Member `json:"joined"`
	Left      []string           `json:"left"`

	raw string
}

// parseFrame reads a frame.
func parseFrame(text []byte) (frame, error) {
	f := frame{raw: string(text)}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("read what the server says: %w", err)
	}
	return f, nil
}

// message returns the data of a message.
func (f frame) message() (string, error) {
	if f.Encoding != "base64" {
		return f.Data, nil
	}
	data, err := base64.StdEncoding.DecodeString(f.Data)
	if err != nil {
		return "", fmt.Errorf("decode a binary message: %w", err)
	}
	return string(data), nil
}

// answered returns the refusal that the frame has, nil where it has none.
func (f frame) answered() *answered {
	if f.Status == 0 {
		return nil
	}
	return &answered{status: f.Status, code: f.Code, detail: f.Detail, retry: time.Duration(min(f.Retry, maxRetryAfter)) * time.Second}
}

// seconds returns a time that a frame has.
func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
