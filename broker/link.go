package broker

// A Linked is a Broker whose Feeds hear over connections to a backend, which can be lost and are made
// again. It is an optional capability, found by a type assertion: a server shows it to its operator, and
// what nodes do does not depend on it. A driver that connects to nothing is none.
type Linked interface {
	Broker
	// Link returns how these connections are now. It does not wait.
	Link() Link
}

// A Link is how the connections of a Broker's Feeds are at one moment.
type Link struct {
	// Up says that each Feed has its connection, and that the backend has confirmed all that the Feed
	// carries on it. It is true where there is no Feed.
	Up bool
	// Restored is how many times a Feed had this again after it was lost, since the Broker was opened.
	Restored uint64
}
