package transport

import "net/http"

// CheckHijack returns nil where the connection behind w can be taken over from
// net/http, and otherwise what to answer. A Transport that takes connections over
// asks before it joins: [http.ResponseController.Hijack] tells only when it is
// done, and after that nothing can be answered.
//
// What wraps a ResponseWriter must have a method Unwrap, as http.ResponseController
// says, or be an http.Hijacker itself.
func CheckHijack(w http.ResponseWriter) *Problem {
	if _, ok := innermost(w).(http.Hijacker); ok {
		return nil
	}
	return &Problem{Status: http.StatusInternalServerError, Code: "no_hijack",
		Detail: "A middleware in front of this server hides http.Hijacker, without which it cannot serve clients that listen."}
}
