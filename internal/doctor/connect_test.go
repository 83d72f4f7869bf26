package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/config"
)

// stand starts a server for 127.0.0.1 that answers SSLRequest, unless direct,
// and shakes hands with the pair of that name, and returns its port. It lets
// nobody log in. It ends with the test.
func (l *lab) stand(pair string, direct bool) int {
	l.t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(l.dir, pair+".crt"), filepath.Join(l.dir, pair+".key"))
	if err != nil {
		l.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(time.Minute))
				if !direct {
					var request [8]byte
					if _, err := io.ReadFull(conn, request[:]); err != nil {
						return
					}
					conn.Write([]byte{'S'})
				}
				secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"}})
				secured.Handshake()
				io.Copy(io.Discard, secured)
			})
		}
	})
	l.t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return ln.Addr().(*net.TCPAddr).Port
}

// visit examines the set-up and connects.
func (l *lab) visit(database string) *Report {
	l.t.Helper()
	l.database = "  app: {" + database + "}\n"
	l.examine()
	f, err := config.Load(filepath.Join(l.dir, "pgseal.yaml"))
	if err != nil {
		l.t.Fatal(err)
	}
	return Examine(l.t.Context(), f, time.Now(), true)
}

// ofServers returns the findings of the checks that connect.
func ofServers(r *Report) (ids []string) {
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Subject, "server ") {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// here is a certificate of a server on 127.0.0.1.
func here() *x509.Certificate {
	c := server()
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	return c
}

func TestServersAreJudgedByWhatTheyShow(t *testing.T) {
	for _, test := range []struct {
		name   string
		edit   func(*x509.Certificate)
		more   string // of the database
		direct bool
		want   []string
	}{
		{name: "a good server"},
		{name: "a good server with TLS at once", more: ", sslnegotiation: direct", direct: true},
		{name: "no TLS at once", more: ", sslnegotiation: direct", want: []string{"server-unverified"}},
		{name: "a certificate that expires soon", want: []string{"server-cert-expiring"}, edit: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, 20)
		}},
		{name: "a certificate that is out of date", want: []string{"server-unverified"}, edit: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().Add(-time.Hour)
		}},
		{name: "a SHA-1 signature", want: []string{"server-unverified", "server-weak-cert"}, edit: func(c *x509.Certificate) {
			c.SignatureAlgorithm = x509.ECDSAWithSHA1
		}},
		{name: "a client's certificate", want: []string{"server-unverified"}, edit: func(c *x509.Certificate) {
			c.ExtKeyUsage[0] = x509.ExtKeyUsageClientAuth
		}},
		{name: "another address", want: []string{"server-unverified"}, edit: func(c *x509.Certificate) { c.IPAddresses = nil }},
		{name: "an authority without a CRL", more: ", sslcrl: DIR/servers.crl", want: []string{"server-unverified"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			c := here()
			if test.edit != nil {
				test.edit(c)
			}
			l.pair("server", c)
			l.write("servers.crl", 0o644, l.fresh(l.root, l.rootKey))
			port := l.stand("server", test.direct)
			r := l.visit(fmt.Sprintf("host: 127.0.0.1, port: %d, sslrootcert: DIR/ca.crt", port) + test.more)
			if got := ofServers(r); !slices.Equal(got, test.want) {
				t.Errorf("found %v, want %v: %+v", got, test.want, r.Findings)
			}
			if len(r.Unseen) != 1 || !strings.Contains(r.Unseen[0].Text, "no fixed user") {
				t.Errorf("unseen: %v", r.Unseen)
			}
		})
	}
}

func TestARevokedServerIsToldByItsName(t *testing.T) {
	l := newLab(t)
	cert := l.pair("server", here())
	l.write("servers.crl", 0o644, l.fresh(l.root, l.rootKey), l.revoking(cert))
	r := l.visit(fmt.Sprintf("host: 127.0.0.1, port: %d, sslrootcert: DIR/ca.crt, sslcrl: DIR/servers.crl", l.stand("server", false)))
	if len(r.Findings) != 1 || r.Findings[0].ID != "server-unverified" || !strings.Contains(r.Findings[0].What, "was revoked on") {
		t.Errorf("found %+v", r.Findings)
	}
}

func TestEachHostOfAListIsVisited(t *testing.T) {
	l := newLab(t)
	l.pair("server", here())
	port := l.stand("server", false)
	r := l.visit(fmt.Sprintf("host: '127.0.0.1, 127.0.0.2', port: %d, sslrootcert: DIR/ca.crt", port))
	if got := ofServers(r); !slices.Equal(got, []string{"server-unreachable"}) {
		t.Fatalf("found %+v", r.Findings)
	}
	if f := r.Findings[0]; f.Host != fmt.Sprintf("127.0.0.2:%d", port) || f.Database != "app" {
		t.Errorf("found at %s", f.Host)
	}
	good := fmt.Sprintf("server 127.0.0.1:%d (database app)", port)
	if !slices.ContainsFunc(r.Good, func(g Remark) bool { return g.Subject == good && strings.Contains(g.Text, "verify-full succeeds") }) {
		t.Errorf("good: %v", r.Good)
	}
}

func TestWhoseNameCannotBeResolvedIsAskedForAnother(t *testing.T) {
	l := newLab(t)
	r := l.visit("host: no..host, sslrootcert: DIR/ca.crt") // no resolver is asked for what is no name
	if got := ofServers(r); !slices.Equal(got, []string{"server-unreachable"}) || !strings.Contains(r.Findings[0].Change, "getent hosts no..host") {
		t.Errorf("found %+v", r.Findings)
	}
}

func TestASocketDirectoryWithoutAServerIsUnreachable(t *testing.T) {
	l := newLab(t)
	r := l.visit("host: DIR, sslmode: disable, user: app, password_file: DIR/app.password")
	if got := ofServers(r); !slices.Equal(got, []string{"server-unreachable"}) || !strings.Contains(r.Findings[0].What, ".s.PGSQL.5432") {
		t.Errorf("found %+v", r.Findings)
	}
	if _, err := os.Stat(filepath.Join(l.dir, ".s.PGSQL.5432")); err == nil {
		t.Error("the check made a socket")
	}
}
