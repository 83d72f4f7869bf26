package proxy

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// handshakes returns how many TLS handshakes of clients ended so.
func (h *house) handshakes(outcome string) (n uint64) {
	for how, times := range h.proxy.Handshakes().Counts {
		if how.Outcome == outcome {
			n += times
		}
	}
	return n
}

func TestAClientThatStallsInItsHandshakeKeepsNobodyOut(t *testing.T) {
	h := open(t, func(p *plan) { p.pool.MaxHandshakes = 1 })
	for range 5 {
		stalled := h.dial()
		stalled.write(sslRequest)
		stalled.wantByte('S')
		stalled.write("\x16\x03\x01\x02\x00\x01") // and no more
		defer stalled.raw.Close()
	}
	h.login("app").leave()
	eventually(t, "it was counted", func() bool {
		running, _ := h.proxy.HandshakesNow()
		return h.handshakes(stats.HandshakeDone) == 1 && running == 0
	})
	failing := h.dial()
	failing.write(sslRequest)
	failing.wantByte('S')
	failing.write(packet(version3, "user", "alice"))
	failing.ended()
	eventually(t, "a failure was counted", func() bool { return h.handshakes(stats.HandshakeFailed) == 1 })
}

func TestTheCertificateOfAClientIsVerifiedInTurn(t *testing.T) {
	files := withClientCerts(t, "optional")
	h := open(t, func(p *plan) {
		files(p)
		p.pool.MaxHandshakes = 1
	})
	pair := clientPair(t)
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	ok(t, err)
	c := h.dial()
	c.write(sslRequest)
	c.wantByte('S')
	waits := func() bool { running, waiting := h.proxy.HandshakesNow(); return running == 1 && waiting == 1 }
	done := make(chan error, 1)
	go func() {
		done <- tls.Client(c.raw, &tls.Config{
			RootCAs: testCA().Pool(), ServerName: "localhost",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				// The server's own turn is over. Another takes the next.
				return &cert, h.proxy.guards.handshakes.Acquire(netip.Prefix{}, time.Now().Add(time.Hour), nil)
			},
		}).Handshake()
	}()
	ok(t, <-done) // TLS 1.3: the client is through before its certificate is read
	eventually(t, "the certificate waits for its turn", waits)
	if h.handshakes(stats.HandshakeDone) != 0 {
		t.Errorf("it was verified before its turn: %+v", h.proxy.guards.handshakes.Counts())
	}
	h.proxy.guards.handshakes.Release()
	eventually(t, "the handshake ends", func() bool {
		running, waiting := h.proxy.HandshakesNow()
		return running == 0 && waiting == 0 && h.handshakes(stats.HandshakeDone) == 1
	})
}
