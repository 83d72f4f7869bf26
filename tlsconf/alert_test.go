package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// refusedBy has a client with these settings shake hands with a server that
// shows the certificate, and returns the server's error.
func refusedBy(t *testing.T, pair devca.Pair, client *tls.Config) error {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		tls.Client(conn, client).Handshake()
		io.Copy(io.Discard, conn)
	})
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
}

func TestTheLogSaysWhatToDoWhereAClientDoesNotAcceptTheCertificate(t *testing.T) {
	ca, err := devca.New("authority", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(devca.Request{CommonName: "db", Hosts: []string{"db.example.org"}, Life: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	later := func() time.Time { return time.Now().Add(30 * time.Minute) }
	for name, c := range map[string]struct {
		client *tls.Config
		want   string
	}{
		"another authority":          {&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "db.example.org"}, "sslrootcert"},
		"another authority, TLS 1.2": {&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "db.example.org", MaxVersion: tls.VersionTLS12}, "sslrootcert"},
		"another name":               {&tls.Config{RootCAs: roots, ServerName: "other.example.org"}, "the host name it connects to"},
		"a later time":               {&tls.Config{RootCAs: roots, ServerName: "db.example.org", Time: later}, "certificate"},
	} {
		fields := HandshakeFields(refusedBy(t, pair, c.client))
		if len(fields) != 1 || fields[0].Key != "hint" || !strings.Contains(fields[0].String, c.want) {
			t.Errorf("%s: %v", name, fields)
		}
	}
	for _, other := range []error{
		errors.New("tls: bad certificate"),
		&net.OpError{Op: "read", Err: errors.New("tls: bad certificate")},
		&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")},
	} {
		if fields := HandshakeFields(other); len(fields) != 0 {
			t.Errorf("%v: %v", other, fields)
		}
	}
	if hint := alertHint(&net.OpError{Op: "local error", Err: errors.New("tls: bad record MAC")}); !strings.HasPrefix(hint, "most likely the client rejected") {
		t.Errorf("the hint for OpenSSL's alert is %q", hint)
	}
	if hint := alertHint(&net.OpError{Op: "remote error", Err: errors.New("tls: expired certificate")}); !strings.Contains(hint, "expired") {
		t.Errorf("the hint is %q", hint)
	}
}
