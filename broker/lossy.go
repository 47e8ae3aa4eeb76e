package broker

// A Lossy is a Broker whose backend can be set up so that messages are lost without a word to anybody: no
// Feed hears them, and no gap is told. It is an optional capability, found by a type assertion. Where a driver is
// one its operator has to know, so a server logs what NotPromised says, and shows it where it says that it is ready.
type Lossy interface {
	Broker
	// NotPromised says in a sentence for people what may be lost like this, as far as the connections made until now
	// have shown: the backend may be known only then. It is empty where every loss is told. It contains no
	// secrets, as everybody may read it, and does not wait.
	NotPromised() string
}

// NotPromised returns what b may lose without a word to anybody, as [Lossy] says it; empty for nothing.
func NotPromised(b Broker) string {
	if lossy, is := b.(Lossy); is {
		return lossy.NotPromised()
	}
	return ""
}
