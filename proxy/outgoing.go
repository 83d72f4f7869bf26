package proxy

import "sync"

// outgoing gathers what goes to a server, so that it goes in one write. Bytes
// that pass as they came are not copied, unless something stands between them.
type outgoing struct {
	from       []byte // what the client sent
	start, end int    // of the part of it that passes
	joined     *[]byte
}

// joints holds buffers for what has to be copied together.
var joints = sync.Pool{New: func() any {
	b := make([]byte, 0, 4<<10)
	return &b
}}

// keepJoint is how large a buffer is worth keeping.
const keepJoint = 128 << 10

// pass adds n bytes of what the client sent, from at on.
func (o *outgoing) pass(at, n int) {
	switch {
	case n == 0:
	case o.joined != nil && len(*o.joined) > 0:
		*o.joined = append(*o.joined, o.from[at:at+n]...)
	case o.start == o.end:
		o.start, o.end = at, at+n
	case o.end == at:
		o.end = at + n
	default:
		o.join(o.from[at : at+n])
	}
}

// insert adds bytes that the client did not send.
func (o *outgoing) insert(b []byte) {
	if len(b) > 0 {
		o.join(b)
	}
}

func (o *outgoing) join(b []byte) {
	if o.joined == nil {
		o.joined = joints.Get().(*[]byte)
	}
	*o.joined = append(append(*o.joined, o.from[o.start:o.end]...), b...)
	o.start, o.end = 0, 0
}

// take returns what was gathered, which is good until more is.
func (o *outgoing) take() []byte {
	b := o.from[o.start:o.end]
	o.start, o.end = 0, 0
	if o.joined != nil && len(*o.joined) > 0 {
		b = *o.joined
		*o.joined = (*o.joined)[:0]
	}
	return b
}

// free returns the buffer that outgoing has borrowed.
func (o *outgoing) free() {
	if o.joined == nil {
		return
	}
	if cap(*o.joined) <= keepJoint {
		*o.joined = (*o.joined)[:0]
		joints.Put(o.joined)
	}
	o.joined = nil
}
