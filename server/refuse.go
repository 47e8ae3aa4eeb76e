package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/transport"
)

// accessProblem returns the answer to a caller that may not, because of err, or of whom that
// cannot be told; nil where err has another cause. The log says why, in the operator's words.
func (s *Server) accessProblem(r *http.Request, err error) *transport.Problem {
	denied, away, misnamed := (*access.DeniedError)(nil), (*token.UnavailableError)(nil), (*transport.MemberError)(nil)
	switch {
	case errors.As(err, &denied) && denied.Unauthorized():
		return s.refuse(r, unauthorized(denied.Detail(), denied.Reason == access.CredentialExpired), denied.String())
	case errors.As(err, &denied):
		return s.refuse(r, &transport.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: denied.Detail()}, denied.String())
	case errors.Is(err, transport.ErrNoPresence):
		return &transport.Problem{Status: http.StatusForbidden, Code: "no_presence", Detail: "It is not known who is in this channel: its rule has no presence."}
	case errors.Is(err, transport.ErrOtherSubject):
		return &transport.Problem{Status: http.StatusForbidden, Code: "other_subject", Detail: "The token is another subject's."}
	case errors.As(err, &misnamed):
		return &transport.Problem{Status: http.StatusBadRequest, Code: "bad_member", Detail: misnamed.Detail}
	case errors.Is(err, transport.ErrMember):
		return &transport.Problem{Status: http.StatusForbidden, Code: "bad_member", Detail: "A client cannot name itself here: the server knows by itself who its clients are, or that they are nobody."}
	case errors.As(err, &away):
		return s.refuse(r, issuerUnavailable(away.RetryAfter), away.Error())
	case errors.Is(err, access.ErrUnauthorized):
		s.badTokens.count(err)
		return s.refuse(r, unauthorized("The credential is not valid, or may not be sent this way.", true),
			strings.TrimPrefix(err.Error(), access.ErrUnauthorized.Error()+": "))
	}
	return nil
}

// unauthorized is the answer where a credential is needed, or the one that was given is not valid (RFC
// 6750, section 3).
func unauthorized(detail string, given bool) *transport.Problem {
	challenge := `Bearer realm="pregon"`
	if given {
		challenge += `, error="invalid_token"`
	}
	return &transport.Problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: detail,
		Header: http.Header{"Www-Authenticate": {challenge}}}
}

func issuerUnavailable(after time.Duration) *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "issuer_unavailable", RetryAfter: max(1, int(math.Ceil(after.Seconds()))),
		Detail: "The key of this token is not known, and its issuer cannot be asked now; try again."}
}

// refuse returns p, with which r is refused, and logs why.
func (s *Server) refuse(r *http.Request, p *transport.Problem, why string) *transport.Problem {
	s.refused.total.Add(1)
	s.tellRefused(r, s.refused, p, why)
	return p
}

// tellRefused logs why r is refused, with more of it: at the level info, unless there is too much of that, and how many such lines
// were left out since the last one.
func (s *Server) tellRefused(r *http.Request, few *sayFew, p *transport.Problem, why string, more ...any) {
	level := slog.LevelDebug
	more = append([]any{"status", p.Status, "reason", why}, more...)
	if leftOut, ok := few.next(); ok {
		level, more = slog.LevelInfo, append(more, "left_out", leftOut)
	}
	s.logOf(r).Log(r.Context(), level, "server: a request was refused", more...)
}

// Bounds of a sayFew.
const (
	sayEach   = 500 * time.Millisecond
	sayAtOnce = 10
)

// A sayFew keeps strangers from filling the log with what each of them may say again: see
// newSayFew.
type sayFew struct {
	limiter *rate.Limiter
	left    atomic.Uint64
	total   atomic.Uint64 // of what there was to say
}

func newSayFew() *sayFew { return &sayFew{limiter: rate.NewLimiter(rate.Every(sayEach), sayAtOnce)} }

// next reports whether to say something now, and otherwise counts it. It returns how many were
// left out since it last did.
func (f *sayFew) next() (leftOut uint64, ok bool) {
	if !f.limiter.Allow() {
		f.left.Add(1)
		return 0, false
	}
	return f.left.Swap(0), true
}

// shownPanic returns what a log may have of a panic: what is the runtime's own, as anything else
// may quote a request.
func shownPanic(p any) string {
	if own, ok := p.(runtime.Error); ok {
		return own.Error()
	}
	return fmt.Sprintf("%T", p)
}
