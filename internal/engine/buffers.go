package engine

import "sync"

// bufferSize is how many bytes a loop reads from a socket at once, and how
// many it hands to a handler at once: two TLS records of the largest size.
const bufferSize = 32 << 10

// buffers holds buffers for bytes that have to wait: those that the kernel
// does not take, and those that a handler left. They are borrowed for as long
// as that lasts, so an idle connection has none.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, bufferSize+bufferSize/4) // with room for what TLS adds
	return &b
}}

// borrow returns an empty buffer.
func borrow() []byte { return (*buffers.Get().(*[]byte))[:0] }

// giveBack returns a buffer, unless it has grown so far that it should rather
// be garbage.
func giveBack(b []byte) {
	if cap(b) >= bufferSize && cap(b) <= 4*bufferSize {
		buffers.Put(&b)
	}
}
