package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func source(addr string) netip.Prefix {
	return sourceOf(addrConn{addr: &net.TCPAddr{IP: net.ParseIP(addr)}})
}

type addrConn struct {
	net.Conn
	addr net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.addr }

func TestSourcesTakeTurnsHoweverManyOneOfThemSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		a.setLimit(1)
		ok(t, a.enter(source("10.0.0.1"), time.Now().Add(time.Hour), nil))
		turns := make(chan string, 100)
		wait := func(addr string) {
			go func() {
				if a.enter(source(addr), time.Now().Add(time.Hour), nil) == nil {
					turns <- addr
				}
			}()
			synctest.Wait()
		}
		for range 20 {
			wait("10.0.0.66")
		}
		wait("10.0.0.2")
		wait("10.0.0.3")
		for i, want := range []string{"10.0.0.66", "10.0.0.2", "10.0.0.3", "10.0.0.66", "10.0.0.66"} {
			a.leave()
			synctest.Wait()
			if got := <-turns; got != want || len(turns) != 0 {
				t.Errorf("turn %d went to %s, want %s", i, got, want)
			}
		}
		a.setLimit(100) // a larger bound holds at once
		synctest.Wait()
		if len(turns) != 17 || a.stats.Waiting != 0 || a.stats.Running != 18 || len(a.turns)+len(a.waiting) != 0 {
			t.Errorf("%d turns came, and there are %+v", len(turns), a.stats)
		}
	})
}

func TestWhoWaitsTooLongOrIsBrokenOffLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		a.setLimit(1)
		ok(t, a.enter(source("10.0.0.1"), time.Now().Add(time.Hour), nil))
		stop := make(chan struct{})
		results := make(chan error, 3)
		go func() { results <- a.enter(source("10.0.0.2"), time.Now().Add(time.Second), nil) }()
		if err := <-results; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after its time: %v", err)
		}
		go func() { results <- a.enter(source("10.0.0.2"), time.Now().Add(time.Hour), stop) }()
		synctest.Wait()
		close(stop)
		if err := <-results; err == nil {
			t.Error("who is broken off gets a turn")
		}
		if a.stats.Waiting != 0 || a.stats.TimedOut != 1 || len(a.turns)+len(a.waiting) != 0 {
			t.Errorf("left is %+v", a.stats)
		}
		a.leave()
		if a.stats.Running != 0 {
			t.Errorf("left is %+v", a.stats)
		}
	})
}

func TestAHostOfIPv6IsOneSourceWithItsNetwork(t *testing.T) {
	if source("2001:db8::1") != source("2001:db8::ffff") || source("2001:db8::1") == source("2001:db8:0:1::1") {
		t.Error("sources are told apart wrongly")
	}
	if source("10.0.0.1") == source("10.0.0.2") || source("::ffff:10.0.0.1") != source("10.0.0.1") {
		t.Error("addresses are told apart wrongly")
	}
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
	eventually(t, "it was counted", func() bool { s := h.proxy.Handshakes(); return s.Succeeded == 1 && s.Running == 0 })
	failing := h.dial()
	failing.write(sslRequest)
	failing.wantByte('S')
	failing.write(packet(version3, "user", "alice"))
	failing.ended()
	eventually(t, "a failure was counted", func() bool { return h.proxy.Handshakes().Failed == 1 })
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
	waits := func() bool { s := h.proxy.Handshakes(); return s.Running == 1 && s.Waiting == 1 }
	done := make(chan error, 1)
	go func() {
		done <- tls.Client(c.raw, &tls.Config{
			RootCAs: testCA().Pool(), ServerName: "localhost",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				// The server's own turn is over. Another takes the next.
				return &cert, h.proxy.admission.enter(source("10.0.0.1"), time.Now().Add(time.Hour), nil)
			},
		}).Handshake()
	}()
	ok(t, <-done) // TLS 1.3: the client is through before its certificate is read
	eventually(t, "the certificate waits for its turn", waits)
	if s := h.proxy.Handshakes(); s.Succeeded != 0 {
		t.Errorf("it was verified before its turn: %+v", s)
	}
	h.proxy.admission.leave()
	eventually(t, "the handshake ends", func() bool {
		s := h.proxy.Handshakes()
		return s.Running == 0 && s.Waiting == 0 && s.Succeeded == 1
	})
}
