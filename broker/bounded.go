package broker

import "context"

// A Bounded is a Broker whose backend takes messages up to a length that its operator has set. It is an
// optional capability, found by a type assertion.
type Bounded interface {
	Broker
	// LongestData asks the backend, and returns how many bytes of Data a Message may have, whatever else it
	// has. What is longer may be refused with ErrTooLarge.
	LongestData(ctx context.Context) (int, error)
}
