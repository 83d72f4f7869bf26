package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/tlsconf"
)

// direct begins with TLS, naming these protocols.
func (c *client) direct(protocols ...string) error {
	conn := tls.Client(c.raw, &tls.Config{RootCAs: testCA().Pool(), ServerName: "localhost", NextProtos: protocols})
	c.Conn = conn
	return conn.Handshake()
}

func TestAClientMayBeginWithTLS(t *testing.T) {
	h := open(t)
	c := h.dial()
	ok(t, c.direct("postgresql"))
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.greeted()
	if got := c.ask("SELECT pid"); got != "1" {
		t.Errorf("the server answered %q", got)
	}
	c.leave()
}

func TestABeginWithTLSNeedsALPN(t *testing.T) {
	h := open(t)
	c := h.dial()
	ok(t, c.direct()) // as in PostgreSQL the handshake ends well, and that is all
	c.ended()
	eventually(t, "the log says why", func() bool { return h.logs.FilterMessage("TLS handshake failed").Len() == 1 })

	c = h.dial()
	if err := c.direct("http/1.1"); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("another protocol ends in %v", err)
	}
	nothing(t, "a server was asked", h.server.opened)
}

func TestASSLRequestAnswersALPNToo(t *testing.T) {
	h := open(t)
	c := h.dialTLS()
	if got := c.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != "postgresql" {
		t.Errorf("the protocol is %q", got)
	}
}

func TestAfterABeginWithTLSNothingIsNegotiatedAgain(t *testing.T) {
	h := open(t)
	for _, request := range []string{sslRequest, gssRequest} {
		c := h.dial()
		ok(t, c.direct("postgresql"))
		c.write(request)
		c.refused("08P01")
	}
}

func TestABeginWithTLSIsRefusedWhereNoneIsSpoken(t *testing.T) {
	h := open(t, disable)
	c := h.dial()
	if err := c.direct("postgresql"); err == nil {
		t.Error("the handshake went well")
	}
}

func TestALoginIsBoundToTheCertificateOfItsConnectionAcrossAReload(t *testing.T) {
	h := open(t)
	old := h.dialTLS()
	before := h.store.Load()
	replacePair(t, h)
	for _, c := range []*client{old, h.dialTLS()} {
		cert := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		if before.Leaf.Equal(cert) != (c == old) {
			t.Fatal("the certificate shown is not the one expected")
		}
		c.write(packet(version3, "user", "alice", "database", "app"))
		c.authenticateBound(cert)
		c.greeted()
		c.leave()
	}
}

func TestAClientThatIsBoundElsewhereIsRefused(t *testing.T) {
	h := open(t)
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticateBound(clientPair(t).Cert)
	if fields := c.refused("28000"); !strings.Contains(fields['M'], "channel binding check failed") {
		t.Errorf("it is told %q", fields)
	}
}

func TestAClientThatWasToldThatWeCannotBindIsRefused(t *testing.T) {
	h := open(t)
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.want('R')
	const first = "y,,n=,r=abcdefgh"
	c.write(msg('p', "SCRAM-SHA-256\x00", size(first), first))
	if fields := c.refused("28000"); !strings.Contains(fields['M'], "negotiation error") {
		t.Errorf("it is told %q", fields)
	}
}

// replacePair gives the listener another certificate.
func replacePair(t *testing.T, h *house) {
	t.Helper()
	pair, err := testCA().Issue(devca.Request{CommonName: "pgseal", Hosts: []string{"localhost"}})
	ok(t, err)
	files := h.store.Files()
	ok(t, pair.WriteFiles(files[0], files[1]))
	changed, err := h.store.Reload()
	ok(t, err)
	if !changed {
		t.Fatal("the certificate did not change")
	}
}

// authenticateBound runs SCRAM-SHA-256-PLUS for a server certificate.
func (c *client) authenticateBound(cert *x509.Certificate) {
	c.t.Helper()
	c.want('R')
	x := auth.NewClientExchange(password)
	binding := auth.ChannelBinding{Policy: "require", TLS: true, EndpointHash: tlsconf.EndpointHash(cert)}
	mechanism, err := x.Negotiate([]string{auth.ScramSHA256Plus}, binding)
	ok(c.t, err)
	first := string(x.First())
	c.write(msg('p', mechanism, "\x00", size(first), first))
	final, err := x.Respond([]byte(c.want('R')[4:]))
	ok(c.t, err)
	c.write(msg('p', string(final)))
}
