package tlsconf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
)

// patience is how long these tests wait for something that takes a fraction of
// a second. They never wait for nothing to happen.
const patience = 20 * time.Second

// way is one way in which people and programs change certificates.
type way struct {
	name string
	// paths are those that the configuration names, below a directory.
	cert, key string
	// put brings a version in place: the first one, and each that follows.
	put func(t *testing.T, dir string, version int, pair devca.Pair)
}

// files writes a pair in place.
func files(t *testing.T, dir string, pair devca.Pair) {
	t.Helper()
	ok(t, os.MkdirAll(dir, 0o755))
	pairDir(dir).write(t, pair)
}

// relink points a symlink elsewhere, by rename as careful programs do.
func relink(t *testing.T, target, link string) {
	t.Helper()
	ok(t, os.Symlink(target, link+".tmp"))
	ok(t, os.Rename(link+".tmp", link))
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		ok(t, os.RemoveAll(path))
	}
}

var ways = []way{
	{"written in place", "tls.crt", "tls.key", func(t *testing.T, dir string, _ int, pair devca.Pair) {
		files(t, dir, pair)
	}},
	{"written in place, bit by bit", "tls.crt", "tls.key", func(t *testing.T, dir string, _ int, pair devca.Pair) {
		for end := 0; end < len(pair.CertPEM); end += 100 {
			write(t, filepath.Join(dir, "tls.crt"), pair.CertPEM[:end], 0o644)
		}
		files(t, dir, pair)
	}},
	{"written beside and renamed", "tls.crt", "tls.key", func(t *testing.T, dir string, _ int, pair devca.Pair) {
		ok(t, pair.WriteFiles(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")))
	}},
	{"deleted and created", "tls.crt", "tls.key", func(t *testing.T, dir string, _ int, pair devca.Pair) {
		remove(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
		files(t, dir, pair)
	}},
	{"a Kubernetes volume", "tls.crt", "tls.key", func(t *testing.T, dir string, version int, pair devca.Pair) {
		files(t, filepath.Join(dir, fmt.Sprintf("..2026_%d", version)), pair)
		relink(t, fmt.Sprintf("..2026_%d", version), filepath.Join(dir, "..data"))
		if version == 0 {
			ok(t, os.Symlink("..data/tls.crt", filepath.Join(dir, "tls.crt")))
			ok(t, os.Symlink("..data/tls.key", filepath.Join(dir, "tls.key")))
			return
		}
		remove(t, filepath.Join(dir, fmt.Sprintf("..2026_%d", version-1)))
	}},
	{"certbot", "live/tls.crt", "live/tls.key", func(t *testing.T, dir string, version int, pair devca.Pair) {
		archive := fmt.Sprintf("../archive/%d", version)
		files(t, filepath.Join(dir, "archive", fmt.Sprint(version)), pair)
		ok(t, os.MkdirAll(filepath.Join(dir, "live"), 0o755))
		relink(t, archive+"/tls.crt", filepath.Join(dir, "live", "tls.crt"))
		relink(t, archive+"/tls.key", filepath.Join(dir, "live", "tls.key"))
	}},
	{"overwritten behind a symlink", "live/tls.crt", "live/tls.key", func(t *testing.T, dir string, version int, pair devca.Pair) {
		files(t, filepath.Join(dir, "target"), pair)
		if version == 0 {
			ok(t, os.Symlink("target", filepath.Join(dir, "live")))
		}
	}},
	{"a link to the directory turned", "live/tls.crt", "live/tls.key", func(t *testing.T, dir string, version int, pair devca.Pair) {
		files(t, filepath.Join(dir, fmt.Sprint(version)), pair)
		relink(t, fmt.Sprint(version), filepath.Join(dir, "live"))
	}},
	{"the directory replaced", "tls/tls.crt", "tls/tls.key", func(t *testing.T, dir string, version int, pair devca.Pair) {
		files(t, filepath.Join(dir, "new"), pair)
		if version > 0 {
			ok(t, os.Rename(filepath.Join(dir, "tls"), filepath.Join(dir, "old")))
		}
		ok(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "tls")))
		remove(t, filepath.Join(dir, "old"))
	}},
	{"the directory deleted and made anew", "a/b/tls.crt", "a/b/tls.key", func(t *testing.T, dir string, _ int, pair devca.Pair) {
		remove(t, filepath.Join(dir, "a"))
		files(t, filepath.Join(dir, "a", "b"), pair)
	}},
	{"two directories", "certs/tls.crt", "private/tls.key", func(t *testing.T, dir string, _ int, pair devca.Pair) {
		ok(t, os.MkdirAll(filepath.Join(dir, "certs"), 0o755))
		ok(t, os.MkdirAll(filepath.Join(dir, "private"), 0o700))
		write(t, filepath.Join(dir, "private", "tls.key"), pair.KeyPEM, 0o600)
		write(t, filepath.Join(dir, "certs", "tls.crt"), pair.CertPEM, 0o644)
	}},
}

// probe is a Reloadable without files that tells when it is looked at.
type probe chan struct{}

func (probe) Name() string    { return "probe" }
func (probe) Files() []string { return nil }

func (p probe) Reload() (bool, error) {
	select {
	case p <- struct{}{}:
	default:
	}
	return false, nil
}

// receive waits for a value, but not for ever.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// watch runs a real watcher that as good as never polls, and returns after it
// has begun to watch.
func watch(t *testing.T, s reload.Reloadable) logbook {
	t.Helper()
	log, logs := newLog()
	w := reload.NewWatcher(log, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	started := make(probe, 1)
	w.Set(s, started)
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	receive(t, started, "the first look")
	return logs
}

func TestEveryWayToChangeACertificateIsSeenEachTime(t *testing.T) {
	ca := newCA(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			first := server(t, ca, "version 0")
			way.put(t, dir, 0, first)
			c := DefaultListenerConfig()
			c.CertFile, c.KeyFile = filepath.Join(dir, way.cert), filepath.Join(dir, way.key)
			s, err := NewListenerStore("listener test", c)
			ok(t, err)
			changes := make(chan *Listener, 10)
			s.OnChange(func(l *Listener) { changes <- l })
			logs := watch(t, s)

			pairs := []devca.Pair{first}
			for version := 1; version <= 3; version++ {
				pair := server(t, ca, fmt.Sprintf("version %d", version))
				way.put(t, dir, version, pair)
				pairs = append(pairs, pair)
				if l := receive(t, changes, fmt.Sprintf("version %d", version)); !l.Leaf.Equal(pair.Cert) {
					t.Fatalf("version %d: got %s", version, l.Leaf.Subject)
				}
			}
			noPEM(t, logs.text(), pairs...)
		})
	}
}

func TestAKeyMadeReadableToTheRightPeopleIsTaken(t *testing.T) {
	ca := newCA(t)
	d := newPairDir(t, server(t, ca, "old"))
	s := d.store(t)
	changes := make(chan *Listener, 10)
	s.OnChange(func(l *Listener) { changes <- l })
	next := server(t, ca, "next")
	write(t, d.cert(), next.CertPEM, 0o644)
	write(t, d.key(), next.KeyPEM, 0o644)
	logs := watch(t, s) // Its first look is refused.
	if logs.count("reload failed, keeping the version in force") != 1 {
		t.Fatalf("logged %s", logs.text())
	}
	ok(t, os.Chmod(d.key(), 0o600))
	if l := receive(t, changes, "the key"); !l.Leaf.Equal(next.Cert) {
		t.Errorf("got %s", l.Leaf.Subject)
	}
}

func TestAHandshakeInProgressKeepsTheCertificateItBeganWith(t *testing.T) {
	ca := newCA(t)
	old := server(t, ca, "old")
	d := newPairDir(t, old)
	s := d.store(t)
	taken := s.Load()
	config := taken.Config.Clone()
	// The hello has arrived, the certificate is not yet chosen: now it changes.
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		d.write(t, server(t, ca, "next"))
		_, err := s.Reload()
		return nil, err
	}
	client, _, err, _ := shake(t, &tls.Config{RootCAs: ca.Pool(), ServerName: "db.internal"}, config)
	ok(t, err)
	if !client.PeerCertificates[0].Equal(old.Cert) {
		t.Errorf("the client saw %s", client.PeerCertificates[0].Subject)
	}
	if got := s.Load().Leaf.Subject.CommonName; got != "next" {
		t.Errorf("new connections get %q", got)
	}
}

func TestHandshakesDuringReloadsAgreeWithTheirSnapshot(t *testing.T) {
	ca := newCA(t)
	d := newPairDir(t, server(t, ca, "version 0"))
	s := d.store(t)
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "db.internal"}
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				l := s.Load()
				state, _, err, _ := shake(t, client, l.Config)
				if err != nil {
					t.Error(err)
					return
				}
				if seen := sha256.Sum256(state.PeerCertificates[0].Raw); !bytes.Equal(seen[:], l.EndpointHash) {
					t.Error("the channel binding is not that of the certificate shown")
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for version := 1; version <= 20; version++ {
		ok(t, server(t, ca, fmt.Sprintf("version %d", version)).WriteFiles(d.cert(), d.key()))
		reloaded(t, s, true)
	}
	close(done)
	clients.Wait()
}

func TestTheLogSaysWhatWasLoadedAndWhy(t *testing.T) {
	ca := newCA(t)
	d := newPairDir(t, server(t, ca, "old"))
	s := d.store(t)
	log, logs := newLog()
	w := reload.NewWatcher(log, 0)
	w.Set(s)
	next := issue(t, ca, devca.Request{CommonName: "next", Hosts: []string{"db"}, Life: 24 * time.Hour})
	d.write(t, next)
	ok(t, w.ReloadAll())
	write(t, d.key(), next.KeyPEM[:50], 0o600)
	wantError(t, w.ReloadAll(), "listener test", d.key(), "malformed")

	lines := logs.AllUntimed()
	if len(lines) != 2 {
		t.Fatalf("logged %s", logs.text())
	}
	fields := lines[0].ContextMap()
	if lines[0].Message != "certificates reloaded" || lines[0].Level != zap.InfoLevel ||
		fields["name"] != "listener test" || fields["subject"] != "CN=next" ||
		fields["fingerprint"] != s.Load().Fingerprint || fields["serial"] != next.Cert.SerialNumber.Text(16) ||
		fields["not_after"] != next.Cert.NotAfter.UTC().Format(time.RFC3339) {
		t.Errorf("logged %v %v", lines[0].Entry, fields)
	}
	fields = lines[1].ContextMap()
	if lines[1].Message != "reload failed, keeping the version in force" || lines[1].Level != zap.ErrorLevel ||
		fields["name"] != "listener test" || !strings.Contains(fields["error"].(string), filepath.Base(d.key())) {
		t.Errorf("logged %v %v", lines[1].Entry, fields)
	}
	noPEM(t, logs.text(), next)
}
