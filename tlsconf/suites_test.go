package tlsconf

import (
	"crypto/fips140"
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/devca"
)

// listenAs loads a listener with these settings, and returns what a client with
// a configuration of its own agrees on with it.
func listenAs(t *testing.T, ca *devca.CA, edit func(*ListenerConfig), client func(*tls.Config)) (tls.ConnectionState, error) {
	t.Helper()
	c := newPairDir(t, server(t, ca, "pgseal")).config()
	edit(&c)
	s, err := NewListenerStore("listener test", c)
	ok(t, err)
	config := &tls.Config{RootCAs: ca.Pool(), ServerName: "db.internal", NextProtos: []string{"postgresql"}}
	client(config)
	state, _, clientErr, _ := shake(t, config, s.Load().Config)
	return state, clientErr
}

func TestOnlySuitesWithAEADAreTakenUnlessOthersAreWrittenOut(t *testing.T) {
	ca := newCA(t)
	with := func(id uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{id} }
	}
	for _, s := range suites {
		ours := tls.CipherSuiteName(s.id)
		if s.openssl[:11] != "ECDHE-ECDSA" {
			continue // the certificate's key is of that kind
		}
		if fips140.Enabled() && strings.Contains(ours, "CHACHA20") {
			continue // crypto/tls takes it out itself
		}
		state, err := listenAs(t, ca, func(*ListenerConfig) {}, with(s.id))
		if (err == nil) != s.aead {
			t.Errorf("%s by default: %v", ours, err)
		}
		if err == nil && state.CipherSuite != s.id {
			t.Errorf("%s was agreed on instead of %s", tls.CipherSuiteName(state.CipherSuite), ours)
		}
		for _, name := range []string{s.openssl, ours} {
			_, err = listenAs(t, ca, func(c *ListenerConfig) { c.Ciphers = name }, with(s.id))
			if approved := s.aead || !fips140.Enabled(); (err == nil) != approved {
				t.Errorf("%s, written out as %s: %v", ours, name, err)
			}
		}
		other := "ECDHE-ECDSA-AES128-GCM-SHA256"
		if s.openssl == other {
			other = "ECDHE-ECDSA-AES256-GCM-SHA384"
		}
		if _, err = listenAs(t, ca, func(c *ListenerConfig) { c.Ciphers = other }, with(s.id)); err == nil {
			t.Errorf("%s was taken where only %s may be", ours, other)
		}
		c := edited(func(c *ListenerConfig) { c.Ciphers = s.openssl })
		if warned := len(c.Warnings()) > 0; warned == s.aead {
			t.Errorf("%s: warned %t", ours, warned)
		}
	}
	for _, name := range []string{"TLS_RSA_WITH_AES_128_GCM_SHA256", "RC4-SHA", "HIGH:!aNULL", ":", "TLS_AES_128_GCM_SHA256"} {
		if got := keysOf(t, edited(func(c *ListenerConfig) { c.Ciphers = name }).Validate()); len(got) != 1 || got[0] != "ciphers" {
			t.Errorf("%q: wrong keys %q", name, got)
		}
	}
}

func TestPostQuantumGroupsAreTakenFirstAndGroupsCanBeChosen(t *testing.T) {
	ca := newCA(t)
	offering := func(groups ...tls.CurveID) func(*tls.Config) {
		return func(c *tls.Config) { c.CurvePreferences = groups }
	}
	for _, test := range []struct {
		groups  string
		offered []tls.CurveID
		want    tls.CurveID // zero: nothing is agreed on
	}{
		{"", nil, tls.X25519MLKEM768},
		{"", []tls.CurveID{tls.X25519, tls.X25519MLKEM768}, tls.X25519MLKEM768},
		{"", []tls.CurveID{tls.SecP256r1MLKEM768}, tls.SecP256r1MLKEM768},
		{"", []tls.CurveID{tls.X25519}, tls.X25519},
		{"", []tls.CurveID{tls.CurveP256}, tls.CurveP256},
		{"prime256v1", nil, tls.CurveP256},
		{"prime256v1", []tls.CurveID{tls.X25519}, 0},
		{"X25519MLKEM768", []tls.CurveID{tls.X25519, tls.CurveP256}, 0},
		{"x25519:P-384", []tls.CurveID{tls.CurveP256, tls.CurveP384}, tls.CurveP384},
	} {
		if fips140.Enabled() && slices.Equal(test.offered, []tls.CurveID{tls.X25519}) {
			test.want = 0 // not approved, and crypto/tls takes it out itself
		}
		state, err := listenAs(t, ca, func(c *ListenerConfig) { c.Groups = test.groups }, offering(test.offered...))
		if (err == nil) != (test.want != 0) || state.CurveID != test.want && err == nil {
			t.Errorf("groups %q, offered %v: %v and %v", test.groups, test.offered, state.CurveID, err)
		}
	}
	if got := keysOf(t, edited(func(c *ListenerConfig) { c.Groups = "X448" }).Validate()); len(got) != 1 || got[0] != "groups" {
		t.Errorf("wrong keys %q", got)
	}
}

func TestNoListenerGivesOutSessionTickets(t *testing.T) {
	ca := newCA(t)
	c := newPairDir(t, server(t, ca, "pgseal")).config()
	s, err := NewListenerStore("listener test", c)
	ok(t, err)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache := tls.NewLRUClientSessionCache(1)
		config := &tls.Config{RootCAs: ca.Pool(), ServerName: "db.internal", MaxVersion: version, ClientSessionCache: cache}
		for range 2 {
			state, _, err, serverErr := shake(t, config, s.Load().Config)
			ok(t, err)
			ok(t, serverErr)
			if state.DidResume {
				t.Error("a session was resumed")
			}
		}
		if _, given := cache.Get("db.internal"); given {
			t.Errorf("a ticket was given out by %s", tls.VersionName(version))
		}
	}
}
