package bench

import "bytes"

// A wrapping is what a format puts around each message of one channel. The names
// of channels and the messages here need no escapes.
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
// something else. A JSON object may go on with the message's id and who published it.
func (w wrapping) unwrap(data []byte) ([]byte, bool) {
	data, ok := bytes.CutPrefix(data, []byte(w.before))
	if !ok || w.after == "" {
		return data, ok
	}
	data, rest, ok := bytes.Cut(data, []byte(`"`))
	return data, ok && (string(rest) == "}" || bytes.HasPrefix(rest, []byte(`,"`)) && bytes.HasSuffix(rest, []byte("}")))
}
