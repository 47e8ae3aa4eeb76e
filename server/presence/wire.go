package presence

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

const (
	version    = 1
	buckets    = 64        // of channels, by their names
	maxNodes   = 100       // this one included
	maxMessage = 256 << 10 // bytes of a message that is read; those that are written have a quarter of it
	maxID      = 64        // bytes of a node's name
	maxCount   = 1 << 24   // connections of a member to one node
)

// A message is what one node tells all others. It has one of Beat, Changes, Ask and Part.
type message struct {
	Version  int    `json:"v"`
	From     string `json:"from"`
	Sequence uint64 `json:"seq"` // one more with each message of the node, from 1 on

	Beat    *beat             `json:"beat,omitempty"`
	Changes []change          `json:"changes,omitempty"`
	Ask     map[string]uint64 `json:"ask,omitempty"` // buckets of other nodes, one a bit
	Part    *part             `json:"part,omitempty"`
}

// A beat says that a node lives, and what it has told of its members so far.
type beat struct {
	Digests []byte `json:"digests"`           // 8 bytes for each bucket
	Config  string `json:"config,omitempty"`  // hash of the node's configuration
	Leaving bool   `json:"leaving,omitempty"` // the node stops: it is the last message
}

// A change is what is true of one of the node's members now.
type change struct {
	Channel     string          `json:"c"`
	Subject     string          `json:"s"`
	Info        json.RawMessage `json:"i,omitempty"`
	Connections int             `json:"n,omitempty"` // of its connections to this node; 0 where it has left
	Since       int64           `json:"t,omitempty"` // when the newest came, in ms since 1970 by the node's clock
}

// A part is all that a node has of a bucket between two keys: the first excluded, the last
// included. What it does not have there is not so. The next part begins where this one ends.
type part struct {
	Bucket  int      `json:"bucket"`
	After   key      `json:"after"`
	Until   *key     `json:"until,omitempty"` // nil for the end of the bucket
	Members []change `json:"members,omitempty"`
}

// A key names a member of a channel. Keys are in the order of their bytes, the channel's first.
type key struct {
	Channel string `json:"c"`
	Subject string `json:"s"`
}

// errMessage means that what came is no message of this protocol.
var errMessage = errors.New("presence: not a message of a node")

// encode returns m as it is published.
func (m message) encode() []byte {
	m.Version = version
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic(err) // what is in it was checked when it came in
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// parse reads a message. Whatever it returns without an error is within all bounds.
func parse(data []byte) (message, error) {
	var m message
	if len(data) > maxMessage {
		return m, fmt.Errorf("%w: it is too long", errMessage)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if d.Decode(&m) != nil {
		return m, errMessage
	}
	if _, err := d.Token(); err != io.EOF {
		return m, fmt.Errorf("%w: something follows it", errMessage)
	}
	if m.Version != version {
		return m, fmt.Errorf("%w: it is of another version", errMessage)
	}
	if !isID(m.From) || m.Sequence == 0 || !m.isOne() || !m.isSound() {
		return m, errMessage
	}
	return m, nil
}

// isID reports whether a node can be called so. The log may have it then.
func isID(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return name != "" && len(name) <= maxID
}

// isOne reports whether m says one thing.
func (m message) isOne() bool {
	n := 0
	for _, is := range []bool{m.Beat != nil, len(m.Changes) > 0, len(m.Ask) > 0, m.Part != nil} {
		if is {
			n++
		}
	}
	return n == 1
}

// isSound reports whether what m says can be.
func (m message) isSound() bool {
	switch {
	case m.Beat != nil:
		return len(m.Beat.Digests) == 8*buckets && len(m.Beat.Config) <= maxID
	case m.Part != nil:
		return m.Part.isSound()
	case len(m.Ask) > maxNodes:
		return false
	}
	for _, c := range m.Changes {
		if !c.isSound() {
			return false
		}
	}
	return true
}

func (c change) isSound() bool {
	return broker.CheckChannel(c.Channel) == nil && c.Connections >= 0 && c.Connections <= maxCount &&
		CheckMember(transport.Member{Subject: c.Subject, Info: c.Info}) == nil
}

// isSound also looks at the order of the members, which are all there and between the part's ends.
func (p part) isSound() bool {
	last := p.After
	for _, c := range p.Members {
		if !c.isSound() || c.Connections == 0 || bucketOf(c.Channel) != p.Bucket || !last.less(c.key()) {
			return false
		}
		last = c.key()
	}
	return p.Bucket >= 0 && p.Bucket < buckets && (p.Until == nil || !p.Until.less(last))
}

func (c change) key() key { return key{c.Channel, c.Subject} }

func (k key) less(other key) bool {
	if k.Channel != other.Channel {
		return k.Channel < other.Channel
	}
	return k.Subject < other.Subject
}

// digests writes what a beat has.
func digests(of *[buckets]uint64) []byte {
	b := make([]byte, 0, 8*buckets)
	for _, d := range of {
		b = binary.BigEndian.AppendUint64(b, d)
	}
	return b
}

// digest returns that of one bucket.
func (b *beat) digest(bucket int) uint64 { return binary.BigEndian.Uint64(b.Digests[8*bucket:]) }

// bucketOf returns the bucket of a channel: FNV-1a of its name (RFC 9923), folded.
func bucketOf(channel string) int {
	h := uint32(2166136261)
	for i := range len(channel) {
		h = (h ^ uint32(channel[i])) * 16777619
	}
	return int((h ^ h>>16) % buckets)
}

// hash returns what stands for a member in the digest of its bucket, which is the sum of all of
// them modulo 2, and 0 for one who is not there.
func hash(k key, v *value) uint64 {
	if v == nil {
		return 0
	}
	b := make([]byte, 0, 64+len(k.Channel)+len(k.Subject)+len(v.info))
	for _, text := range []string{k.Channel, k.Subject, string(v.info)} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendVarint(binary.AppendVarint(b, int64(v.connections)), v.since)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}
