package tlsconf

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
)

// rotated is a store of either leg and what the matrix does to one of its
// files.
type rotated struct {
	reload   reload.Reloadable
	value    func() any // the snapshot in force
	errorsOf func() stats.ReloadStatus
	files    map[string]string // by kind: cert, key, CA, CRL
	good     map[string][]byte // the next content of each
	bad      map[string]map[string]bad
	another  func() reload.Reloadable // the same with files of another path
}

type bad struct {
	content []byte
	says    string
}

// matrix lays out a leg: all four files, what they become, and what they must
// not become.
func matrix(t *testing.T, leg string) *rotated {
	t.Helper()
	ca, err := devca.NewRoot("root", 240*time.Hour)
	ok(t, err)
	next, err := devca.NewRoot("next root", 240*time.Hour)
	ok(t, err)
	req := devca.Request{CommonName: "x", Hosts: []string{"db.internal"}, Client: leg == "server"}
	pair, renewed, other := issue(t, ca, req), issue(t, ca, req), issue(t, ca, req)
	old := req
	old.NotBefore, old.Life = time.Now().Add(-2*time.Hour), time.Hour
	dir := t.TempDir()
	r := &rotated{files: map[string]string{}}
	soon := time.Now().Add(time.Hour)
	first := map[string][]byte{"cert": pair.CertPEM, "key": pair.KeyPEM, "CA": ca.CertPEM(), "CRL": crlOf(t, ca, soon)}
	for kind, content := range first {
		r.files[kind] = filepath.Join(dir, kind)
		write(t, r.files[kind], content, 0o600)
	}
	// A new certificate of the same key, and the key in another form, are what
	// may change alone.
	signer, err := ParsePrivateKey("key", pair.KeyPEM)
	ok(t, err)
	again := &minted{mint(t, "again", signer, &minted{ca.Cert(), signerOf(t, ca)}, nil).cert, signer}
	expired := mint(t, "expired", signer, &minted{ca.Cert(), signerOf(t, ca)}, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	r.good = map[string][]byte{
		"cert": bundle(again), "key": append([]byte("\n"), pair.KeyPEM...),
		"CA": append(ca.CertPEM(), next.CertPEM()...), "CRL": crlOf(t, ca, soon, other.Cert),
	}
	r.bad = map[string]map[string]bad{
		"cert": {
			"mismatch":  {renewed.CertPEM, "does not match"},
			"garbage":   {[]byte("garbage"), "no certificate"},
			"truncated": {pair.CertPEM[:len(pair.CertPEM)/2], "malformed or truncated"},
			"expired":   {bundle(expired), "expired"},
		},
		"key": {
			"mismatch":  {other.KeyPEM, "does not match"},
			"garbage":   {[]byte("garbage"), "0 private keys"},
			"truncated": {pair.KeyPEM[:len(pair.KeyPEM)/2], "malformed or truncated"},
		},
		"CA": {
			"mismatch":  {pair.KeyPEM, "not a certificate"},
			"garbage":   {[]byte("garbage"), "no certificate"},
			"truncated": {ca.CertPEM()[:100], "malformed or truncated"},
			"expired":   {issue(t, ca, old).CertPEM, "expired"},
		},
		"CRL": {
			"mismatch":  {pair.CertPEM, "not a CRL"},
			"garbage":   {[]byte("garbage"), "cannot be parsed"},
			"truncated": {first["CRL"][:100], "malformed or truncated"},
			"expired":   {crlOf(t, ca, time.Now().Add(-time.Minute)), "expired"},
			"short":     {crlOf(t, next, soon), "CRL of CN=root was removed"},
		},
	}
	r.another = func() reload.Reloadable { return r.store(t, leg) }
	r.store(t, leg)
	return r
}

// store builds the store of the leg from the files as they are.
func (r *rotated) store(t *testing.T, leg string) reload.Reloadable {
	t.Helper()
	if leg == "client" {
		c := DefaultListenerConfig()
		c.CertFile, c.KeyFile, c.ClientCAFile, c.ClientCRLFile = r.files["cert"], r.files["key"], r.files["CA"], r.files["CRL"]
		s, err := NewListenerStore("leg", c)
		ok(t, err)
		r.reload, r.value, r.errorsOf = s, func() any { return s.Load() }, s.Status
		return s
	}
	c := DefaultUpstreamConfig()
	c.SSLCert, c.SSLKey, c.SSLRootCert, c.SSLCRL = r.files["cert"], r.files["key"], r.files["CA"], r.files["CRL"]
	s, err := NewUpstreamStore("leg", c)
	ok(t, err)
	r.reload, r.value, r.errorsOf = s, func() any { return s.Load() }, s.Status
	return s
}

// drive runs a change through a watcher, and has it seen by an event or by
// SIGHUP.
func (r *rotated) drive(t *testing.T, trigger string, change func()) {
	t.Helper()
	log, _ := newLog()
	w := reload.NewWatcher(log, time.Hour)
	w.Set(r.reload)
	if trigger == "SIGHUP" {
		change()
		w.ReloadAll()
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	before, status := r.value(), r.errorsOf()
	// The first pass has followed the directories when a change is seen.
	deadline := time.Now().Add(10 * time.Second)
	change()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		now := r.errorsOf()
		if r.value() != before || now.Failures != status.Failures {
			break
		}
		if time.Now().After(deadline) {
			t.Error("nobody noticed the change")
			break
		}
	}
	cancel()
	<-done
}

// swapIn replaces a file as a whole: a watcher that looks in the middle of a
// write would see another fault than the one it is to see.
func swapIn(t *testing.T, path string, content []byte) {
	t.Helper()
	write(t, path+".new", content, 0o600)
	ok(t, os.Rename(path+".new", path))
}

// The matrix of what may happen to each file of each leg: a good change is
// taken, any other leaves the snapshot as it was, and the reason names the file.
func TestEachFileOfEachLegIsReplacedOrRefusedAsAWhole(t *testing.T) {
	for _, leg := range []string{"client", "server"} {
		for _, trigger := range []string{"watch", "SIGHUP"} {
			for _, kind := range []string{"cert", "key", "CA", "CRL"} {
				t.Run(fmt.Sprintf("%s leg, %s, by %s", leg, kind, trigger), func(t *testing.T) {
					t.Parallel()
					r := matrix(t, leg)
					path := r.files[kind]
					changes := map[string]bad{"missing": {nil, "no such file"}, "empty": {[]byte{}, "empty"}}
					for name, b := range r.bad[kind] {
						changes[name] = b
					}
					original, err := os.ReadFile(path)
					ok(t, err)
					for name, b := range changes {
						before := r.value()
						r.drive(t, trigger, func() {
							if b.content == nil {
								ok(t, os.Remove(path))
							} else {
								swapIn(t, path, b.content)
							}
						})
						if r.value() != before {
							t.Errorf("%s: the snapshot changed", name)
						}
						if err := r.errorsOf().LastError; err == nil || !strings.Contains(err.Error(), b.says) ||
							!strings.Contains(err.Error(), path) {
							t.Errorf("%s: the reason is %v, want %q", name, err, b.says)
						}
						write(t, path, original, 0o600)
						r.reload.Reload()
					}
					if kind == "key" { // readable by others
						ok(t, os.Chmod(path, 0o644))
						if _, err := r.reload.Reload(); err == nil {
							t.Error("a key that others can read was taken")
						}
						ok(t, os.Chmod(path, 0o600))
					}
					before := r.value()
					r.drive(t, trigger, func() { swapIn(t, path, r.good[kind]) })
					if r.value() == before || r.errorsOf().LastError != nil {
						t.Errorf("a good change was not taken: %v", r.errorsOf().LastError)
					}
					// Another path is another store.
					moved := path + ".moved"
					ok(t, os.Rename(path, moved))
					r.files[kind] = moved
					r.another()
				})
			}
		}
	}
}
