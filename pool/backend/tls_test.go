package backend

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
)

func TestWhatAServerChoseIsOfferedFirstNextTimeAndAllOfItAfterARefusal(t *testing.T) {
	pair := pgfake.Issued(t)
	groups := []tls.CurveID{tls.CurveP256}
	states := make(chan tls.ConnectionState, 10)
	f := pgfake.Listen(t, func(p *peer) {
		p.SSLRequest()
		p.Put('S')
		states <- p.Handshake(pair, func(c *tls.Config) { c.CurvePreferences = groups })
		p.Startup()
		p.Welcome()
		p.Rest()
	})
	d, to := Dialer{Net: f.Dial}, target(t, verified(t, pgfake.Roots()[0], "verify-full"))
	connect := func() tls.ConnectionState {
		c, err := d.Dial(t.Context(), to)
		ok(t, err)
		c.Close()
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
	synctest.Test(t, func(t *testing.T) {
		var m groupMemory
		a, b := peerID{"a", "verify-full"}, peerID{"b", "verify-full"}
		m.learn(a, tls.ConnectionState{CurveID: tls.X25519MLKEM768})
		if m.recall(a) != 0 {
			t.Error("a choice was noted that cost nothing")
		}
		m.learn(a, tls.ConnectionState{CurveID: tls.CurveP256, HelloRetryRequest: true})
		if m.recall(a) != tls.CurveP256 || m.recall(b) != 0 {
			t.Error("the choice was not noted, or for another server")
		}
		time.Sleep(groupLife + time.Second)
		if m.recall(a) != 0 {
			t.Error("the choice was not forgotten")
		}
		m.learn(b, tls.ConnectionState{CurveID: tls.CurveP256, HelloRetryRequest: true})
		if len(m.hosts) != 1 {
			t.Errorf("%d choices are kept, of which one is valid", len(m.hosts))
		}
	})
}

// Under sslmode require anybody may have answered: what that one chose is
// nothing to databases whose server is verified.
func TestWhatAnUnverifiedServerChoseIsNotOfferedToVerifiedOnes(t *testing.T) {
	pair := pgfake.Issued(t)
	states := make(chan tls.ConnectionState, 10)
	f := pgfake.Listen(t, func(p *peer) {
		p.SSLRequest()
		p.Put('S')
		states <- p.Handshake(pair, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} })
		p.Startup()
		p.Welcome()
		p.Rest()
	})
	d := Dialer{Net: f.Dial}
	connect := func(edit func(*setup)) tls.ConnectionState {
		c, err := d.Dial(t.Context(), target(t, edit))
		ok(t, err)
		c.Close()
		return <-states
	}
	unverified, full := func(s *setup) { s.SSLMode = "require" }, verified(t, pgfake.Roots()[0], "verify-full")
	connect(unverified)
	if again := connect(unverified); again.HelloRetryRequest {
		t.Error("its choice was not remembered for others like it")
	}
	if first := connect(full); !first.HelloRetryRequest {
		t.Error("a verified server was offered what an unverified one had chosen")
	}
	if again := connect(full); again.HelloRetryRequest {
		t.Error("the choice of a verified server was not remembered")
	}
}

func TestTheConfiguredGroupsAloneAreOffered(t *testing.T) {
	pair := pgfake.Issued(t)
	states := make(chan tls.ConnectionState, 1)
	f := pgfake.Listen(t, func(p *peer) {
		p.SSLRequest()
		p.Put('S')
		states <- p.Handshake(pair, func(*tls.Config) {})
		p.Startup()
		p.Welcome()
		p.Rest()
	})
	trust := verified(t, pgfake.Roots()[0], "verify-full")
	_, err := open(t, f, func(s *setup) { trust(s); s.Groups = "secp384r1" })
	ok(t, err)
	if state := <-states; state.CurveID != tls.CurveP384 || state.HelloRetryRequest {
		t.Errorf("agreed on %v, with a retry: %t", state.CurveID, state.HelloRetryRequest)
	}
}

func TestADirectConnectionBeginsWithTLSAndNeedsALPN(t *testing.T) {
	pair := pgfake.Issued(t)
	trust := verified(t, pgfake.Roots()[0], "verify-full")
	direct := func(s *setup) { trust(s); s.SSLNegotiation = "direct" }
	for _, alpn := range []bool{true, false} {
		f := pgfake.Listen(t, func(p *peer) {
			p.Handshake(pair, func(c *tls.Config) {
				if !alpn {
					c.NextProtos = nil
				}
			})
			p.Startup()
			p.Welcome()
			p.Rest()
		})
		_, err := open(t, f, direct)
		if alpn {
			ok(t, err)
			continue
		}
		ours(t, err, "without ALPN")
		if _, inside := f.Peer(0).Received(); inside != "" {
			t.Errorf("the server was sent %q", inside)
		}
	}
}

func TestAServerIsShownTheClientCertificateItAsksFor(t *testing.T) {
	pair := pgfake.Issued(t)
	client := pgfake.Issued(t, func(r *devca.Request) { r.CommonName, r.Hosts, r.Client = "app", nil, true })
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	ok(t, client.WriteFiles(cert, key))
	trust := verified(t, pgfake.Roots()[0], "verify-full")
	for _, shows := range []bool{true, false} {
		f := pgfake.Listen(t, func(p *peer) {
			p.SSLRequest()
			p.Put('S')
			p.Handshake(pair, func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pgfake.Roots()[0].Pool()
			})
			p.Startup()
			p.Welcome()
			p.Rest()
		})
		_, err := open(t, f, func(s *setup) {
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
	bad, good := pgfake.Issued(t), pgfake.Issued(t)
	list := func(next time.Time, revoked ...*x509.Certificate) string {
		data, err := pgfake.CRLPEM(pgfake.Roots()[0], next, revoked...)
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
			f := pgfake.Listen(t, trusting(test.pair))
			trust := verified(t, pgfake.Roots()[0], mode)
			_, err := open(t, f, func(s *setup) { trust(s); s.SSLCRL = test.crl })
			if test.says == "" {
				ok(t, err)
				continue
			}
			ours(t, err, test.says)
			if _, inside := f.Peer(0).Received(); inside != "" {
				t.Errorf("%s: the server was sent %q", name, inside)
			}
		}
	}
}

func TestEachHostOfAListIsVerifiedByItsOwnName(t *testing.T) {
	second := pgfake.Issued(t, func(r *devca.Request) { r.Hosts = []string{"two.internal"} })
	pairs := make(chan devca.Pair, 2)
	pairs <- second // the first host shows the second's certificate
	pairs <- second
	f := pgfake.Listen(t, func(p *peer) {
		p.Secure(<-pairs)
		p.Startup()
		p.Welcome()
		p.Rest()
	})
	trust := verified(t, pgfake.Roots()[0], "verify-full")
	_, err := open(t, f, func(s *setup) { trust(s); s.Host = "one.internal,two.internal" })
	ok(t, err)
	if len(f.Dialed()) != 2 {
		t.Errorf("%d hosts were tried", len(f.Dialed()))
	}
}
