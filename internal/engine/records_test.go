package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
)

// recorded notes the length of each record of application data that is read
// from a connection (RFC 8446, 5.1).
type recorded struct {
	net.Conn
	head    []byte
	body    int
	lengths []int
}

const applicationData = 23

func (r *recorded) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	for _, c := range b[:n] {
		if r.body > 0 {
			r.body--
			continue
		}
		if r.head = append(r.head, c); len(r.head) == 5 {
			r.body = int(r.head[3])<<8 | int(r.head[4])
			if r.head[0] == applicationData {
				r.lengths = append(r.lengths, r.body)
			}
			r.head = r.head[:0]
		}
	}
	return n, err
}

// overhead is the most that the cipher suites in use add to a record.
const overhead = 8 + 16

// recordedPair returns the ends of a TLS connection whose records to the
// client are bounded and noted.
func recordedPair(t *testing.T, version uint16, size int) (*Transport, *tls.Conn, net.Conn, *tls.Conn, *recorded) {
	t.Helper()
	ours, theirs := tcpPair(t)
	record := &recorded{Conn: theirs}
	config := clientTLS()
	config.MaxVersion = version
	client := tls.Client(record, config)
	transport := NewTransport(ours)
	server := tls.Server(transport, serverTLS())
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), receive(t, "the handshake", done)); err != nil {
		t.Fatal(err)
	}
	record.lengths = nil // under TLS 1.3 the handshake looks like data
	return transport, server, transport.LimitRecords(server, size), client, record
}

func TestNoRecordIsLargerThanItsLimit(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{512, 8 << 10, 16 << 10} {
			t.Run(fmt.Sprintf("%s/%d", tls.VersionName(version), size), func(t *testing.T) {
				eachEngine(t, func(t *testing.T, e Engine) {
					transport, server, limited, client, record := recordedPair(t, version, size)
					want := pattern(200_000)
					h := newHandler()
					written := make(chan struct{})
					go func() {
						defer close(written)
						limited.Write(want[:50_000]) // before the adoption
						e.Adopt(transport, server, h, func(c Conn) { h.conn = c })
						h.conn.Write(want[50_000:50_100], nil)
						h.conn.Write(want[50_100:], nil)
					}()
					got := make([]byte, len(want))
					if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("what came is not what was sent (%v)", err)
					}
					<-written
					h.conn.Close()
					full := 0
					for _, n := range record.lengths {
						if n > size+overhead {
							t.Fatalf("a record of %d bytes", n)
						}
						if n > size {
							full++
						}
					}
					if want := len(want)/size - 2; full < want {
						t.Errorf("only %d full records of %d", full, want)
					}
				})
			})
		}
	}
}

// An event loop hands on in one piece what came in one piece, so that many
// small messages cost one record and one system call.
func TestManySmallMessagesBecomeOneRecord(t *testing.T) {
	for _, loops := range []int{1, 2, 8} {
		ours, theirs := tcpPair(t)
		link := &gathered{TCPConn: theirs}
		record := &recorded{Conn: link}
		client := tls.Client(record, clientTLS())
		adoptTLS(t, newEngine(t, loops), ours, func() error { return errors.Join(client.Handshake(), link.flush()) }, echo())
		record.lengths = nil
		sent := pattern(100 * 70)
		for b := sent; len(b) > 0; b = b[70:] {
			client.Write(b[:70])
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("what came is not what was sent (%v)", err)
		}
		if len(record.lengths) != 1 {
			t.Errorf("%d loops: 100 messages came back in %d records", loops, len(record.lengths))
		}
	}
}
