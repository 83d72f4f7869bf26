package pool

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// handshakeAs is handshake with more said about TLS.
func (p *peer) handshakeAs(pair devca.Pair, edit func(*tls.Config)) tls.ConnectionState {
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		panic(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"}}
	edit(config)
	conn := tls.Server(p.raw, config)
	if err := conn.Handshake(); err != nil {
		panic(gone{err})
	}
	p.Conn = conn
	return conn.ConnectionState()
}

func TestWhatAServerChoseIsOfferedFirstNextTimeAndAllOfItAfterARefusal(t *testing.T) {
	pair := issued(t)
	groups := []tls.CurveID{tls.CurveP256}
	states := make(chan tls.ConnectionState, 10)
	f := listen(t, func(p *peer) {
		p.sslRequest()
		p.write('S')
		states <- p.handshakeAs(pair, func(c *tls.Config) { c.CurvePreferences = groups })
		p.startup()
		p.welcome()
		p.rest()
	})
	h := startHouse(t, f, verified(t, roots()[0], "verify-full"))
	connect := func() tls.ConnectionState {
		s := ask(h.pool).server(t)
		h.pool.Discard(s)
		return <-states
	}
	if first := connect(); !first.HelloRetryRequest {
		t.Fatal("the first offer was taken, so that this test shows nothing")
	}
	for range 2 {
		if next := connect(); next.HelloRetryRequest || next.CurveID != tls.CurveP256 {
			t.Errorf("then %v was agreed on, with a retry: %t", next.CurveID, next.HelloRetryRequest)
		}
	}
	groups = []tls.CurveID{tls.CurveP384} // the server was configured anew
	if next := connect(); next.CurveID != tls.CurveP384 {
		t.Errorf("after a refusal %v was agreed on", next.CurveID)
	}
}

func TestAServersChoiceIsForgottenInTime(t *testing.T) {
	var m groupMemory
	m.learn("a", tls.ConnectionState{CurveID: tls.X25519MLKEM768})
	if m.recall("a") != 0 {
		t.Error("a choice was noted that cost nothing")
	}
	m.learn("a", tls.ConnectionState{CurveID: tls.CurveP256, HelloRetryRequest: true})
	if m.recall("a") != tls.CurveP256 || m.recall("b") != 0 {
		t.Error("the choice was not noted, or for another server")
	}
	m.hosts["a"] = groupChoice{tls.CurveP256, time.Now().Add(-time.Second)}
	if m.recall("a") != 0 {
		t.Error("the choice was not forgotten")
	}
}

func TestTheConfiguredGroupsAloneAreOffered(t *testing.T) {
	pair := issued(t)
	states := make(chan tls.ConnectionState, 1)
	f := listen(t, func(p *peer) {
		p.sslRequest()
		p.write('S')
		states <- p.handshakeAs(pair, func(*tls.Config) {})
		p.startup()
		p.welcome()
		p.rest()
	})
	trust := verified(t, roots()[0], "verify-full")
	_, err := open(t, f, func(s *Spec) { trust(s); s.Groups = "secp384r1" })
	ok(t, err)
	if state := <-states; state.CurveID != tls.CurveP384 || state.HelloRetryRequest {
		t.Errorf("agreed on %v, with a retry: %t", state.CurveID, state.HelloRetryRequest)
	}
}

func TestADirectConnectionBeginsWithTLSAndNeedsALPN(t *testing.T) {
	pair := issued(t)
	trust := verified(t, roots()[0], "verify-full")
	direct := func(s *Spec) { trust(s); s.SSLNegotiation = "direct" }
	for _, alpn := range []bool{true, false} {
		f := listen(t, func(p *peer) {
			p.handshakeAs(pair, func(c *tls.Config) {
				if !alpn {
					c.NextProtos = nil
				}
			})
			p.startup()
			p.welcome()
			p.rest()
		})
		_, err := open(t, f, direct)
		if alpn {
			ok(t, err)
			continue
		}
		says(t, code(t, err, "08006").Cause, "without agreeing to ALPN")
		if _, inside := f.peer(0).received(); inside != "" {
			t.Errorf("the server was sent %q", inside)
		}
	}
}

func TestAServerIsShownTheClientCertificateItAsksFor(t *testing.T) {
	pair := issued(t)
	client := issued(t, func(r *devca.Request) { r.CommonName, r.Hosts, r.Client = "app", nil, true })
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	ok(t, client.WriteFiles(cert, key))
	trust := verified(t, roots()[0], "verify-full")
	for _, shows := range []bool{true, false} {
		f := listen(t, func(p *peer) {
			p.sslRequest()
			p.write('S')
			p.handshakeAs(pair, func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, roots()[0].Pool()
			})
			p.startup()
			p.welcome()
			p.rest()
		})
		_, err := open(t, f, func(s *Spec) {
			trust(s)
			if shows {
				s.SSLCert, s.SSLKey = cert, key
			}
		})
		if (err == nil) != shows {
			t.Errorf("shown %t: %v", shows, err)
		}
	}
}

func TestARevokedServerIsSentNothing(t *testing.T) {
	bad, good := issued(t), issued(t)
	list := func(next time.Time, revoked ...*x509.Certificate) string {
		data, err := roots()[0].CRLPEM(next, revoked...)
		ok(t, err)
		file := filepath.Join(t.TempDir(), "crl.pem")
		ok(t, os.WriteFile(file, data, 0o644))
		return file
	}
	soon := time.Now().Add(time.Hour)
	for _, mode := range []string{"verify-full", "verify-ca"} {
		for name, test := range map[string]struct {
			pair devca.Pair
			crl  string
			says string
		}{
			"good":     {good, list(soon, bad.Cert), ""},
			"revoked":  {bad, list(soon, bad.Cert), "was revoked on"},
			"outdated": {good, list(time.Now().Add(-time.Minute)), "CRL of CN=test root 0"},
		} {
			f := listen(t, trusting(test.pair))
			trust := verified(t, roots()[0], mode)
			_, err := open(t, f, func(s *Spec) { trust(s); s.SSLCRL = test.crl })
			if test.says == "" {
				ok(t, err)
				continue
			}
			says(t, code(t, err, "08006").Cause, test.says)
			if _, inside := f.peer(0).received(); inside != "" {
				t.Errorf("%s: the server was sent %q", name, inside)
			}
		}
	}
}

func TestEachHostOfAListIsVerifiedByItsOwnName(t *testing.T) {
	second := issued(t, func(r *devca.Request) { r.Hosts = []string{"two.internal"} })
	pairs := make(chan devca.Pair, 2)
	pairs <- second // the first host shows the second's certificate
	pairs <- second
	f := listen(t, func(p *peer) {
		p.secure(<-pairs)
		p.startup()
		p.welcome()
		p.rest()
	})
	trust := verified(t, roots()[0], "verify-full")
	_, err := open(t, f, func(s *Spec) { trust(s); s.Host = "one.internal,two.internal" })
	ok(t, err)
	if f.dials() != 2 {
		t.Errorf("%d hosts were tried", f.dials())
	}
}
