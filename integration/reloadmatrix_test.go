package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The matrix of what may become of each file of each leg while pgseal runs:
//
//	{certificate, key, authority, CRL of a listener, of a database}
//	  x {other content, another path}
//	  x {good, missing, unreadable, empty, garbage, truncated, mismatch, expired}
//	  x {noticed, SIGHUP, RELOAD}
//
// What is good is in force for the next connection; anything else leaves the
// old version in force, and the log names file and reason. Sessions that were
// there go on whatever happens. tlsconf has the same for its stores alone.

// trigger is a way of pgseal to learn of a change.
type trigger struct {
	name    string
	pull    func(l *leg) string // nil: nothing is done, pgseal notices by itself
	refusal string              // what the log says of a file that is not taken
	answers bool                // pull returns what is wrong, if anything
}

// triggers of a change of content; of a path, which stands in the
// configuration, those that are pulled.
var triggers = []trigger{
	{name: "noticed", refusal: "reload failed, keeping the version in force"},
	{name: "SIGHUP", pull: (*leg).hup, refusal: fileRefused},
	{name: "RELOAD", pull: (*leg).command, refusal: fileRefused, answers: true},
}

func (l *leg) hup() string {
	l.pgseal.reload()
	return ""
}

// command reloads at the console, and returns the error that it answers.
func (l *leg) command() string {
	if _, err := l.console.Exec(soon(l.pgseal.t), "RELOAD"); err != nil {
		return err.Error()
	}
	return ""
}

// fault is a content that a file must not have, and what the log says of it.
type fault struct {
	name    string
	content []byte
	says    string
	others  bool // who are not the owner may read it
}

// faults that any file may have. It is for unreadable to say what it is.
var anyFault = []fault{
	{name: "missing", says: "no such file"},
	{name: "unreadable", says: "too many levels of symbolic links"},
	{name: "empty", content: []byte{}, says: "file is empty"},
}

// leg is one side of a pgseal, the files that it is made of, and what they may
// become.
type leg struct {
	pgseal *pgseal
	logged string // what the log calls it

	kinds []string                     // of files, in order: these are the keys below
	path  map[string]string            // where the configuration says that it is
	first map[string][]byte            // what it holds at first
	good  map[string]map[string][]byte // which files change when this one changes for the better
	bad   map[string][]fault

	configure func()        // has the configuration name the paths
	probe     func() string // what a new connection meets
	seen      map[string]string
	session   *pgx.Conn // was there from the beginning
	console   *pgx.Conn
}

func TestEachFileOfARunningPgsealIsReplacedOrRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	for name, lay := range map[string]func(*testing.T) *leg{"listener": listenerLeg, "database": databaseLeg} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lay(t)
			if got := l.probe(); got != l.seen[""] {
				t.Fatalf("at first a connection meets %s, want %s", got, l.seen[""])
			}
			cells := 0
			for _, kind := range l.kinds {
				for _, tr := range triggers {
					cells += l.contents(t, kind, tr)
					if tr.pull != nil {
						cells += l.paths(t, kind, tr)
					}
				}
			}
			t.Logf("%d cells", cells)
		})
	}
}

// contents goes through what the file of a kind may hold, and returns how much
// that was. Each thing follows the one before it, and a good one is the last.
func (l *leg) contents(t *testing.T, kind string, tr trigger) (cells int) {
	t.Helper()
	cell := func(state string) string { return fmt.Sprintf("%s, content, %s, %s", kind, state, tr.name) }
	path := l.path[kind]
	for _, f := range append(anyFault[:len(anyFault):len(anyFault)], l.bad[kind]...) {
		said := l.pgseal.log.count(tr.refusal, path, f.says)
		f.put(t, path)
		l.refuses(t, cell(f.name), tr, path, f.says)
		l.stays(t, cell(f.name), func() bool { return l.pgseal.log.count(tr.refusal, path, f.says) > said })
		cells++
	}
	l.change(t, tr, l.good[kind])
	l.meets(t, cell("good"), l.seen[kind])
	l.change(t, tr, l.first)
	l.meets(t, cell("as at first"), l.seen[""])
	return cells + 1
}

// change gives files another content and waits until pgseal has taken it.
func (l *leg) change(t *testing.T, tr trigger, contents map[string][]byte) {
	t.Helper()
	taken := l.pgseal.log.count("certificates reloaded", l.logged)
	for _, kind := range l.kinds {
		if content, changes := contents[kind]; changes {
			replace(t, l.path[kind], content, 0o600)
		}
	}
	if l.takes(t, tr); tr.pull == nil {
		eventually(t, patience, "a change is noticed", func() bool {
			return l.pgseal.log.count("certificates reloaded", l.logged) > taken
		})
	}
}

// paths is contents for a file of another path.
func (l *leg) paths(t *testing.T, kind string, tr trigger) (cells int) {
	t.Helper()
	cell := func(state string) string { return fmt.Sprintf("%s, path, %s, %s", kind, state, tr.name) }
	old := map[string]string{}
	for _, kind := range l.kinds {
		old[kind] = l.path[kind]
	}
	moved := old[kind] + ".moved"
	for _, f := range append(anyFault[:len(anyFault):len(anyFault)], l.bad[kind]...) {
		said := l.pgseal.log.count(configRefused, moved, f.says)
		f.put(t, moved)
		l.path[kind] = moved
		l.configure()
		l.refuses(t, cell(f.name), tr, moved, f.says)
		l.stays(t, cell(f.name), func() bool { return l.pgseal.log.count(configRefused, moved, f.says) > said })
		cells++
	}
	for kind, content := range l.good[kind] {
		l.path[kind] = old[kind] + ".moved"
		replace(t, l.path[kind], content, 0o600)
	}
	l.configure()
	l.takes(t, tr)
	l.meets(t, cell("good"), l.seen[kind])
	l.path = old
	l.configure()
	l.takes(t, tr)
	l.meets(t, cell("as at first"), l.seen[""])
	return cells + 1
}

// takes pulls the trigger for what is good.
func (l *leg) takes(t *testing.T, tr trigger) {
	t.Helper()
	if tr.pull != nil {
		if answer := tr.pull(l); answer != "" {
			t.Errorf("%s answers %q", tr.name, answer)
		}
	}
}

// refuses pulls the trigger for what is not good. Who is answered learns file
// and reason.
func (l *leg) refuses(t *testing.T, cell string, tr trigger, path, reason string) {
	t.Helper()
	if tr.pull == nil {
		return
	}
	if answer := tr.pull(l); tr.answers && (!strings.Contains(answer, path) || !strings.Contains(answer, reason)) {
		t.Errorf("%s: the answer is %q", cell, answer)
	}
}

// stays waits for a refusal, and sees that the version from before is in force.
func (l *leg) stays(t *testing.T, cell string, refused func() bool) {
	t.Helper()
	if !poll(patience, refused) {
		t.Fatalf("%s: the log does not name file and reason", cell)
	}
	l.meets(t, cell, l.seen[""])
}

// meets sees what a new connection meets, and that the old session goes on.
func (l *leg) meets(t *testing.T, cell, want string) {
	t.Helper()
	if got := l.probe(); got != want {
		t.Errorf("%s: a new connection meets %s, want %s", cell, got, want)
	}
	if _, err := l.session.Exec(soon(t), "SELECT 1"); err != nil {
		t.Fatalf("%s: the session that was there: %v", cell, err)
	}
}

// put has a path lead to the fault. Root may read any file: what nobody can
// read is a link that leads to itself.
func (f fault) put(t *testing.T, path string) {
	t.Helper()
	var err error
	switch f.name {
	case "missing":
		if err = os.Remove(path); os.IsNotExist(err) {
			err = nil
		}
	case "unreadable":
		if err = os.Symlink(path, path+".new"); err == nil {
			err = os.Rename(path+".new", path)
		}
	default:
		mode := os.FileMode(0o600)
		if f.others {
			mode = 0o644
		}
		replace(t, path, f.content, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pairFaults are what a certificate and its key must not become.
func pairFaults(t *testing.T, m *minter, pairPEM, keyPEM []byte) (cert, key []fault) {
	t.Helper()
	other := m.issue(t)
	cert = []fault{
		{name: "garbage", content: []byte("garbage"), says: "no certificate"},
		{name: "truncated", content: pairPEM[:len(pairPEM)/4], says: "malformed or truncated"},
		{name: "mismatch", content: other.CertPEM, says: "does not match"},
		{name: "expired", content: m.renewed(t, pairPEM, true), says: "expired on"},
	}
	key = []fault{
		{name: "garbage", content: []byte("garbage"), says: "0 private keys"},
		{name: "truncated", content: keyPEM[:len(keyPEM)/4], says: "malformed or truncated"},
		{name: "mismatch", content: other.KeyPEM, says: "does not match"},
		{name: "open", content: keyPEM, says: "must not be accessible to", others: true},
	}
	return cert, key
}

// trustFaults are what authorities and CRLs must not become.
func trustFaults(caPEM, expiredCA, crlPEM, expiredCRL, otherCRL, keyPEM []byte) (authority, crl []fault) {
	authority = []fault{
		{name: "garbage", content: []byte("garbage"), says: "no certificate"},
		{name: "truncated", content: caPEM[:len(caPEM)/4], says: "malformed or truncated"},
		{name: "mismatch", content: keyPEM, says: "not a certificate"},
		{name: "expired", content: expiredCA, says: "expired on"},
	}
	crl = []fault{
		{name: "garbage", content: []byte("garbage"), says: "cannot be parsed"},
		{name: "truncated", content: crlPEM[:len(crlPEM)/4], says: "malformed or truncated"},
		{name: "mismatch", content: caPEM, says: "not a CRL"},
		{name: "expired", content: expiredCRL, says: "expired on"},
		{name: "short", content: otherCRL, says: "CRL of"},
	}
	return authority, crl
}

// joined is files in one.
func joined(parts ...[]byte) []byte {
	var b strings.Builder
	for _, part := range parts {
		b.Write(part)
	}
	return []byte(b.String())
}
