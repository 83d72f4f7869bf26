package engine

import "sync"

// bufferSize is how many bytes a loop reads from a socket at once at most, and
// how many it hands to a handler at once: more than the largest TLS record. A
// link that is stuck both ways keeps for each side one such buffer, and the
// 40 KiB or so that crypto/tls reserves for a record of that size: below
// 128 KiB in all.
const bufferSize = 22<<10 - spare

// spare is for what TLS adds to so many bytes in records of usual size.
const spare = 512

// buffers holds buffers for bytes that have to wait: those that the kernel
// does not take, and those that a handler left. They are borrowed for as long
// as that lasts, so an idle connection has none.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, bufferSize+spare)
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
