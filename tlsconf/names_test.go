package tlsconf

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// named adds a certificate for server names to a configuration.
func (d pairDir) named(c *ListenerConfig, names ...string) {
	c.Certificates = append(c.Certificates, CertificateConfig{ServerNames: names, CertFile: d.cert(), KeyFile: d.key()})
}

func TestACertificateIsChosenByTheNameThatTheClientAsksFor(t *testing.T) {
	ca := newCA(t)
	own := newPairDir(t, server(t, ca, "own"))
	c := own.config()
	newPairDir(t, server(t, ca, "exact")).named(&c, "a.Example.org")
	newPairDir(t, server(t, ca, "wild")).named(&c, "*.example.org", "b.test")
	s, err := NewListenerStore("listener test", c)
	ok(t, err)
	for name, want := range map[string]string{
		"": "own", "a.example.org": "exact", "A.EXAMPLE.ORG": "exact", "z.example.org": "wild", "b.test": "wild",
		"example.org": "own", "x.z.example.org": "own", "other.test": "own",
	} {
		l := s.Load().ForServerName(name)
		client, _, _, _ := shake(t, &tls.Config{InsecureSkipVerify: true}, l.Config)
		if l.Leaf.Subject.CommonName != want || len(client.PeerCertificates) == 0 ||
			client.PeerCertificates[0].Subject.CommonName != want || string(l.EndpointHash) != string(EndpointHash(client.PeerCertificates[0])) {
			t.Errorf("%q leads to %s, want %s", name, l.Leaf.Subject, want)
		}
	}
	if len(s.Load().Warnings) != 3 { // none of the certificates holds these names
		t.Errorf("warnings %q", s.Load().Warnings)
	}
}

func TestAllPairsOfAListenerChangeTogetherOrNotAtAll(t *testing.T) {
	ca := newCA(t)
	own, more := newPairDir(t, server(t, ca, "own")), newPairDir(t, server(t, ca, "more"))
	c := own.config()
	more.named(&c, "more.test")
	s, err := NewListenerStore("listener test", c)
	ok(t, err)
	old := s.Load()
	own.write(t, server(t, ca, "own 2"))
	write(t, more.cert(), []byte("garbage"), 0o644)
	_, err = s.Reload()
	wantError(t, err, more.cert(), "no certificate")
	if s.Load() != old {
		t.Error("half of the change came into force")
	}
	more.write(t, server(t, ca, "more 2"))
	_, err = s.Reload()
	ok(t, err)
	if l := s.Load(); l.Leaf.Subject.CommonName != "own 2" || l.ForServerName("more.test").Leaf.Subject.CommonName != "more 2" {
		t.Error("the next good version was not taken")
	}
}

func TestWhatIsShownForANameIsComparedWithWhatWasWhereverItStands(t *testing.T) {
	ca := newCA(t)
	expired := func(cn string) devca.Pair {
		return issue(t, ca, devca.Request{CommonName: cn, Hosts: []string{"localhost"}, NotBefore: time.Now().Add(-2 * time.Hour), Life: time.Hour})
	}
	own, a, b, lapsed := newPairDir(t, server(t, ca, "own")), newPairDir(t, server(t, ca, "a")), newPairDir(t, server(t, ca, "b")), newPairDir(t, expired("lapsed"))
	load := func(add func(c *ListenerConfig)) *Listener {
		t.Helper()
		c := own.config()
		add(&c)
		s, err := NewListenerStore("listener test", c)
		ok(t, err)
		return s.Load()
	}
	old := load(func(c *ListenerConfig) { a.named(c, "a.test"); b.named(c, "b.test"); lapsed.named(c, "lapsed.test") })
	for name, add := range map[string]func(c *ListenerConfig){
		"the other way round": func(c *ListenerConfig) { lapsed.named(c, "lapsed.test"); b.named(c, "b.test"); a.named(c, "a.test") },
		"one of them gone":    func(c *ListenerConfig) { lapsed.named(c, "lapsed.test"); b.named(c, "b.test") },
		"one more, expired": func(c *ListenerConfig) {
			newPairDir(t, expired("new")).named(c, "new.test")
			a.named(c, "a.test")
			b.named(c, "b.test")
		},
		"names in another letter":    func(c *ListenerConfig) { b.named(c, "B.TEST"); a.named(c, "A.Test") },
		"all names on one":           func(c *ListenerConfig) { b.named(c, "lapsed.test", "a.test", "b.test") },
		"another expired one for it": func(c *ListenerConfig) { newPairDir(t, expired("again")).named(c, "lapsed.test"); a.named(c, "a.test") },
	} {
		if err := load(add).MaySucceed(old); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, add := range map[string]func(c *ListenerConfig){
		"in its place":            func(c *ListenerConfig) { a.named(c, "a.test"); lapsed.named(c, "b.test") },
		"before the others":       func(c *ListenerConfig) { lapsed.named(c, "b.test"); a.named(c, "a.test") },
		"for one of its names":    func(c *ListenerConfig) { lapsed.named(c, "new.test", "B.test"); a.named(c, "a.test") },
		"where two are exchanged": func(c *ListenerConfig) { lapsed.named(c, "a.test"); a.named(c, "lapsed.test") },
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, load(add).MaySucceed(old), lapsed.cert(), "expired", "while the current one is valid")
		})
	}
}

func TestMistakesInServerNamesAreNamed(t *testing.T) {
	for name, words := range map[string]string{
		"*": "not a valid host name", "10.0.0.1": "host name", "a.*.org": "not a valid host name", "a b": "host name", "own.test": "duplicate",
	} {
		c := pairDir("/x").config()
		pairDir("/y").named(&c, "own.test", name)
		wantError(t, c.Validate(), "certificates[0].server_names[1]", words)
	}
	c := pairDir("/x").config()
	c.Certificates = []CertificateConfig{{ClientCRLFile: "crl"}}
	wantError(t, c.Validate(), "server_names: at least one server name is required", "cert_file: required", "key_file: required", "client_crl_file")
}
