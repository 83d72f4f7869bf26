package tlsconf

import (
	"crypto/tls"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
)

// hostsDir is a directory like PostgreSQL's data directory: a pg_hosts.conf and
// what it names.
type hostsDir struct {
	string
	ca *devca.CA
}

func newHostsDir(t testing.TB, names ...string) hostsDir {
	t.Helper()
	d := hostsDir{t.TempDir(), newCA(t)}
	for _, name := range names {
		d.pair(t, name, name)
	}
	write(t, d.path("ca.crt"), d.ca.CertPEM(), 0o644)
	return d
}

func (d hostsDir) path(name string) string { return filepath.Join(d.string, name) }
func (d hostsDir) conf() string            { return d.path("pg_hosts.conf") }

// pair writes a certificate with that common name, and its key.
func (d hostsDir) pair(t testing.TB, name, cn string) {
	t.Helper()
	ok(t, server(t, d.ca, cn).WriteFiles(d.path(name+".crt"), d.path(name+".key")))
}

func (d hostsDir) lines(t testing.TB, text string) {
	t.Helper()
	write(t, d.conf(), []byte(text), 0o644)
}

func (d hostsDir) config() ListenerConfig {
	c := DefaultListenerConfig()
	c.HostsFile = d.conf()
	return c
}

func (d hostsDir) store(t testing.TB, text string) *reload.Store[*Listener] {
	t.Helper()
	d.lines(t, text)
	s, err := NewListenerStore("listener test", d.config())
	ok(t, err)
	return s
}

// seen returns the common name that a client sees that asks for a name, or the
// error that it gets.
func seen(t *testing.T, s *reload.Store[*Listener], name string) string {
	t.Helper()
	l := s.Load().ForServerName(name)
	client, _, err, _ := shake(t, &tls.Config{InsecureSkipVerify: true}, l.Config)
	switch {
	case err != nil && !l.ShowsNothing():
		t.Errorf("%q: %v", name, err)
	case err != nil:
		return err.Error()
	case client.PeerCertificates[0].Subject.CommonName != l.Leaf.Subject.CommonName:
		t.Errorf("%q: the certificate is not that of the snapshot", name)
	}
	return client.PeerCertificates[0].Subject.CommonName
}

func TestAHostsFileIsReadAsPostgreSQLReadsIt(t *testing.T) {
	const refused = "remote error: tls: unrecognized name"
	for text, want := range map[string]map[string]string{
		"# a list, and a file of names\nExample.org,@names \"a.crt\" a.key\n* b.crt \\\n b.key": {
			"example.org": "a", "EXAMPLE.ORG": "a", "x.example.com": "a", "y": "a", "other": "b", "": "b", "a.example.org": "b"},
		"example.org a.crt a.key":                          {"example.org": "a", "other": refused, "": refused},
		"/no_sni/ a.crt a.key":                             {"": "a", "example.org": refused},
		"/no_sni/ a.crt a.key\n* b.crt b.key \"\" \"\" on": {"": "a", "example.org": "b"},
		"include more/own.conf\nx b.crt b.key":             {"included": "a", "x": "b", "y": refused},
	} {
		d := newHostsDir(t, "a", "b")
		write(t, d.path("names"), []byte("x.example.com\ny\n"), 0o644)
		ok(t, os.Mkdir(d.path("more"), 0o755))
		write(t, d.path("more/own.conf"), []byte("included a.crt a.key"), 0o644) // from the data directory
		s := d.store(t, text)
		for name, cn := range want {
			if got := seen(t, s, name); got != cn {
				t.Errorf("%q of %q: %s, want %s", name, text, got, cn)
			}
		}
	}
}

func TestAHostsFileWithoutALineLeavesTheOrdinaryCertificate(t *testing.T) {
	d := newHostsDir(t, "own", "a")
	d.lines(t, "# nothing\n\n")
	c := d.config()
	_, err := NewListenerStore("listener test", c)
	wantError(t, err, d.conf(), "contains no entries, and cert_file is not set")
	c.CertFile, c.KeyFile = d.path("own.crt"), d.path("own.key")
	s, err := NewListenerStore("listener test", c)
	ok(t, err)
	if got := seen(t, s, "any"); got != "own" {
		t.Errorf("shown %s", got)
	}
	d.lines(t, "a a.crt a.key\n") // now the file takes precedence
	_, err = s.Reload()
	ok(t, err)
	if got := seen(t, s, "any"); !strings.Contains(got, "unrecognized name") {
		t.Errorf("shown %s", got)
	}
}

func TestALineHasAuthoritiesOfItsOwnOrNone(t *testing.T) {
	d := newHostsDir(t, "a", "b")
	c := d.config()
	d.lines(t, "with a.crt a.key ca.crt\nwithout b.crt b.key\n")
	write(t, d.path("other.crt"), newCA(t).CertPEM(), 0o644)
	c.ClientCAFile = d.path("other.crt") // as ssl_ca_file, it has no effect
	s, err := NewListenerStore("listener test", c)
	ok(t, err)
	pair := issue(t, d.ca, devca.Request{CommonName: "anna", Client: true})
	shown, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	ok(t, err)
	client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{shown}}
	for name, certificates := range map[string]int{"with": 1, "without": 0} {
		_, server, _, serverErr := shake(t, client, s.Load().ForServerName(name).Config)
		if ok(t, serverErr); len(server.PeerCertificates) != certificates {
			t.Errorf("%s: the client showed %d certificates, want %d", name, len(server.PeerCertificates), certificates)
		}
	}
	c.ClientCert = ClientCertRequire
	_, err = NewListenerStore("listener test", c)
	wantError(t, err, d.conf()+":2: ", "client_cert is require")
}

func TestEachMistakeOfAHostsFileIsNamedWithItsLine(t *testing.T) {
	for line, words := range map[string]string{
		"a":                                   "missing entry",
		"a a.crt":                             "missing entry",
		`a "" a.key`:                          "missing entry",
		"a a.crt,b.crt a.key":                 "multiple values specified for SSL certificate",
		"a a.crt a.key,b.key":                 "multiple values specified for SSL key",
		"a a.crt a.key ca.crt,x":              "multiple values specified for SSL CA",
		"a,* a.crt a.key":                     "* cannot be mixed",
		"/no_sni/,a a.crt a.key":              "/no_sni/ cannot be mixed",
		"*.example.org a.crt a.key":           "wildcards are not supported",
		"10.0.0.1 a.crt a.key":                "not a valid host name",
		"a_b! a.crt a.key":                    "not a valid host name",
		`a a.crt a.key ca.crt "echo hush" on`: "passphrase commands are not supported",
		`a a.crt a.key "" "" perhaps`:         "must be on or off",
		`a a.crt a.key "" "" on more`:         "extra fields",
		"FIRST a.crt a.key":                   "first is already defined in",
		"* a.crt a.key":                       "* is already defined in",
		"a,b,A a.crt a.key":                   "a is already defined in",
		"a none.crt a.key":                    "no such file",
		"a a.crt b.key":                       "does not match",
		"a ca.crt a.key":                      "does not match",
		"a a.key a.key":                       "not a certificate",
		"@missing a.crt a.key":                "no such file",
	} {
		d := newHostsDir(t, "a", "b")
		d.lines(t, "first a.crt a.key\n* b.crt b.key\n\n"+line+"\n")
		_, err := NewListenerStore("listener test", d.config())
		wantError(t, err, d.conf()+":4: ", words)
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error tells the command", line)
		}
	}
	d := newHostsDir(t)
	_, err := NewListenerStore("listener test", d.config())
	wantError(t, err, d.conf(), "no such file")
}

func TestABadHostsFileOnReloadKeepsTheOldOne(t *testing.T) {
	d := newHostsDir(t, "a", "b")
	s := d.store(t, "x a.crt a.key\n")
	d.lines(t, "x b.crt b.key\ny b.crt\n")
	_, err := s.Reload()
	wantError(t, err, d.conf()+":2: ", "missing entry")
	ok(t, os.Remove(d.path("a.key")))
	_, err = s.Reload()
	wantError(t, err, d.conf())
	if got := seen(t, s, "x"); got != "a" {
		t.Errorf("x sees %s", got)
	}
	d.lines(t, "x b.crt b.key\n")
	changed, err := s.Reload()
	if ok(t, err); !changed || seen(t, s, "x") != "b" {
		t.Error("the next good version was not taken")
	}
	if changed, err := s.Reload(); changed || err != nil {
		t.Errorf("the same content is a change (%v)", err)
	}
	d.pair(t, "b", "b 2")
	if changed, err := s.Reload(); !changed || err != nil || seen(t, s, "x") != "b 2" {
		t.Errorf("a new certificate is no change (%v)", err)
	}
	for _, path := range []string{d.conf(), d.path("b.crt"), d.path("b.key")} {
		if !slices.Contains(s.Files(), path) {
			t.Errorf("%s is not watched", path)
		}
	}
}

func TestAHostsFileAndCertificatesDoNotGoTogether(t *testing.T) {
	c := pairDir("/x").config()
	c.HostsFile = "/y"
	pairDir("/z").named(&c, "a.test")
	wantError(t, c.Validate(), "certificates and hosts_file are mutually exclusive")
	c.Certificates, c.KeyFile = nil, ""
	wantError(t, c.Validate(), "key_file: required with cert_file")
	c.CertFile = ""
	ok(t, c.Validate())
}

// oneFile is a source in which every path leads to the same text.
type oneFile []byte

func (f oneFile) ReadFile(string) ([]byte, error)       { return f, nil }
func (f oneFile) ReadDir(string) ([]fs.DirEntry, error) { return fstest.MapFS{}.ReadDir(".") }

func FuzzAHostsFile(f *testing.F) {
	for _, seed := range []string{"a,B a.crt a.key ca.crt\n* b.crt b.key", "/no_sni/ a b \"\" \"\" on", "@x a b", "include y\n", "a \"b c\" d#e"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := ReadHosts(oneFile(text), "/data/pg_hosts.conf")
		if err != nil && lines != nil {
			t.Fatal("lines beside an error")
		}
		seen := map[string]bool{}
		for _, l := range lines {
			if l.Line < 1 || l.CertFile == "" || l.KeyFile == "" || len(l.Names) == 0 {
				t.Fatalf("half a line: %+v", l)
			}
			for _, name := range l.Names {
				special := name == HostsDefault || name == HostsNoSNI
				if seen[name] || name != strings.ToLower(name) || special && len(l.Names) > 1 {
					t.Fatalf("names %q", l.Names)
				}
				seen[name] = true
			}
		}
	})
}
