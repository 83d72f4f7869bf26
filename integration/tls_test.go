package integration

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

func TestAClientWithoutTLSIsRefused(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	e := refused(t, p, "app", "sslmode=disable", "28000")
	if e.Message != "SSL required" || e.Hint == "" {
		t.Errorf("got %q with hint %q, want to be told about TLS", e.Message, e.Hint)
	}
	r := p.psql(t, "app", []string{"PGSSLMODE=disable"}, "-c", "SELECT 1")
	if r.status != 2 || !strings.Contains(r.stderr, e.Message) {
		t.Errorf("psql ended with status %d: %s", r.status, r.stderr)
	}
}

func TestAClientRefusesACertificateThatItCannotVerify(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	tests := []struct {
		name string
		env  []string
		says string
	}{
		{"of another authority", []string{"PGSSLROOTCERT=" + p.pg.root}, "certificate verify failed"},
		{"for another name", []string{"PGHOST=db.example.org", "PGHOSTADDR=127.0.0.1"}, `does not match host name "db.example.org"`},
	}
	for _, test := range tests {
		if r := p.psql(t, "app", test.env, "-c", "SELECT 1"); r.status != 2 || !strings.Contains(r.stderr, test.says) {
			t.Errorf("%s: psql ended with status %d: %s", test.name, r.status, r.stderr)
		}
	}
	if n := p.log.count("client logged in"); n != 0 {
		t.Errorf("%d clients logged in", n)
	}
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	for version, status := range map[string]int{"TLSv1.1": 2, "TLSv1.2": 0, "TLSv1.3": 0} {
		env := []string{"PGSSLMINPROTOCOLVERSION=" + version, "PGSSLMAXPROTOCOLVERSION=" + version}
		if r := p.psql(t, "app", env, "-c", "SELECT 1"); r.status != status {
			t.Errorf("%s: psql ended with status %d: %s", version, r.status, r.stderr)
		}
	}
}

// witness is a server that notes what it is sent, and understands none of it.
type witness struct {
	port     int
	plain    buffer // what came before TLS
	secret   buffer // what came inside TLS
	finished chan struct{}
}

// witnessServer answers the first connection's SSLRequest, with 'S' if it has
// a certificate, and reads until the other side closes or falls silent.
func witnessServer(t *testing.T, pair *devca.Pair) *witness {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{port: ln.Addr().(*net.TCPAddr).Port, finished: make(chan struct{})}
	t.Cleanup(func() {
		ln.Close()
		<-w.finished
	})
	var config *tls.Config
	if pair != nil {
		cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	go func() {
		defer close(w.finished)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(3 * time.Second))
		w.listen(conn, config)
	}()
	return w
}

func (w *witness) listen(conn net.Conn, config *tls.Config) {
	if _, err := io.CopyN(&w.plain, conn, 8); err != nil {
		return
	}
	if config == nil {
		conn.Write([]byte{'N'})
		io.Copy(&w.plain, conn)
		return
	}
	conn.Write([]byte{'S'})
	secure := tls.Server(conn, config)
	if secure.Handshake() == nil {
		io.CopyN(&w.secret, secure, 8)
	}
}

func TestAServerThatCannotBeVerifiedIsSentNothing(t *testing.T) {
	t.Parallel()
	known, err := devca.New("known", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := devca.New("unknown", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair := func(ca *devca.CA, host string) *devca.Pair {
		pair, err := ca.Issue(devca.Request{CommonName: host, Hosts: []string{host}})
		if err != nil {
			t.Fatal(err)
		}
		return &pair
	}
	tests := []struct {
		name    string
		pair    *devca.Pair
		trusted bool
	}{
		{"certificate of another authority", pair(unknown, "localhost"), false},
		{"certificate for another host", pair(known, "db.example.org"), false},
		{"no TLS", nil, false},
		{"the right certificate", pair(known, "localhost"), true}, // shows that the witness sees what is sent
	}
	root := filepath.Join(t.TempDir(), "root.crt")
	if err := os.WriteFile(root, known.CertPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := witnessServer(t, test.pair)
			p := start(t, sharedPostgres(t, "18"), options{
				databases: map[string]settings{"app": {"port": fmt.Sprint(w.port), "sslrootcert": root}},
				errors:    []string{notOpened},
			})
			e := refused(t, p, "app", "", "08006")
			if strings.Contains(e.Error(), "certificate") {
				t.Errorf("the client is told too much: %v", e)
			}
			<-w.finished
			if got := w.plain.String(); got != string(sslRequest) {
				t.Errorf("%q was sent in plaintext, want an SSLRequest only", got)
			}
			if sent := w.secret.String(); (sent != "") != test.trusted {
				t.Errorf("%q was sent inside TLS", sent)
			}
			eventually(t, patience, "the log tells of it", func() bool { return p.log.count(notOpened) == 1 })
		})
	}
}
