package proxy

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/tlsconf"
)

// The clients of these tests ask for the name localhost.
func TestASessionIsJudgedByTheAuthorityOfTheNameItAskedFor(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	h := open(t, func(p *plan) {
		p.tls = func(c *tlsconf.ListenerConfig) {
			pair, err := testCA().Issue(devca.Request{CommonName: "by name", Hosts: []string{"localhost"}})
			ok(t, err)
			entry := tlsconf.CertificateConfig{ServerNames: []string{"localhost"}, ClientCAFile: ca,
				CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
			ok(t, pair.WriteFiles(entry.CertFile, entry.KeyFile))
			ok(t, os.WriteFile(ca, testCA().CertPEM(), 0o644))
			c.Certificates = append(c.Certificates, entry)
		}
	})
	c := h.certified(t, clientPair(t))
	chosen := h.store.Load().ForServerName("localhost")
	h.proxy.mu.Lock()
	for s := range h.proxy.sessions {
		if string(s.endpointHash) != string(chosen.EndpointHash) || chosen == h.store.Load() {
			t.Error("the session is bound to another certificate")
		}
	}
	h.proxy.mu.Unlock()
	h.listener.recheck()
	c.ask("SELECT pid")
	next, err := devca.New("next authority", time.Hour)
	ok(t, err)
	ok(t, os.WriteFile(ca, next.CertPEM(), 0o644))
	_, err = h.store.Reload()
	ok(t, err)
	c.refused("28000")
}
