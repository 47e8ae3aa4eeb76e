package bench

import "bytes"

// events decodes an event stream (WHATWG HTML, section 9.2.6). A message is the
// data of an event of the default type.
type events struct {
	skipLF bool // the last line ended with CR, and LF may follow
	name   []byte
	data   []byte
	filled bool // there was a data line
}

// next implements decoder. It takes one line.
func (d *events) next(b []byte) (event, int, error) {
	skipped := 0
	if len(b) > 0 && d.skipLF {
		d.skipLF = false
		if b[0] == '\n' {
			skipped, b = 1, b[1:]
		}
	}
	end := lineEnd(b)
	switch {
	case end < 0 && len(b) > maxEvent, len(d.data) > maxEvent:
		return event{}, 0, errTooLong
	case end < 0:
		return event{}, skipped, nil
	}
	d.skipLF = b[end] == '\r'
	return d.line(b[:end]), skipped + end + 1, nil
}

// lineEnd returns where the first CR or LF is, or -1.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf < 0 {
		return bytes.IndexByte(b, '\r')
	}
	if cr := bytes.IndexByte(b[:lf], '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// line takes one line without its end. An empty one ends an event.
func (d *events) line(line []byte) event {
	if len(line) == 0 {
		return d.dispatch()
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		d.name = append(d.name[:0], value...)
	case "data":
		if d.filled {
			d.data = append(d.data, '\n')
		}
		d.data = append(d.data, value...)
		d.filled = true
	}
	return event{}
}

func (d *events) dispatch() event {
	e := event{data: d.data}
	switch name := string(d.name); {
	case !d.filled:
	case name == "gap":
		e.kind = gap
	case name == "" || name == "message":
		e.kind = message
	}
	d.name, d.data, d.filled = d.name[:0], d.data[:0], false
	return e
}
