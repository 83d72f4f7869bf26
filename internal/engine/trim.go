package engine

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// keepBuffer is how large a TLS connection's read buffer may stay while the
// connection is idle: enough for a query of usual size without allocating
// anew.
const keepBuffer = 2 << 10

// tlsBuffers says where in a tls.Conn the buffers are that hold what was read:
// raw records, handshake messages, and the view on a decrypted record. They
// grow to the largest record that ever came, and crypto/tls never gives them
// back: 3.5 KB after the handshake, 34 KB after one full record, for as long
// as a client is connected.
var tlsBuffers = findTLSBuffers()

type tlsLayout struct {
	known           bool
	raw, hand, view uintptr
}

// findTLSBuffers looks the fields up by name and type. Where crypto/tls has
// changed, nothing is known, and the buffers stay as they are; a test says so.
func findTLSBuffers() (l tlsLayout) {
	conn := reflect.TypeFor[tls.Conn]()
	raw, ok1 := conn.FieldByName("rawInput")
	hand, ok2 := conn.FieldByName("hand")
	view, ok3 := conn.FieldByName("input")
	l.known = ok1 && ok2 && ok3 && raw.Type == reflect.TypeFor[bytes.Buffer]() &&
		hand.Type == reflect.TypeFor[bytes.Buffer]() && view.Type == reflect.TypeFor[bytes.Reader]()
	l.raw, l.hand, l.view = raw.Offset, hand.Offset, view.Offset
	return l
}

// fat reports whether a TLS connection's read buffer is larger than an idle
// one should keep. It is called where the connection may be read.
func fat(c *tls.Conn) bool {
	if !tlsBuffers.known {
		return false
	}
	raw := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.raw))
	return raw.Cap() > keepBuffer
}

// trim drops the read buffers of a TLS connection that holds nothing in them.
// It is called where the connection may be read.
func trim(c *tls.Conn) {
	if !tlsBuffers.known {
		return
	}
	raw := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.raw))
	hand := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.hand))
	view := (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.view))
	if raw.Len() > 0 || hand.Len() > 0 || view.Len() > 0 {
		return
	}
	*raw, *hand, *view = bytes.Buffer{}, bytes.Buffer{}, bytes.Reader{}
}

// preload puts what was read from the socket where crypto/tls looks for it
// first, and returns what it did not take. Each time crypto/tls has to ask for
// bytes it allocates; for a few that is worth avoiding. It is called where the
// connection may be read.
func preload(c *tls.Conn, in []byte) []byte {
	if len(in) == 0 || len(in) > keepBuffer || !drained(c) {
		return in
	}
	raw := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.raw))
	raw.Write(in)
	return nil
}

// held returns how many bytes a TLS connection holds that it has not handed
// out yet. It is called where the connection may be read.
func held(c *tls.Conn) int {
	if !tlsBuffers.known {
		return 0
	}
	raw := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.raw))
	view := (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.view))
	return raw.Len() + view.Len()
}

// drained reports whether a TLS connection is known to hold no bytes that it
// could make plaintext of. It is called where the connection may be read.
func drained(c *tls.Conn) bool {
	if !tlsBuffers.known {
		return false
	}
	raw := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.raw))
	view := (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.view))
	return raw.Len() == 0 && view.Len() == 0
}
