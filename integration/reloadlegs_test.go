package integration

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
)

// minter issues what no sane authority would.
type minter struct {
	ca      *devca.CA
	request devca.Request
}

func (m *minter) issue(t *testing.T) devca.Pair {
	t.Helper()
	pair, err := m.ca.Issue(m.request)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// renewed returns a certificate for the key of another one, as PEM; it may be
// one that has expired.
func (m *minter) renewed(t *testing.T, certPEM []byte, expired bool) []byte {
	t.Helper()
	keyPEM, err := m.ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(keyPEM)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	template := *certificateOf(t, certPEM)
	template.SerialNumber = new(big.Int).Add(template.SerialNumber, big.NewInt(1))
	if expired {
		template.NotAfter = time.Now().Add(-time.Minute)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, m.ca.Cert(), template.PublicKey, key.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func certificateOf(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func crl(t *testing.T, ca *devca.CA, next time.Duration, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list, err := pgfake.CRLPEM(ca, time.Now().Add(next), revoked...)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func authority(t *testing.T, name string) *devca.CA {
	t.Helper()
	ca, err := devca.New(name, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

var fileKinds = []string{"key", "certificate", "authority", "CRL"}

// expiredCertificate is one that no longer makes anybody trusted.
func expiredCertificate(t *testing.T, ca *devca.CA) []byte {
	t.Helper()
	pair, err := ca.Issue(devca.Request{CommonName: "expired", NotBefore: time.Now().Add(-2 * time.Hour), Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return pair.CertPEM
}

// fill lays out the files as they are at first, with what they may become.
func (l *leg) fill(t *testing.T, m *minter, pair devca.Pair, caPEM, crlPEM []byte, known, next *devca.CA) {
	t.Helper()
	l.kinds = fileKinds
	l.first = map[string][]byte{"certificate": pair.CertPEM, "key": pair.KeyPEM, "authority": caPEM, "CRL": crlPEM}
	for kind, content := range l.first {
		replace(t, l.path[kind], content, 0o600)
	}
	other := m.issue(t)
	l.good = map[string]map[string][]byte{
		"certificate": {"certificate": m.renewed(t, pair.CertPEM, false)},
		"key":         {"certificate": other.CertPEM, "key": other.KeyPEM},
		"authority":   {"authority": joined(caPEM, next.CertPEM())},
	}
	l.bad = map[string][]fault{}
	l.bad["certificate"], l.bad["key"] = pairFaults(t, m, pair.CertPEM, pair.KeyPEM)
	l.bad["authority"], l.bad["CRL"] = trustFaults(caPEM, expiredCertificate(t, known), crlPEM,
		joined(crl(t, known, -time.Minute), crl(t, next, time.Hour)), crl(t, next, time.Hour), pair.KeyPEM)
}

// matrixErrors are what the matrix provokes.
var matrixErrors = []string{"reload failed, keeping the version in force", fileRefused, configRefused, notOpened}

// listenerLeg is a listener with all four files. A connection meets its
// certificate, and what becomes of a client of the next authority and of one
// that the next CRL names.
func listenerLeg(t *testing.T) *leg {
	clients, next := authority(t, "clients"), authority(t, "next clients")
	client := func(ca *devca.CA) tls.Certificate {
		pair, err := ca.Issue(devca.Request{CommonName: "app", Client: true})
		if err != nil {
			t.Fatal(err)
		}
		cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	stranger, doomed := client(next), client(clients)
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), options{admin: settings{"users": "[app]"}, errors: matrixErrors})
	l, listener := &leg{pgseal: p, logged: "listener "}, p.listeners[0]
	l.path = map[string]string{"certificate": listener.certFile(), "key": listener.keyFile(),
		"authority": filepath.Join(listener.dir, "clients.crt"), "CRL": filepath.Join(listener.dir, "clients.crl")}
	m := &minter{p.ca, serverRequest()}
	l.fill(t, m, listener.pair, clients.CertPEM(), joined(crl(t, clients, time.Hour), crl(t, next, time.Hour)), clients, next)
	l.good["CRL"] = map[string][]byte{"CRL": joined(crl(t, clients, time.Hour, doomed.Leaf), crl(t, next, time.Hour))}
	l.configure = func() {
		listener.tls = settings{"cert_file": l.path["certificate"], "key_file": l.path["key"],
			"client_ca_file": l.path["authority"], "client_crl_file": l.path["CRL"]}
		p.writeConfig()
	}
	l.configure()
	p.reload()

	l.probe = func() string {
		serial, _ := p.shake(t, listener, nil)
		_, isStranger := p.shake(t, listener, &stranger)
		_, isDoomed := p.shake(t, listener, &doomed)
		return fmt.Sprintf("certificate %x, the next authority's client %s, the revoked one %s", serial, isStranger, isDoomed)
	}
	meets := func(pair []byte, stranger, doomed string) string {
		return fmt.Sprintf("certificate %x, the next authority's client %s, the revoked one %s", certificateOf(t, pair).SerialNumber, stranger, doomed)
	}
	cert := listener.pair.CertPEM
	l.seen = map[string]string{
		"":            meets(cert, "refused", "welcome"),
		"certificate": meets(l.good["certificate"]["certificate"], "refused", "welcome"),
		"key":         meets(l.good["key"]["certificate"], "refused", "welcome"),
		"authority":   meets(cert, "welcome", "welcome"),
		"CRL":         meets(cert, "refused", "refused"),
	}
	l.session = p.pgx(t, "app", execMode+clientFiles(t, clients))
	l.console = p.pgx(t, "pgseal", simpleMode+clientFiles(t, clients))
	return l
}

// clientFiles issues a client certificate, and returns the part of a DSN that
// has it shown.
func clientFiles(t *testing.T, ca *devca.CA) string {
	t.Helper()
	pair, err := ca.Issue(devca.Request{CommonName: "app", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := pair.WriteFiles(cert, key); err != nil {
		t.Fatal(err)
	}
	return " sslcert=" + cert + " sslkey=" + key
}

// shake begins a session with a client certificate, or without, and returns the
// serial number of what the listener shows, and whether the client is welcome
// or refused.
func (p *pgseal) shake(t *testing.T, l *listener, cert *tls.Certificate) (*big.Int, string) {
	t.Helper()
	conn, err := p.dialTLS(l, func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert == nil {
				cert = &tls.Certificate{}
			}
			return cert, nil
		}
	})
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	defer conn.Close()
	const startup = "\x00\x03\x00\x00user\x00app\x00database\x00app\x00\x00"
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(startup))), startup...)); err != nil {
		return nil, "refused"
	}
	// A client learns from TLS 1.3 only now that its certificate is not taken.
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return nil, "refused"
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber, "welcome"
}

// databaseLeg is a database with all four files, of a server that asks for a
// client certificate, and a second database with the same files, of another
// authority's server. A connection meets the client certificate that the server
// saw, and what becomes of the other server.
func databaseLeg(t *testing.T) *leg {
	pg, other := ownPostgres(t, versions[len(versions)-1]), sharedPostgres(t, versions[0])
	pg.asksForCertificates(t)
	dir := shortDir(t)
	l := &leg{logged: `"database app"`}
	l.path = map[string]string{"certificate": filepath.Join(dir, "tls.crt"), "key": filepath.Join(dir, "tls.key"),
		"authority": filepath.Join(dir, "servers.crt"), "CRL": filepath.Join(dir, "servers.crl")}
	m := &minter{pg.ca, devca.Request{CommonName: "pgseal", Client: true}}
	pair := m.issue(t)
	l.fill(t, m, pair, pg.ca.CertPEM(), joined(crl(t, pg.ca, time.Hour), crl(t, other.ca, time.Hour)), pg.ca, other.ca)
	l.good["CRL"] = map[string][]byte{"CRL": joined(crl(t, pg.ca, time.Hour, pg.cert), crl(t, other.ca, time.Hour))}

	// In session mode the old session keeps its server, whatever becomes of
	// others, and no server outlives its session. The old one has a pool of its
	// own: clients wait where there is a server that may come back.
	files := func() settings {
		return settings{"pool_mode": "session", "server_lifetime": "1ms", "sslcert": l.path["certificate"],
			"sslkey": l.path["key"], "sslrootcert": l.path["authority"], "sslcrl": l.path["CRL"]}
	}
	databases := func() map[string]settings {
		return map[string]settings{"app": files(), "held": files(), "other": files().with(settings{"port": fmt.Sprint(other.Port())})}
	}
	p := start(t, pg, options{databases: databases(), admin: settings{"users": "[app]"}, errors: matrixErrors})
	l.pgseal = p
	l.console = p.pgx(t, "pgseal", simpleMode)
	l.configure = func() {
		p.options.databases = databases()
		p.writeConfig()
	}
	ask := func(database, sql string) (answer string) {
		conn, err := p.tryPgx(soon(t), database, execMode)
		if err == nil {
			defer conn.Close(soon(t))
			err = conn.QueryRow(soon(t), sql).Scan(&answer)
		}
		if err != nil && sqlState(err) != "08006" {
			t.Fatal(err)
		} else if err != nil {
			return "refused"
		}
		return answer
	}
	l.probe = func() string {
		serial := ask("app", "SELECT client_serial::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
		return fmt.Sprintf("client certificate %s, the other server %s", serial, ask("other", "SELECT 'trusted'"))
	}
	meets := func(pair []byte, other string) string {
		return fmt.Sprintf("client certificate %s, the other server %s", certificateOf(t, pair).SerialNumber, other)
	}
	l.seen = map[string]string{
		"":            meets(pair.CertPEM, "refused"),
		"certificate": meets(l.good["certificate"]["certificate"], "refused"),
		"key":         meets(l.good["key"]["certificate"], "refused"),
		"authority":   meets(pair.CertPEM, "trusted"),
		"CRL":         "client certificate refused, the other server refused",
	}
	l.session = p.pgx(t, "held", execMode)
	execute(t, l.session, "SELECT 1")
	return l
}
