package proxy

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
	"github.com/pgseal/pgseal/tlsconf"
)

// withClientCerts has the listener ask for certificates of testCA and look
// them up in a CRL, which names what is revoked.
func withClientCerts(t *testing.T, how string, revoked ...devca.Pair) func(*plan) {
	dir := t.TempDir()
	return func(p *plan) {
		p.tls = func(c *tlsconf.ListenerConfig) {
			c.ClientCert = how
			c.ClientCAFile, c.ClientCRLFile = filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.crl")
			ok(t, os.WriteFile(c.ClientCAFile, testCA().CertPEM(), 0o644))
			writeCRL(t, c.ClientCRLFile, revoked...)
		}
	}
}

func writeCRL(t *testing.T, path string, revoked ...devca.Pair) {
	t.Helper()
	list, err := pgfake.CRLPEM(testCA(), time.Now().Add(time.Hour))
	ok(t, err)
	for _, pair := range revoked {
		list, err = pgfake.CRLPEM(testCA(), time.Now().Add(time.Hour), pair.Cert)
		ok(t, err)
	}
	ok(t, os.WriteFile(path, list, 0o644))
}

func clientPair(t *testing.T) devca.Pair {
	t.Helper()
	pair, err := testCA().Issue(devca.Request{CommonName: "alice", Client: true})
	ok(t, err)
	return pair
}

// secureWith is secure with a certificate of the client's. It returns the error
// of the handshake, or of the first read where TLS 1.3 tells it no sooner.
func (c *client) secureWith(pair devca.Pair) error {
	c.t.Helper()
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	ok(c.t, err)
	c.write(sslRequest)
	c.wantByte('S')
	conn := tls.Client(c.raw, &tls.Config{
		RootCAs: testCA().Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	})
	c.Conn = conn
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.write(packet(version3, "user", "alice", "database", "app"))
	_, err = conn.Read(nil)
	return err
}

func TestAClientWithoutACertificateIsToldThatItNeedsOne(t *testing.T) {
	h := open(t, withClientCerts(t, "require"))
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	if fields := c.refused("28000"); fields['M'] != "connection requires a valid client certificate" || fields['H'] == "" {
		t.Errorf("the client is told %q", fields)
	}
	// As in PostgreSQL it may cancel: the key is proof enough.
	h.cancel("\x00\x00\x00\x01\x00\x00\x00\x01", true)
}

func TestAClientWithACertificateIsLetInAndItsChainIsKept(t *testing.T) {
	for _, how := range []string{"require", "optional"} {
		h := open(t, withClientCerts(t, how))
		c := h.dial()
		ok(t, c.secureWith(clientPair(t)))
		c.authenticate(password)
		c.greeted()
		for _, s := range h.proxy.sessions.list() {
			chains := s.conn.tls.ConnectionState().VerifiedChains
			if len(chains) != 1 || chains[0][0].Subject.CommonName != "alice" {
				t.Errorf("the session keeps %v", chains)
			}
		}
		c.leave()
	}
	h := open(t, withClientCerts(t, "optional"))
	h.login("app").leave()
}

func TestARevokedCertificateIsRefusedAndTheLogSaysWhose(t *testing.T) {
	pair := clientPair(t)
	h := open(t, withClientCerts(t, "optional", pair))
	c := h.dial()
	err := c.secureWith(pair)
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || err.Error() != "remote error: tls: bad certificate" {
		t.Errorf("the client is told %v", err)
	}
	c.raw.Close()
	eventually(t, "the log says so", func() bool { return h.logs.FilterMessage("TLS handshake failed").Len() == 1 })
	line := h.logs.FilterMessage("TLS handshake failed").All()[0].ContextMap()
	if line["peer_subject"] != "CN=alice" || line["peer_issuer"] != "CN=proxy test root" {
		t.Errorf("the log says %v", line)
	}
}

// certified returns a session of alice with a client certificate.
func (h *house) certified(t *testing.T, pair devca.Pair) *client {
	t.Helper()
	c := h.dial()
	ok(t, c.secureWith(pair))
	c.authenticate(password)
	c.greeted()
	return c
}

func TestASessionEndsWhenItIsIdleAfterItsCertificateWasRevoked(t *testing.T) {
	revoked, good := clientPair(t), clientPair(t)
	h := open(t, withClientCerts(t, "optional"))
	idle, busy, other, none := h.certified(t, revoked), h.certified(t, revoked), h.certified(t, good), h.login("app")
	busy.do("BEGIN", "T")
	writeCRL(t, h.store.Files()[3], revoked)
	_, err := h.store.Reload()
	ok(t, err)
	idle.refused("28000")
	busy.do("INSERT 1", "T")
	busy.do("COMMIT", "I")
	busy.refused("28000")
	for _, c := range []*client{other, none} {
		c.ask("SELECT pid")
		c.leave()
	}
	h.logged("client certificate is no longer valid", 2)
}

func TestASessionEndsWhenItsAuthorityIsNotTrustedAnyMore(t *testing.T) {
	pair := clientPair(t)
	h := open(t, withClientCerts(t, "optional"))
	c := h.certified(t, pair)
	next, err := devca.New("next authority", time.Hour)
	ok(t, err)
	ok(t, os.WriteFile(h.store.Files()[2], next.CertPEM(), 0o644))
	_, err = h.store.Reload()
	ok(t, err)
	c.refused("28000")
}

func TestASessionEndsWhenItsListenerSpeaksNoTLSAnyMore(t *testing.T) {
	h := open(t, withClientCerts(t, "optional"))
	c, none := h.certified(t, clientPair(t)), h.login("app")
	h.listener.Configure(tlsconf.ListenDisable, nil)
	c.refused("28000")
	none.ask("SELECT pid")
	none.leave()
}

func TestASessionEndsWhenItsCertificateExpires(t *testing.T) {
	pair, err := testCA().Issue(devca.Request{CommonName: "alice", Client: true, NotBefore: time.Now().Add(-time.Minute), Life: time.Minute + 2*time.Second})
	ok(t, err)
	h := open(t, withClientCerts(t, "optional"))
	h.certified(t, pair).refused("28000")
}

func TestASessionEndsWhenTheCRLExpires(t *testing.T) {
	files := withClientCerts(t, "optional")
	h := open(t, func(p *plan) {
		files(p)
		edit := p.tls
		p.tls = func(c *tlsconf.ListenerConfig) {
			edit(c)
			list, err := pgfake.CRLPEM(testCA(), time.Now().Add(2*time.Second))
			ok(t, err)
			ok(t, os.WriteFile(c.ClientCRLFile, list, 0o644))
		}
	})
	h.certified(t, clientPair(t)).refused("28000")
}

func TestSessionsAreKeptWhereTheListenerSaysSo(t *testing.T) {
	pair := clientPair(t)
	files := withClientCerts(t, "optional")
	h := open(t, files, func(p *plan) {
		edit := p.tls
		p.tls = func(c *tlsconf.ListenerConfig) { edit(c); c.ClientCertRecheck = "keep" }
	})
	c := h.certified(t, pair)
	writeCRL(t, h.store.Files()[3], pair)
	_, err := h.store.Reload()
	ok(t, err)
	c.ask("SELECT pid")
	c.leave()
	h.logged("client certificate is no longer valid", 0)
}

// shortened returns a pair whose intermediate is shown by another certificate of
// its, that ends soon, while the pair itself does not.
func shortened(t *testing.T, root, between *devca.CA, pair devca.Pair, life time.Duration) devca.Pair {
	t.Helper()
	text, err := root.KeyPEM()
	ok(t, err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	ok(t, err)
	template := *between.Cert()
	template.SerialNumber, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(life)
	short, err := x509.CreateCertificate(rand.Reader, &template, root.Cert(), between.Cert().PublicKey, key)
	ok(t, err)
	pair.CertPEM = slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Cert.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: short}))
	return pair
}

func TestASessionEndsWhenAnIntermediateThatItsClientShowedExpires(t *testing.T) {
	root, err := devca.NewRoot("root of clients", time.Hour)
	ok(t, err)
	between, err := root.Intermediate("authority of clients", time.Hour)
	ok(t, err)
	pair, err := between.Issue(devca.Request{CommonName: "alice", Client: true})
	ok(t, err)
	h := open(t, func(p *plan) {
		p.tls = func(c *tlsconf.ListenerConfig) {
			c.ClientCert, c.ClientCAFile = "optional", filepath.Join(t.TempDir(), "ca.crt")
			ok(t, os.WriteFile(c.ClientCAFile, root.CertPEM(), 0o644))
		}
	})
	ends := h.certified(t, shortened(t, root, between, pair, 2*time.Second))
	stays := h.certified(t, pair) // the same certificate, with a newer intermediate
	ends.do("BEGIN", "T")
	const verdict = "client certificate is no longer valid"
	eventually(t, "the session is judged", func() bool { return h.logs.FilterMessage(verdict).Len() > 0 })
	h.listener.recheck()
	stays.ask("SELECT pid")
	ends.do("COMMIT", "I")
	ends.refused("28000")
	stays.ask("SELECT pid")
	stays.leave()
	h.logged(verdict, 1)
}

func TestAnExpiryThatIsOverAwaitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e expiry
		var judged atomic.Int32
		next := time.Now().Add(time.Minute)
		e.await(func(time.Time) time.Time { return next }, func() { judged.Add(1) })
		e.await(func(time.Time) time.Time { return next.Add(time.Minute) }, func() { judged.Add(1) }) // instead
		time.Sleep(time.Until(next.Add(time.Minute)))
		synctest.Wait()
		if judged.Load() != 0 {
			t.Error("it is judged at a moment at which it still holds")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if judged.Load() != 1 {
			t.Errorf("it was judged %d times", judged.Load())
		}
		e.await(func(now time.Time) time.Time { return now.Add(time.Minute) }, func() { judged.Add(1) })
		e.close()
		e.await(func(now time.Time) time.Time { return now.Add(time.Minute) }, func() { judged.Add(1) })
		time.Sleep(time.Hour)
		synctest.Wait()
		if judged.Load() != 1 {
			t.Error("it is judged though nobody would ask")
		}
	})
}
