package broker

// As returns b, or the first Broker under it, as a T. It is how optional
// capabilities are found:
//
//	if p, ok := broker.As[Pinger](b); ok { … }
//
// A Broker that wraps another one has a method Unwrap() Broker.
func As[T any](b Broker) (T, bool) {
	for b != nil {
		if t, ok := b.(T); ok {
			return t, true
		}
		w, ok := b.(interface{ Unwrap() Broker })
		if !ok {
			break
		}
		b = w.Unwrap()
	}
	var zero T
	return zero, false
}
