package integration

import (
	"os"
	"testing"

	"github.com/pgseal/pgseal/internal/devca"
)

func TestAPairThatCannotBeUsedLeavesTheOldOneInForceAndIsLoggedOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(t *testing.T, l *listener, ca *devca.CA)
	}{
		{"the key of another certificate", func(t *testing.T, l *listener, ca *devca.CA) {
			replace(t, l.keyFile(), issue(t, ca).KeyPEM, 0o600)
		}},
		{"a certificate of another key", func(t *testing.T, l *listener, ca *devca.CA) {
			replace(t, l.certFile(), issue(t, ca).CertPEM, 0o600)
		}},
		{"a torn certificate", func(t *testing.T, l *listener, ca *devca.CA) {
			replace(t, l.certFile(), l.pair.CertPEM[:len(l.pair.CertPEM)/2], 0o600)
		}},
		{"an empty key", func(t *testing.T, l *listener, ca *devca.CA) {
			replace(t, l.keyFile(), nil, 0o600)
		}},
		{"a missing key", func(t *testing.T, l *listener, ca *devca.CA) {
			if err := os.Remove(l.keyFile()); err != nil {
				t.Fatal(err)
			}
		}},
		{"a missing certificate", func(t *testing.T, l *listener, ca *devca.CA) {
			if err := os.Remove(l.certFile()); err != nil {
				t.Fatal(err)
			}
		}},
		{"a key that others may read", func(t *testing.T, l *listener, ca *devca.CA) {
			pair := issue(t, ca)
			replace(t, l.keyFile(), pair.KeyPEM, 0o644)
			replace(t, l.certFile(), pair.CertPEM, 0o644)
		}},
	}
	const refused = "reload failed, keeping the version in force"
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, sharedPostgres(t, "18"), options{
				listeners: []*listener{{}},
				errors:    []string{refused, fileRefused},
			})
			broken, witness := p.listeners[0], p.listeners[1]
			before := broken.pair.Cert.SerialNumber
			test.spoil(t, broken, p.ca)
			eventually(t, patience, "the reload is refused", func() bool { return p.log.count(refused) > 0 })

			// Each new certificate of the witness shows that all files were
			// looked at again.
			for range 3 {
				witness.rotate(t, p.ca)
				eventually(t, patience, "the witness is reloaded", func() bool { return p.shows(t, witness) })
			}
			p.reload()
			if got := p.serial(t, broken); got.Cmp(before) != 0 {
				t.Errorf("serial number %x is shown, want the old one, %x", got, before)
			}
			if n := p.log.count(refused, broken.dir); n != 1 {
				t.Errorf("the refusal was logged %d times, want once", n)
			}
			if got := p.ask(t, "app", "SELECT 'alive'"); got != "alive" {
				t.Errorf("got %q", got)
			}
			broken.rotate(t, p.ca)
			eventually(t, patience, "a good pair is taken again", func() bool { return p.shows(t, broken) })
		})
	}
}

func issue(t *testing.T, ca *devca.CA) devca.Pair {
	t.Helper()
	pair, err := ca.Issue(serverRequest())
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// replace puts a file in the place of another.
func replace(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+".new", mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
