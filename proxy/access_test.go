package proxy

import (
	"crypto/tls"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/proxy/login"
)

// rules has the house let clients in by these lines.
func (h *house) rules(lines ...string) {
	h.t.Helper()
	h.configure(login.Config{Rules: lines})
}

func (h *house) configure(c login.Config) {
	h.t.Helper()
	settings := *h.proxy.settings.Load()
	var err error
	settings.Access, err = login.ParseAccess(reload.NewReader(), "/config.yaml", c)
	ok(h.t, err)
	h.proxy.Configure(settings)
}

// asks opens a session in the name of alice.
func (h *house) asks(c *client, database string) *client {
	h.t.Helper()
	c.write(packet(version3, "user", "alice", "database", database))
	return c
}

// tell answers the request for a password in the clear.
func (c *client) tell(password string) {
	c.t.Helper()
	if kind := c.want('R'); kind != "\x00\x00\x00\x03" {
		c.t.Fatalf("asked for authentication %q", kind)
	}
	c.write(msg('p', password, "\x00"))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	ok(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestAClientThatNoRuleFitsIsToldInPostgreSQLsWords(t *testing.T) {
	h := open(t)
	h.rules("hostssl sess all all scram-sha-256", "local all all trust")
	e := h.asks(h.dialTLS(), "app").wantError("28000")
	if want := `no pg_hba.conf entry for host "127.0.0.1", user "alice", database "app", SSL encryption`; e['M'] != want {
		t.Errorf("told %q, want %q", e['M'], want)
	}
	h.login("sess")
}

func TestARejectingRuleAndItsPlaceAreInTheLog(t *testing.T) {
	h := open(t)
	h.rules("host all bob all trust", "host app alice 127.0.0.0/8 reject", "host all all all trust")
	e := h.asks(h.dialTLS(), "app").wantError("28000")
	if !strings.HasPrefix(e['M'], `pg_hba.conf rejects connection for host "127.0.0.1", user "alice"`) {
		t.Errorf("told %q", e['M'])
	}
	for _, text := range e {
		if strings.Contains(text, "config.yaml") {
			t.Errorf("the client is told %q", text)
		}
	}
	eventually(t, "the log tells the rule", func() bool {
		for _, line := range h.logs.FilterMessage("login refused").All() {
			if cause, _ := line.ContextMap()["error"].(string); strings.HasPrefix(cause, "/config.yaml: auth.rules:2: ") {
				return true
			}
		}
		return false
	})
}

func TestTrustLetsLoopbackInWithoutAProof(t *testing.T) {
	h := open(t)
	h.rules("hostssl all all 127.0.0.1/32 trust")
	h.asks(h.dialTLS(), "app").welcomed()
}

func TestAPasswordIsAskedForInsideTLSOnly(t *testing.T) {
	h := open(t, func(p *plan) { p.mode = "prefer" })
	h.rules("host all all all password")
	c := h.asks(h.dialTLS(), "app")
	c.tell(password)
	c.welcomed()
	if got := c.ask("SELECT pid"); got != "1" {
		t.Errorf("the answer is %q", got)
	}
	h.asks(h.dial(), "app").wantError("28000")
}

func TestAWrongPasswordAndAnUnknownRoleLookAlikeInTheClear(t *testing.T) {
	h := open(t)
	h.rules("host all all all password")
	for _, role := range []string{"alice", "mario"} {
		for _, told := range []string{"", "wrong", strings.Repeat("x", 999), strings.Repeat("x", 65535)} {
			c := h.dialTLS()
			c.write(packet(version3, "user", role, "database", "app"))
			c.tell(told)
			if e := c.wantError("28P01"); e['M'] != `password authentication failed for user "`+role+`"` {
				t.Errorf("%s is told %q", role, e['M'])
			}
		}
	}
	c := h.asks(h.dialTLS(), "app")
	c.tell(strings.Repeat("x", 65536))
	c.wantError("08P01")
	c = h.asks(h.dialTLS(), "app")
	c.tell(password + "\x00" + password)
	c.wantError("08P01")
}

// dialUnix connects to a new unix socket of the house.
func (h *house) dialUnix() *client {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), ".s.PGSQL.6432")
	_, err := h.listenUnix(path)
	ok(h.t, err)
	conn, err := net.Dial("unix", path)
	ok(h.t, err)
	h.t.Cleanup(func() { conn.Close() })
	ok(h.t, conn.SetDeadline(time.Now().Add(patience)))
	return &client{Conn: conn, raw: conn, t: h.t, params: map[string]string{}}
}

func TestPeerTakesTheSystemsUserForTheRole(t *testing.T) {
	h := open(t)
	me, err := user.Current()
	ok(t, err)
	ident := filepath.Join(t.TempDir(), "ident")
	write(t, ident, "os "+me.Username+" alice\n")
	h.configure(login.Config{Rules: []string{"local app all peer map=os", "local sess all peer"}, IdentFile: ident})
	h.asks(h.dialUnix(), "app").welcomed()
	e := h.asks(h.dialUnix(), "sess").wantError("28000")
	if e['M'] != `Peer authentication failed for user "alice"` {
		t.Errorf("told %q", e['M'])
	}
}

// dialCertificate connects with a certificate for these names, of an authority
// that the listener trusts.
func (h *house) dialCertificate(request devca.Request) *client {
	h.t.Helper()
	request.Client = true
	pair, err := testCA().Issue(request)
	ok(h.t, err)
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	ok(h.t, err)
	c := h.dial()
	c.write(sslRequest)
	c.wantByte('S')
	conn := tls.Client(c.raw, &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: testCA().Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"}})
	ok(h.t, conn.Handshake())
	c.Conn = conn
	return c
}

// askForCertificates has the listener verify the certificates of clients.
func (h *house) askForCertificates() {
	config := h.store.Load().Config
	config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, testCA().Pool()
}

func TestACertificateLetsItsNameInAndNobodyElse(t *testing.T) {
	h := open(t)
	h.askForCertificates()
	h.rules("hostssl all all all cert")
	h.asks(h.dialCertificate(devca.Request{CommonName: "alice"}), "app").welcomed()
	for _, name := range []string{"Alice", "*", "alice ", "al*", "bob"} {
		e := h.asks(h.dialCertificate(devca.Request{CommonName: name}), "app").wantError("28000")
		if e['M'] != `certificate authentication failed for user "alice"` {
			t.Errorf("%q is told %q", name, e['M'])
		}
	}
	e := h.asks(h.dialTLS(), "app").wantError("28000")
	if e['M'] != "connection requires a valid client certificate" {
		t.Errorf("without a certificate the client is told %q", e['M'])
	}
}

func TestACertificateAndAPasswordCanBeAskedForTogether(t *testing.T) {
	h := open(t)
	h.askForCertificates()
	h.rules("hostssl app all all scram-sha-256 clientcert=verify-full", "hostssl all all all scram-sha-256 clientcert=verify-ca")
	for _, c := range []struct {
		name, database, password string
		want                     string
	}{
		{"alice", "app", password, ""}, {"bob", "app", password, "28000"}, {"alice", "app", "wrong", "28P01"},
		{"bob", "sess", password, ""}, {"bob", "sess", "wrong", "28P01"},
	} {
		client := h.asks(h.dialCertificate(devca.Request{CommonName: c.name}), c.database)
		x := client.beginSCRAM(c.password)
		body := client.want('R')
		final, err := x.Respond([]byte(body[4:]))
		ok(t, err)
		client.write(msg('p', string(final)))
		switch c.want {
		case "":
			client.greeted()
		case "28000":
			client.want('R') // the server's proof: the password was right
			client.wantError(c.want)
		default:
			client.wantError(c.want)
		}
	}
	h.asks(h.dialTLS(), "app").wantError("28000")
}
