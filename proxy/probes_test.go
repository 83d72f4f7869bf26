package proxy

import (
	"crypto/tls"
	"net"
	"testing"

	"go.uber.org/zap"
)

// calm fails the test for a line of the log above debug. What goes to the audit
// stream is no line of the log.
func (h *house) calm() {
	h.t.Helper()
	eventually(h.t, "the connections are gone", func() bool { return h.proxy.Clients() == 0 })
	for _, line := range h.logs.All() {
		if line.Level > zap.DebugLevel && line.LoggerName != "audit" {
			h.t.Errorf("log line %q: %v", line.Message, line.ContextMap())
		}
	}
	nothing(h.t, "a server was asked", h.server.opened)
}

func TestProbesThatConnectAndLeaveAreNoEvent(t *testing.T) {
	reset := func(c *client) { c.raw.(*net.TCPConn).SetLinger(0); c.raw.Close() }
	leave := func(c *client) { c.Close() } // in TLS with a word
	cut := func(c *client) { c.raw.Close() }
	none := func(*client) {}
	asks := func(c *client) { c.write(sslRequest) }
	answered := func(c *client) { asks(c); c.wantByte('S') }
	direct := func(c *client) { ok(c.t, c.direct("postgresql")) }
	// The check of a load balancer names no protocol.
	foreign := func(c *client) {
		conn := tls.Client(c.raw, &tls.Config{RootCAs: testCA().Pool(), ServerName: "localhost"})
		ok(c.t, conn.Handshake())
		c.Conn = conn
	}
	for name, begin := range map[string]func(*client){
		"TCP": none, "SSLRequest": asks, "SSLRequest and its answer": answered,
		"TLS": (*client).secure, "direct TLS": direct, "direct TLS without ALPN": foreign,
	} {
		for how, end := range map[string]func(*client){"leaves": leave, "cuts": cut, "resets": reset} {
			t.Run(name+" "+how, func(t *testing.T) {
				h := open(t)
				c := h.dial()
				begin(c)
				end(c)
				h.calm()
			})
		}
	}
}

func TestACancelRequestWhoseKeyNobodyHasIsNoEventOfTheLog(t *testing.T) {
	h := open(t)
	h.cancel("\x00\x00\x00\x01\x00\x00\x00\x01", false)
	h.cancel("\x00\x00\x00\x01\x00\x00\x00\x01", true)
	h.calm()
	if n := h.logs.FilterMessage("cancel_refused").Len(); n != 2 {
		t.Errorf("%d are in the audit stream, want 2", n)
	}
}
