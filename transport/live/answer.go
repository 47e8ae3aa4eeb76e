package live

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/internal/websocket"
)

// An object is one that is sent to a client, as far as it is written.
type object []byte

// answer begins the object of a type that answers a command.
func answer(kind string, ref []byte, channel string) object {
	o := append(make(object, 0, 160), `{"type":"`...)
	o = append(append(o, kind...), '"')
	if len(ref) > 0 {
		o = append(append(o, `,"ref":`...), ref...)
	}
	return o.text("channel", channel)
}

// text adds a member, unless it is empty.
func (o object) text(name, value string) object {
	if value == "" {
		return o
	}
	o, _ = jsontext.AppendQuote(o.name(name), value) // values are UTF-8
	return o
}

// whole adds a member that is a whole number.
func (o object) whole(name string, value int) object {
	return strconv.AppendInt(o.name(name), int64(value), 10)
}

func (o object) name(name string) object { return append(append(append(o, `,"`...), name...), `":`...) }

// expiry adds when a credential ends, if it does.
func (o object) expiry(expires time.Time) object {
	if expires.IsZero() {
		return o
	}
	ttl := max(0, int(time.Until(expires)/time.Second))
	return o.text("expires", expires.UTC().Format(time.RFC3339)).whole("ttl", ttl)
}

// problem adds what is wrong.
func (o object) problem(p *transport.Problem) object {
	o = o.whole("status", p.Status).text("code", p.Code).text("detail", p.Detail)
	if p.RetryAfter > 0 {
		o = o.whole("retry", p.RetryAfter)
	}
	return o
}

// appendFrame appends the frame of the object, which is complete, to dst.
func (o object) appendFrame(dst []byte) []byte {
	return websocket.AppendTextFrame(dst, append(o, '}'))
}

// frame returns the frame of the object, which is complete.
func (o object) frame() []byte { return o.appendFrame(nil) }

// failed is the answer to a command that was not done because of p.
func failed(ref []byte, channel string, p *transport.Problem) object {
	return answer("error", ref, channel).problem(p)
}

// subscribed is the answer to a subscribe.
func subscribed(ref []byte, s transport.Subscribed, continued bool) object {
	o := answer("subscribed", ref, s.Channel).text("id", transport.Cursor(s.Channel, s.Position))
	if continued {
		o = strconv.AppendBool(o.name("recovered"), s.Recovered)
	}
	return o
}

// published is the answer to a publish.
func published(ref []byte, channel string, r broker.Receipt) object {
	o := answer("published", ref, channel).text("id", transport.Cursor(channel, r.Position))
	if r.Repeated {
		o = append(o.name("repeated"), "true"...)
	}
	return o
}

// membersType is what a page of members begins with, as the format json has it.
const membersType = `{"type":"members"`

// page is a page of the answer to a members command: as the format json has it, with the ref.
func page(format transport.Format, ref []byte, m transport.Members) object {
	told, _ := format.AppendMembers(nil, m)
	o := append(make(object, 0, len(told)+len(ref)+8), membersType...)
	if len(ref) > 0 {
		o = append(o.name("ref"), ref...)
	}
	return append(o, told[len(membersType):len(told)-1]...)
}

// ended is what a client is told where the server ends its stay in a channel.
func ended(channel string, reason transport.CloseReason) object {
	p := &transport.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "You may not hear this channel any more."}
	if reason == transport.CloseDenied {
		p = &transport.Problem{Status: http.StatusForbidden, Code: "broker_denied", Detail: "The broker does not allow this server to use this channel any more."}
	}
	return answer("unsubscribed", nil, channel).problem(p)
}

// welcome is the first that a client is sent.
func (t *Transport) welcome(c transport.Client) object {
	id := c.Identity()
	o := answer("welcome", nil, "").text("session", c.Session()).text("sub", id.Subject).expiry(id.Expires)
	o = o.whole("ping", max(1, int(t.env.PingInterval.Round(time.Second)/time.Second)))
	o = append(o.name("limits"), `{"message":`...)
	o = strconv.AppendInt(o, t.env.MaxMessage, 10)
	if t.env.MaxChannels > 0 {
		o = o.whole("channels", t.env.MaxChannels)
	}
	return append(o, '}')
}
