package transport

import "context"

// Open joins c and subscribes all channels, for a protocol whose clients hear either
// all of their channels or none: it returns the first error of any. The caller ends the
// Session.
func Open(ctx context.Context, c Client, s Subscriber, channels []Subscription) (Session, error) {
	session, err := c.Join(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, err := range session.Subscribe(ctx, channels...) {
		if err != nil {
			session.Leave()
			return nil, err
		}
	}
	return session, nil
}
