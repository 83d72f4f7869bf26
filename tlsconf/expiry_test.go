package tlsconf

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

func expires(at time.Time, edit func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		if edit != nil {
			edit(c)
		}
		c.NotAfter = at
	}
}

func TestTheFirstOfAChainOrATrustToExpireIsTold(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	root := mint(t, "root", newECKey(t), nil, expires(now.Add(30*time.Hour), authority))
	inner := mint(t, "inner", newECKey(t), root, expires(now.Add(10*time.Hour), authority))
	leaf := mint(t, "leaf", newECKey(t), inner, expires(now.Add(20*time.Hour), nil))
	dir := newPairDir(t, leaf.pair(t, inner))
	if e := dir.store(t).Load().Expiry(); e != (stats.Expiry{Certificate: now.Add(10 * time.Hour)}) {
		t.Errorf("the listener's are %+v", e)
	}
	c := DefaultUpstreamConfig()
	c.SSLRootCert = filepath.Join(string(dir), "roots.crt")
	ok(t, os.WriteFile(c.SSLRootCert, bundle(root, inner), 0o600))
	store, err := NewUpstreamStore("database", c)
	ok(t, err)
	if e := store.Load().Expiry(); e != (stats.Expiry{Authority: now.Add(10 * time.Hour)}) {
		t.Errorf("the database's are %+v", e)
	}
	c = DefaultUpstreamConfig()
	c.SSLMode = SSLModeDisable
	none, err := NewUpstreamStore("database", c)
	ok(t, err)
	if e := none.Load().Expiry(); e != (stats.Expiry{}) {
		t.Errorf("%+v expires where there is nothing", e)
	}
}
