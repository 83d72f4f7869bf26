package proxy

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// recorder keeps the bytes that are read from a connection.
type recorder struct {
	net.Conn
	mu   sync.Mutex
	read []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = append(r.read, b[:n]...)
	return n, err
}

// records returns the lengths of the TLS records of application data, behind
// the answer to the SSLRequest (RFC 8446, 5.1).
func (r *recorder) records() (lengths []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for b := r.read; len(b) > 5; {
		n := int(b[3])<<8 | int(b[4])
		if b[0] == 23 {
			lengths = append(lengths, n)
		}
		b = b[min(5+n, len(b)):]
	}
	return lengths
}

// libpq's asynchronous interface can stall on larger records.
// The fake server's own are twice as large.
func TestNoRecordToAClientHoldsMoreThan8KiB(t *testing.T) {
	const most, overhead = 8 << 10, 1 + 16
	h := open(t)
	value := strings.Repeat("x", 300_000)
	h.server.on("SELECT much", func(b *backend) {
		b.send(row(value), complete("SELECT 1"), ready("I"))
	})
	c := h.dial()
	c.write(sslRequest)
	c.wantByte('S')
	wire := &recorder{Conn: c.raw}
	c.raw = wire
	c.handshake()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.greeted()
	c.write(query("SELECT much"))
	c.wants(row(value), complete("SELECT 1"), ready("I"))
	c.leave()
	full := 0
	for _, n := range wire.records() {
		if n > most+overhead {
			t.Fatalf("a record of %d bytes", n)
		}
		if n == most+overhead {
			full++
		}
	}
	if full < 20 {
		t.Errorf("%d full records of %d bytes", full, len(value))
	}
}
