package broker

// An Embedded is a Broker whose backend is within the process: no other one hears what it carries, and
// what it keeps ends with the process. So another process cannot take over from it. It is an optional
// capability, found by a type assertion.
type Embedded interface {
	Broker
	// IsEmbedded does nothing.
	IsEmbedded()
}
