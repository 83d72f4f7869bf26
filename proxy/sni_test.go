package proxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/tlsconf"
)

// The clients of these tests ask for the name localhost.
func TestASessionIsJudgedByTheAuthorityOfTheNameItAskedFor(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	pair, err := testCA().Issue(devca.Request{CommonName: "by name", Hosts: []string{"localhost"}})
	ok(t, err)
	h := open(t, func(p *plan) {
		p.tls = func(c *tlsconf.ListenerConfig) {
			entry := tlsconf.CertificateConfig{ServerNames: []string{"localhost"}, ClientCAFile: ca,
				CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
			ok(t, pair.WriteFiles(entry.CertFile, entry.KeyFile))
			ok(t, os.WriteFile(ca, testCA().CertPEM(), 0o644))
			c.Certificates = append(c.Certificates, entry)
		}
	})
	c := h.dial()
	ok(t, c.secureWith(clientPair(t)))
	c.authenticateBound(pair.Cert)
	c.greeted()
	h.listener.recheck()
	c.ask("SELECT pid")
	next, err := devca.New("next authority", time.Hour)
	ok(t, err)
	ok(t, os.WriteFile(ca, next.CertPEM(), 0o644))
	_, err = h.store.Reload()
	ok(t, err)
	c.refused("28000")
}

func TestAServerNameLeadsToItsOneDatabase(t *testing.T) {
	h := open(t, func(p *plan) {
		p.tls = func(c *tlsconf.ListenerConfig) {
			c.Certificates = append(c.Certificates, tlsconf.CertificateConfig{
				ServerNames: []string{"localhost"}, CertFile: c.CertFile, KeyFile: c.KeyFile, Database: "app"})
		}
	})
	for _, asked := range [][]string{{"database", "app"}, {}, {"database", "alice"}} { // libpq sends the role's name for none
		c := h.dialTLS()
		c.write(packet(version3, append([]string{"user", "alice"}, asked...)...))
		c.authenticate(password)
		c.greeted()
		if c.ask("SELECT pid"); h.sessionOf(c).database != "app" {
			t.Errorf("%q leads to %s", asked, h.sessionOf(c).database)
		}
		c.leave()
	}
	for _, asked := range [][]string{{"database", "sess"}, {"replication", "true"}, {"database", "app", "replication", "true"}} {
		c := h.dialTLS()
		c.write(packet(version3, append([]string{"user", "alice"}, asked...)...))
		if fields := c.refused("28000"); !strings.Contains(fields['M'], "is not available under the TLS server name") {
			t.Errorf("%q: the client was told %q", asked, fields)
		}
	}
}
