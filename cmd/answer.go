package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// errRefused means that asking again would be answered in the same way.
var errRefused = errors.New("refused")

// A refusal is an error that is errRefused, too, without saying so twice.
type refusal struct{ error }

func (refusal) Is(target error) bool { return target == errRefused }

func (r refusal) Unwrap() error { return r.error }

// An answered is a server's refusal of a request, by HTTP or by a frame of /live.
type answered struct {
	status int
	code   string // of pregon; empty where something between has answered
	detail string
	retry  time.Duration // when to ask again at the earliest, zero where nothing is said
}

// answerError is what a server said about a request that it refused.
func answerError(resp *http.Response) *answered {
	a := &answered{status: resp.StatusCode}
	var problem struct{ Code, Detail string }
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&problem) == nil {
		a.code, a.detail = problem.Code, problem.Detail
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.retry = time.Duration(min(seconds, maxRetryAfter)) * time.Second
	}
	return a
}

// maxRetryAfter is the longest that a server is believed when it says when to come back, in seconds.
const maxRetryAfter = 600

// Error implements error.
func (a *answered) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("the server answered %d %s", a.status, http.StatusText(a.status)))
	if a.detail != "" {
		text += ": " + strings.TrimSuffix(a.detail, ".")
	}
	return text
}

// Is makes an answer errRefused where the next one would be the same.
func (a *answered) Is(target error) bool {
	return target == errRefused && a.status < http.StatusInternalServerError &&
		a.status != http.StatusRequestTimeout && a.status != http.StatusTooManyRequests
}
