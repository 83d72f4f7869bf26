package reload_test

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/tlsconf"
)

const ms = time.Millisecond

func newCA(t *testing.T) *devca.CA {
	t.Helper()
	ca, err := devca.New("test root", 365*24*time.Hour)
	reload.OK(t, err)
	return ca
}

func server(t *testing.T, ca *devca.CA, cn string) devca.Pair {
	t.Helper()
	pair, err := ca.Issue(devca.Request{CommonName: cn, Hosts: []string{"db.internal"}})
	reload.OK(t, err)
	return pair
}

// pairDir is a directory with a tls.crt and a tls.key.
type pairDir string

func newPairDir(t *testing.T, pair devca.Pair) pairDir {
	t.Helper()
	d := pairDir(t.TempDir())
	reload.Write(t, d.cert(), pair.CertPEM, 0o644)
	reload.Write(t, d.key(), pair.KeyPEM, 0o600)
	return d
}

func (d pairDir) cert() string { return filepath.Join(string(d), "tls.crt") }
func (d pairDir) key() string  { return filepath.Join(string(d), "tls.key") }

func (d pairDir) store(t *testing.T) *reload.Store[*tlsconf.Listener] {
	t.Helper()
	c := tlsconf.DefaultListenerConfig()
	c.CertFile, c.KeyFile = d.cert(), d.key()
	s, err := tlsconf.NewListenerStore("listener test", c)
	reload.OK(t, err)
	return s
}

// noPEM asserts that text shows no part of what the files held.
func noPEM(t *testing.T, text string, pairs ...devca.Pair) {
	t.Helper()
	if strings.Contains(text, "-----") || strings.Contains(text, "BEGIN") {
		t.Errorf("PEM markers in %q", text)
	}
	for _, pair := range pairs {
		for line := range strings.Lines(string(pair.KeyPEM) + string(pair.CertPEM)) {
			if line = strings.TrimSpace(line); len(line) > 8 && strings.Contains(text, line) {
				t.Errorf("a line of a PEM file in %q", text)
			}
		}
	}
}

func TestAPairChangedInTwoStepsIsRefusedOnceAndTakenWhenItMatches(t *testing.T) {
	for _, certFirst := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ca := newCA(t)
			old, next := server(t, ca, "old"), server(t, ca, "next")
			d := newPairDir(t, old)
			s := d.store(t)
			log, logs := reload.NewTestLog()
			w := reload.NewWatcher(log, time.Second)
			hints := reload.Start(t, w)
			w.Set(s)
			synctest.Wait() // the pass that Set brings about must not read what is half written
			step := func(cert bool) {
				if cert {
					reload.Write(t, d.cert(), next.CertPEM, 0o644)
				} else {
					reload.Write(t, d.key(), next.KeyPEM, 0o600)
				}
				hints <- struct{}{}
			}
			step(certFirst)
			reload.Pass(time.Minute) // Many polls.
			if !s.Load().Leaf.Equal(old.Cert) {
				t.Fatal("half a change was taken")
			}
			if n := logs.Count("reload failed, keeping the version in force"); n != 1 {
				t.Errorf("the mismatch was logged %d times", n)
			}
			step(!certFirst)
			reload.Pass(200 * ms)
			if !s.Load().Leaf.Equal(next.Cert) || logs.Count("certificates reloaded") != 1 || logs.Len() != 2 {
				t.Errorf("not taken, or logged more than that: %s", logs.Text())
			}
			noPEM(t, logs.Text(), old, next)
		})
	}
}

func TestAPairChangedInTwoQuickStepsIsNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA(t)
		d := newPairDir(t, server(t, ca, "old"))
		next := server(t, ca, "next")
		s := d.store(t)
		log, logs := reload.NewTestLog()
		w := reload.NewWatcher(log, time.Second)
		hints := reload.Start(t, w)
		w.Set(s)
		synctest.Wait() // the pass that Set brings about must not read what is half written
		reload.Pass(900 * ms)
		reload.Write(t, d.cert(), next.CertPEM, 0o644)
		hints <- struct{}{}
		reload.Pass(140 * ms) // A poll falls in here.
		reload.Write(t, d.key(), next.KeyPEM, 0o600)
		hints <- struct{}{}
		reload.Pass(time.Second)
		if !s.Load().Leaf.Equal(next.Cert) || logs.Count("certificates reloaded") != 1 || logs.Len() != 1 {
			t.Errorf("logged %s", logs.Text())
		}
	})
}
