package transport

import "context"

// An OpenError says which of several channels a client may not, or cannot, hear.
type OpenError struct {
	Index int // among the channels
	Err   error
}

// Error implements error.
func (e *OpenError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *OpenError) Unwrap() error { return e.Err }

// Open joins c and subscribes all channels, for a protocol whose clients hear either
// all of their channels or none: it returns the first error of any, as an *OpenError. The
// caller ends the Session.
func Open(ctx context.Context, c Client, s Subscriber, channels []Subscription) (Session, error) {
	session, err := c.Join(ctx, s)
	if err != nil {
		return nil, err
	}
	for i, err := range session.Subscribe(ctx, channels...) {
		if err != nil {
			session.Leave()
			return nil, &OpenError{Index: i, Err: err}
		}
	}
	return session, nil
}
