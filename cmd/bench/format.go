package bench

import "bytes"

// A wrapping is what a format puts around each message of one channel. The names
// of channels here need no escapes.
type wrapping struct{ before, after string }

// gapPrefix begins what the json format says instead of a message.
const gapPrefix = `{"type":"gap",`

func wrap(format, channel string) wrapping {
	switch format {
	case "json":
		return wrapping{`{"type":"message","channel":"` + channel + `","data":"`, `"}`}
	case "text":
		return wrapping{"[" + channel + "] ", ""}
	}
	return wrapping{}
}

// unwrap returns the message that was published, or false where data is
// something else.
func (w wrapping) unwrap(data []byte) ([]byte, bool) {
	data, ok1 := bytes.CutPrefix(data, []byte(w.before))
	data, ok2 := bytes.CutSuffix(data, []byte(w.after))
	return data, ok1 && ok2
}
