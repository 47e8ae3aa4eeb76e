package brokertest

import (
	"github.com/pregon/pregon/broker"
)

// traces are what messages in the case about traces are published with, and what must arrive.
var traces = []struct{ with, want string }{
	{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	{"", ""},
	{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"},
	{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", ""}, // not sampled
	{"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", ""}, // not well formed
	{"\xFF\x00\r\n", ""},
}

// testTraces publishes each trace with text, which may need no envelope otherwise, and binary.
func testTraces(f *fixture) {
	node, other := f.node(), f.node()
	r := f.read(f.feed(other, "c"))
	for _, trace := range traces {
		for _, binary := range []bool{false, true} {
			sent := broker.Message{Channel: "c", Data: []byte("¡Hola!"), Binary: binary, Traceparent: trace.with}
			if _, err := node.Publish(f.Context(), sent); err != nil {
				f.Fatalf("publishing in the trace %q: %v", trace.with, err)
			}
			m := r.message()
			if string(m.Data) != string(sent.Data) || m.Binary != binary {
				f.Fatalf("a message in the trace %q is %q, binary %v; want %q, %v", trace.with, m.Data, m.Binary, sent.Data, binary)
			}
			if m.Traceparent != trace.want {
				f.Fatalf("a message in the trace %q arrives in %q, want %q", trace.with, m.Traceparent, trace.want)
			}
		}
	}
}
