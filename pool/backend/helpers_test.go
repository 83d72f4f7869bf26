package backend

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// What the scripts of servers are made of.
type peer = pgfake.Peer

var frame, word, hospitable = pgfake.Frame, pgfake.Word, pgfake.Hospitable

const welcome = pgfake.Welcome

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// says asserts that the text of err says each of the words.
func says(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

// code asserts that err is the server's, with this SQLSTATE.
func code(t testing.TB, err error, want string) *wire.Error {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v has no SQLSTATE, want %s", err, want)
	}
	if e.Code != want {
		t.Fatalf("SQLSTATE %s (%s), want %s", e.Code, e.Message, want)
	}
	return e
}

// ours asserts that err is pgseal's own, which is for its log, and says the words.
func ours(t testing.TB, err error, words ...string) {
	t.Helper()
	says(t, err, words...)
	var e *wire.Error
	if errors.As(err, &e) {
		t.Errorf("a client would be told %v", e)
	}
}

// setup is what a test says of a target.
type setup struct {
	tlsconf.UpstreamConfig
	Host    string
	Timeout time.Duration
	Login   Login
}

// target returns a target without TLS but for what edit changes, which may be nil.
func target(t testing.TB, edit func(*setup)) Target {
	t.Helper()
	s := setup{tlsconf.DefaultUpstreamConfig(), "db.internal", 15 * time.Second, Login{User: "app", Password: password}}
	s.SSLMode = "disable"
	if edit != nil {
		edit(&s)
	}
	trust, err := tlsconf.NewUpstreamStore("app", s.UpstreamConfig)
	ok(t, err)
	return Target{Hosts: Addresses(s.Host, 5432), Timeout: s.Timeout, Trust: trust.Load(), Login: s.Login, Database: "app"}
}

// verified has a target verify by ca.
func verified(t testing.TB, ca *devca.CA, sslmode string) func(*setup) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.crt")
	ok(t, os.WriteFile(file, ca.CertPEM(), 0o644))
	return func(s *setup) { s.SSLMode, s.SSLRootCert = sslmode, file }
}

// fake is a server of package pgfake, behind a pipe or a socket.
type fake interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	Limits() (open, most int)
}

// dial tries to open a connection, which is the test's to close. One that fails
// leaves none behind, and tells no password.
func dial(t testing.TB, f fake, edit func(*setup)) (*Conn, error) {
	t.Helper()
	d := Dialer{Net: f.Dial}
	c, err := d.Dial(t.Context(), target(t, edit))
	if err != nil {
		if open, _ := f.Limits(); open != 0 {
			t.Errorf("%d connections are still open", open)
		}
		if strings.Contains(err.Error(), password) {
			t.Errorf("the password stands in the error %q", err)
		}
	}
	return c, err
}

// open is dial for a connection that ends with the test.
func open(t *testing.T, f fake, edit func(*setup)) (*Conn, error) {
	t.Helper()
	c, err := dial(t, f, edit)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}
