package cmd

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// take does with one frame what it is for: messages are printed, and what else is of interest is told.
func (s *subscription) take(ctx context.Context, f frame) error {
	switch f.Type {
	case "message":
		if err := s.printMessage(f); err != nil {
			return err
		}
		s.remember(f.ID)
		return nil
	case "start":
		s.remember(f.ID)
		return nil
	case "error":
		return s.refused(ctx, f)
	case "renewed":
		s.renewIn(seconds(f.TTL))
		return nil
	case "gap", "subscribed", "unsubscribed", "members", "presence":
		if err := s.printEvent(f); err != nil {
			return err
		}
	}
	switch f.Type {
	case "subscribed":
		s.began(f)
	case "unsubscribed":
		return s.ended(f)
	}
	return nil
}

// began notes that a stay has begun.
func (s *subscription) began(f frame) {
	if f.Recovered != nil && !*f.Recovered {
		s.note("%q cannot be continued where it was left: messages may be missing here", f.Channel)
	}
	if s.asked[f.Channel] {
		s.note("listening to %s", f.Channel)
		delete(s.asked, f.Channel)
	}
	s.remember(f.ID)
}

// ended notes that a stay has ended: as it was asked for, or because the server says so.
func (s *subscription) ended(f frame) error {
	if f.answered() == nil {
		s.note("not listening to %s any more", f.Channel)
		return nil
	}
	return s.lost(f)
}

// lost gives a channel up that the server does not allow, and the whole sub where it was the last one
// and not just asked for.
func (s *subscription) lost(f frame) error {
	if !slices.Contains(s.channels, f.Channel) {
		return nil
	}
	asked := s.asked[f.Channel]
	s.drop(f.Channel)
	if len(s.channels) == 0 && !asked {
		return refusal{fmt.Errorf("%s: %w", f.Channel, s.client.hint(f.answered()))}
	}
	s.tellRefusal(f.Channel, f.answered(), "")
	return nil
}

// refused deals with an error frame: of the connection, of a renewal, or of one channel.
func (s *subscription) refused(ctx context.Context, f frame) error {
	a := f.answered()
	switch {
	case a == nil:
		return nil
	case f.Channel == "" && f.Ref == 0: // the close that follows says whether to come back
		return fmt.Errorf("subscribe: %w", s.client.hint(a))
	case f.Channel == "":
		s.tellRefusal("renew the token", a, "")
		return nil
	case !a.Is(errRefused):
		s.tellRefusal(f.Channel, a, "; trying again")
		s.later(ctx, f.Channel, max(a.retry, time.Second))
		return nil
	case slices.Contains(s.Channels, f.Channel) && !s.asked[f.Channel]:
		return fmt.Errorf("subscribe: %s: %w", f.Channel, s.client.hint(a)) // as one request for all of them would be
	}
	return s.lost(f)
}

// later has a channel subscribed to once more, unless ctx ends before.
func (s *subscription) later(ctx context.Context, channel string, wait time.Duration) {
	time.AfterFunc(wait, func() {
		select {
		case s.again <- channel:
		case <-ctx.Done():
		}
	})
}

// tellRefusal tells a person what was refused, and why.
func (s *subscription) tellRefusal(what string, a *answered, rest string) {
	fmt.Fprintf(s.out.stderr, "pregon: %s%s\n", shown(s.out.stderr, what+": "+s.client.hint(a).Error()), rest)
}
