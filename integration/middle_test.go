package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// What becomes of a login through a man in the middle whose certificate is
// trusted, by how it is bound and whether he hides that it can be.
type mitm struct {
	binding string
	strips  bool
	psql    string // what psql says; empty: it gets in
	state   string // the SQLSTATE that pgx is told, empty: it does not go so far
	refusal string // what pgseal says of PostgreSQL
}

var mitms = []mitm{
	{"require", false, "SCRAM channel binding check failed", "28000", "SCRAM channel binding check failed"},
	{"prefer", false, "SCRAM channel binding check failed", "28000", "SCRAM channel binding check failed"},
	{"prefer", true, "SCRAM channel binding negotiation error", "28000", "SCRAM channel binding negotiation error"},
	{"require", true, "channel binding is required", "", "server did not offer an authentication method that supports channel binding"},
	{"disable", true, "", "", ""}, // shows that it is the binding that keeps him out
}

func (m mitm) String() string {
	return fmt.Sprintf("channel_binding=%s, PLUS hidden: %t", m.binding, m.strips)
}

func TestAManInTheMiddleOfClientAndPgsealIsFoundOut(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{})
		for _, m := range mitms {
			port := manInTheMiddle(t, p.ca, p.port(), m.strips)
			loggedIn := p.log.count("client logged in")
			r := p.psql(t, "app", []string{fmt.Sprintf("PGPORT=%d", port), "PGCHANNELBINDING=" + m.binding}, "-c", "SELECT 1")
			conn, err := p.tryPgx(soon(t), "app", fmt.Sprintf("port=%d channel_binding=%s %s", port, m.binding, execMode))
			if err == nil {
				conn.Close(soon(t))
			}
			if m.psql == "" {
				if r.status != 0 || err != nil {
					t.Errorf("%v: psql ended with status %d: %s; pgx: %v", m, r.status, r.stderr, err)
				}
				continue
			}
			if r.status != 2 || !strings.Contains(r.stderr, m.psql) {
				t.Errorf("%v: psql ended with status %d: %s", m, r.status, r.stderr)
			}
			if err == nil || m.state != "" && sqlState(err) != m.state {
				t.Errorf("%v: pgx: %v", m, err)
			}
			if n := p.log.count("client logged in"); n != loggedIn {
				t.Errorf("%v: %d clients logged in", m, n-loggedIn)
			}
		}
	})
}

func TestAManInTheMiddleOfPgsealAndPostgreSQLIsFoundOut(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		databases := map[string]settings{}
		for i, m := range mitms {
			port := manInTheMiddle(t, pg.ca, pg.Port(), m.strips)
			databases[fmt.Sprint("app", i)] = settings{"port": fmt.Sprint(port), "channel_binding": m.binding}
		}
		p := start(t, pg, options{databases: databases, errors: []string{notOpened}})
		for i, m := range mitms {
			database := fmt.Sprint("app", i)
			if m.refusal == "" {
				if got := p.ask(t, database, "SELECT 'relayed'"); got != "relayed" {
					t.Errorf("%v: got %q", m, got)
				}
				continue
			}
			state := m.state // PostgreSQL's own
			if state == "" {
				state = "08006"
			}
			refused(t, p, database, "", state)
			eventually(t, patience, m.String()+": the log says why", func() bool {
				return p.log.count(notOpened, fmt.Sprintf("%q", database), m.refusal) > 0
			})
		}
	})
}

// injected is what an attacker would like to have heard on a connection that
// is about to be TLS: by a server, a session of his own and a query; by a
// client, that it is let in.
var (
	injectedForth = "\x00\x00\x00\x1f\x00\x03\x00\x00user\x00app\x00database\x00app\x00\x00Q\x00\x00\x00\x0dSELECT 1\x00"
	injectedBack  = "R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I"
)

func TestBytesInjectedBeforeTLSEndTheClientsConnection(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	for i, in := range injectionsForth {
		port := relay(t, p.port(), func(from, to net.Conn) { in.meddle(from, to, []byte(injectedForth)) })
		r := p.psql(t, "app", []string{fmt.Sprintf("PGPORT=%d", port)}, "-c", "SELECT 1")
		if r.status != 2 {
			t.Errorf("%s: psql ended with status %d: %s%s", in.name, r.status, r.stdout, r.stderr)
		}
		if conn, err := p.tryPgx(soon(t), "app", fmt.Sprintf("port=%d", port)); err == nil {
			conn.Close(soon(t))
			t.Errorf("%s: pgx got in", in.name)
		}
		says := []string{"received unencrypted data after SSL request", "TLS handshake"}[i]
		eventually(t, patience, in.name+": the log tells of both", func() bool {
			n := 0
			for _, e := range p.log.all() {
				if strings.Contains(e.line, says) {
					n++
				}
			}
			return n >= 2
		})
	}
	if n := p.log.count("client logged in"); n != 0 {
		t.Errorf("%d clients logged in", n)
	}
	if got := p.ask(t, "app", "SELECT 'alive'"); got != "alive" {
		t.Errorf("got %q", got)
	}
}

func TestBytesInjectedBeforeTLSEndTheServersConnection(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		databases := map[string]settings{"app": {}}
		for i, in := range injectionsBack {
			port := relay(t, pg.Port(), func(from, to net.Conn) { in.meddle(from, to, []byte(injectedBack)) })
			databases[fmt.Sprint("app", i)] = settings{"port": fmt.Sprint(port)}
		}
		p := start(t, pg, options{databases: databases, errors: []string{notOpened}})
		for i, in := range injectionsBack {
			database := fmt.Sprint("app", i)
			refused(t, p, database, "", "08006")
			says := []string{"received unencrypted data after SSL response", "TLS handshake"}[i]
			eventually(t, patience, in.name+": the log says why", func() bool {
				return p.log.count(notOpened, fmt.Sprintf("%q", database), says) > 0
			})
		}
		if got := p.ask(t, "app", "SELECT 'alive'"); got != "alive" {
			t.Errorf("got %q", got)
		}
	})
}
