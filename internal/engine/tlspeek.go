//go:build go1.26 && !go1.28 && !pgseal_notlspeek

package engine

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// This file alone knows what is inside a tls.Conn, for which crypto/tls has no
// call. It is built for the versions of Go that it was tested with, and not
// with the build tag pgseal_notlspeek; for all others tlspeek_none.go takes its
// place, and everything works but for what is said there.

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

// findTLSBuffers looks the fields up by name and type. Where they are not as
// expected, nothing is known.
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

func rawInput(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.raw))
}

func handInput(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.hand))
}

func plainInput(c *tls.Conn) *bytes.Reader {
	return (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), tlsBuffers.view))
}

// keepBuffer is how large a TLS connection's read buffer may stay while the
// connection is idle: enough for a query of usual size without allocating
// anew.
const keepBuffer = 2 << 10

// fat reports whether a TLS connection's read buffer is larger than an idle
// one should keep. It is called where the connection may be read.
func fat(c *tls.Conn) bool {
	return tlsBuffers.known && rawInput(c).Cap() > keepBuffer
}

// trim drops the read buffers of a TLS connection that holds nothing in them.
// It is called where the connection may be read.
func trim(c *tls.Conn) {
	if !tlsBuffers.known {
		return
	}
	raw, hand, view := rawInput(c), handInput(c), plainInput(c)
	if raw.Len() > 0 || hand.Len() > 0 || view.Len() > 0 {
		return
	}
	*raw, *hand, *view = bytes.Buffer{}, bytes.Buffer{}, bytes.Reader{}
}

// held returns how many bytes a TLS connection is known to hold that it has
// not handed out yet. It is called where the connection may be read.
func held(c *tls.Conn) int {
	if !tlsBuffers.known {
		return 0
	}
	return rawInput(c).Len() + plainInput(c).Len()
}

// drained reports whether a TLS connection is known to hold no bytes that it
// could make plaintext of. It is called where the connection may be read.
func drained(c *tls.Conn) bool {
	return tlsBuffers.known && rawInput(c).Len() == 0 && plainInput(c).Len() == 0
}
