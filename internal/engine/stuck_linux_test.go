package engine

import (
	"net"
	"reflect"
	"testing"
	"time"
)

// reserved returns how much memory a connection's buffers take, those of
// crypto/tls among them.
func reserved(t *testing.T, conn Conn) (n int) {
	t.Helper()
	c := conn.(*loopConn)
	at(t, c, func() {
		c.io.mu.Lock()
		defer c.io.mu.Unlock()
		n = cap(c.rest) + cap(c.unread) + cap(c.io.out)
		if c.tls != nil {
			raw := reflect.ValueOf(c.tls).Elem().FieldByName("rawInput")
			n += raw.FieldByName("buf").Cap()
		}
	})
	return n
}

// Neither peer reads, and both send all they can: nothing makes a link keep
// more.
func TestALinkThatIsStuckBothWaysKeepsLittle(t *testing.T) {
	const most = 128 << 10
	eachLoops(t, func(t *testing.T, e Engine, secure bool) {
		a, b := newHandler(), newHandler()
		ends := []net.Conn{adopt(t, e, secure, a), adopt(t, e, secure, b)}
		link(t, a, b, nil)
		done := make(chan struct{}, len(ends))
		for _, end := range ends {
			go func() {
				for {
					if _, err := end.Write(make([]byte, much)); err != nil {
						break
					}
				}
				done <- struct{}{}
			}()
		}
		for begun := time.Now(); kept(t, a.conn) == 0 || kept(t, b.conn) == 0; {
			if time.Since(begun) > patience {
				t.Fatal("nothing is kept although nobody reads")
			}
		}
		largest := 0
		for range 100 {
			largest = max(largest, reserved(t, a.conn)+reserved(t, b.conn))
		}
		if largest > most {
			t.Errorf("a link takes %d bytes of memory, more than %d", largest, most)
		}
		for _, end := range ends {
			end.Close()
		}
		for range ends {
			receive(t, "a writer to end", done)
		}
	})
}
