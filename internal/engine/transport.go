package engine

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// Transport is a net.Conn that can change from blocking calls to an event
// loop underneath whoever reads and writes it, such as a tls.Conn.
type Transport struct {
	conn net.Conn
	io   rawIO // nil until an event loop adopts it
	// maxRecord is the most plaintext that the engine puts in a TLS record.
	maxRecord int
}

// maxRecord is the most plaintext that a TLS record holds (RFC 8446, 5.1).
const maxRecord = 16 << 10

// LimitRecords bounds the plaintext in each TLS record that the engine will
// send on secured, which stands on t, to size bytes. The connection it returns
// keeps to that too, for writes before the adoption.
func (t *Transport) LimitRecords(secured *tls.Conn, size int) net.Conn {
	t.maxRecord = size
	return limited{secured, size}
}

// limited is a TLS connection whose records are bounded.
type limited struct {
	*tls.Conn
	size int
}

// Write implements net.Conn.
func (l limited) Write(b []byte) (int, error) { return writeRecords(l.Conn, b, l.size) }

// writeRecords writes b in records of so many bytes of plaintext at most.
func writeRecords(conn *tls.Conn, b []byte, size int) (n int, err error) {
	for {
		end := min(n+size, len(b))
		var m int
		m, err = conn.Write(b[n:end])
		n += m
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// rawIO reads and writes a socket without ever waiting.
type rawIO interface {
	read(b []byte) (int, error)
	write(b []byte) (int, error)
}

// NewTransport wraps a connection that nothing was read from yet.
func NewTransport(conn net.Conn) *Transport { return &Transport{conn: conn, maxRecord: maxRecord} }

// Read implements net.Conn.
func (t *Transport) Read(b []byte) (int, error) {
	if t.io != nil {
		return t.io.read(b)
	}
	return t.conn.Read(b)
}

// Write implements net.Conn.
func (t *Transport) Write(b []byte) (int, error) {
	if t.io != nil {
		return t.io.write(b)
	}
	return t.conn.Write(b)
}

// Close implements net.Conn. An event loop closes by itself.
func (t *Transport) Close() error {
	if t.io != nil {
		return nil
	}
	return t.conn.Close()
}

// LocalAddr implements net.Conn.
func (t *Transport) LocalAddr() net.Addr { return t.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (t *Transport) RemoteAddr() net.Addr { return t.conn.RemoteAddr() }

// SetDeadline implements net.Conn. It has no effect on an event loop, nor have
// the two below.
func (t *Transport) SetDeadline(at time.Time) error {
	if t.io != nil {
		return nil
	}
	return t.conn.SetDeadline(at)
}

// SetReadDeadline implements net.Conn.
func (t *Transport) SetReadDeadline(at time.Time) error {
	if t.io != nil {
		return nil
	}
	return t.conn.SetReadDeadline(at)
}

// SetWriteDeadline implements net.Conn.
func (t *Transport) SetWriteDeadline(at time.Time) error {
	if t.io != nil {
		return nil
	}
	return t.conn.SetWriteDeadline(at)
}

// CloseWrite closes the sending side, or says that the connection does not know
// how to.
func (t *Transport) CloseWrite() error {
	if c, ok := t.conn.(interface{ CloseWrite() error }); ok && t.io == nil {
		return c.CloseWrite()
	}
	return syscall.EOPNOTSUPP
}

// SyscallConn implements syscall.Conn, for connections that have a socket.
func (t *Transport) SyscallConn() (syscall.RawConn, error) {
	if c, ok := t.conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, syscall.EINVAL
}
