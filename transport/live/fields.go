package live

import (
	"bytes"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pregon/pregon/transport/item"
)

// A member is one that a command may have.
type member uint8

const (
	mType member = iota
	mRef
	mChannel
	mSince
	mHistory
	mPresence
	mMember
	mData
	mEncoding
	mKey
	mToken
	memberCount
)

var memberNames = map[string]member{
	"type": mType, "ref": mRef, "channel": mChannel, "since": mSince, "history": mHistory, "presence": mPresence,
	"member": mMember, "data": mData, "encoding": mEncoding, "key": mKey, "token": mToken,
}

// fields are the members of a command, each the JSON that it came as, or empty.
type fields struct {
	values   [memberCount][]byte // parts of what was read
	unknown  bool                // there are others
	repeated [memberCount]bool   // of which readers take different ones (RFC 8259, section 4)
}

// decoders are for readFields.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// readFields reads text, which is UTF-8. It reports false where that is no JSON object; what came
// before its fault is in f.
func readFields(text []byte) (f fields, ok bool) {
	in := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(in)
	defer in.Reset(nothingToRead) // so that text is not kept
	in.Reset(bytes.NewBuffer(text), item.Grammar...)
	if in.PeekKind() != '{' {
		return f, false
	}
	_, _ = in.ReadToken()
	for in.PeekKind() == '"' {
		if !f.readOne(in, text) {
			return f, false
		}
	}
	if _, err := in.ReadToken(); err != nil {
		return f, false
	}
	_, err := in.ReadToken()
	return f, err == io.EOF // nothing follows
}

var nothingToRead = bytes.NewReader(nil)

// readOne reads a name and its value. It reports false where they are not JSON.
func (f *fields) readOne(in *jsontext.Decoder, text []byte) bool {
	name, err := in.ReadValue()
	if err != nil {
		return false
	}
	m, known := memberOf(name)
	value, err := in.ReadValue()
	end := int(in.InputOffset())
	if err != nil || end == len(text) { // where a number may be cut
		return false
	}
	if !known {
		f.unknown = true
		return true
	}
	f.repeated[m] = len(f.values[m]) > 0
	f.values[m] = text[end-len(value) : end]
	return true
}

// memberOf returns the member of a name, which is a JSON string.
func memberOf(name []byte) (m member, known bool) {
	if bytes.IndexByte(name, '\\') < 0 {
		m, known = memberNames[string(name[1:len(name)-1])]
		return m, known
	}
	text, _ := item.Text(name)
	m, known = memberNames[text]
	return m, known
}
