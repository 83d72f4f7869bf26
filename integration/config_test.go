package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgseal/pgseal/internal/devca"
)

// settings are keys of a block of the configuration with their values, as
// they stand in the file.
type settings map[string]string

// with returns a copy of s, overridden by more.
func (s settings) with(more settings) settings {
	c := maps.Clone(s)
	maps.Copy(c, more)
	return c
}

func (s settings) String() string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(s)) {
		list = append(list, key+": "+s[key])
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// options say how a test wants its pgseal. The zero value stands for one TLS
// listener, and the database app with five servers in transaction mode.
type options struct {
	binary    string              // raceBinary where empty
	databases map[string]settings // beyond where the server is and its trust
	pool      settings
	users     map[string]string    // beyond app
	auth      settings             // beyond users_file
	logs      settings             // beyond format, level and stats_period
	limits    map[string]settings  // what roles have of their own
	tls       settings             // of the first listener
	listeners []*listener          // beyond the first
	errors    []string             // messages of errors that the test provokes
	config    func(*pgseal) string // the whole file, in place of all of these
	http      settings             // no HTTP where nil
	admin     settings             // who may use the console
}

// listener is an address of pgseal and the files of its certificate.
type listener struct {
	socket    bool     // a unix socket
	symlinked bool     // files lie as Kubernetes lays them: behind a ..data link
	tls       settings // of its tls block, beyond the certificate

	port int
	dir  string
	pair devca.Pair
	swap int // how many directories ..data has led to
}

func (l *listener) certFile() string { return filepath.Join(l.dir, "tls.crt") }
func (l *listener) keyFile() string  { return filepath.Join(l.dir, "tls.key") }

// socketDir is the directory that libpq takes for a host.
func (l *listener) socketDir() string { return l.dir }

func (l *listener) String() string {
	if l.socket {
		return fmt.Sprintf("{address: 'unix:%s/.s.PGSQL.%d'}", l.dir, l.port)
	}
	tls := settings{"cert_file": l.certFile(), "key_file": l.keyFile()}.with(l.tls)
	return fmt.Sprintf("{address: '127.0.0.1:%d', tls: %s}", l.port, tls)
}

// prepare lays out the listener's files.
func (l *listener) prepare(t *testing.T, ca *devca.CA, dir string) {
	t.Helper()
	l.dir, l.port = dir, freePort(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if l.socket {
		return
	}
	if l.symlinked {
		for _, file := range []string{l.certFile(), l.keyFile()} {
			if err := os.Symlink(filepath.Join("..data", filepath.Base(file)), file); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.rotate(t, ca)
}

// rotate gives the listener a new certificate, in the way of its kind: files
// renamed into place, or a link that leads to another directory.
func (l *listener) rotate(t *testing.T, ca *devca.CA) {
	t.Helper()
	var err error
	if l.pair, err = ca.Issue(serverRequest()); err != nil {
		t.Fatal(err)
	}
	if !l.symlinked {
		if err := l.pair.WriteFiles(l.certFile(), l.keyFile()); err != nil {
			t.Fatal(err)
		}
		return
	}
	old := fmt.Sprintf("..version-%d", l.swap)
	l.swap++
	next := fmt.Sprintf("..version-%d", l.swap)
	if err := os.Mkdir(filepath.Join(l.dir, next), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.pair.WriteFiles(filepath.Join(l.dir, next, "tls.crt"), filepath.Join(l.dir, next, "tls.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(next, filepath.Join(l.dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(l.dir, "..data_tmp"), filepath.Join(l.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(l.dir, old)); err != nil {
		t.Fatal(err)
	}
}

// writeConfig writes pgseal's configuration and the users file.
func (p *pgseal) writeConfig() {
	p.t.Helper()
	if p.options.config != nil {
		p.writeFile(p.configFile(), p.options.config(p))
		return
	}
	var b strings.Builder
	b.WriteString("listen:\n")
	for _, l := range p.listeners {
		fmt.Fprintf(&b, "  - %s\n", l)
	}
	b.WriteString("databases:\n")
	for _, name := range slices.Sorted(maps.Keys(p.options.databases)) {
		base := settings{"host": "localhost", "port": fmt.Sprint(p.pg.Port()), "sslrootcert": p.pg.root, "dbname": "app"}
		fmt.Fprintf(&b, "  %q: %s\n", name, base.with(p.options.databases[name]))
	}
	if len(p.options.limits) > 0 {
		b.WriteString("users:\n")
	}
	for _, role := range slices.Sorted(maps.Keys(p.options.limits)) {
		fmt.Fprintf(&b, "  %q: %s\n", role, p.options.limits[role])
	}
	fmt.Fprintf(&b, "pool: %s\n", p.options.pool)
	fmt.Fprintf(&b, "auth: %s\n", settings{"users_file": p.usersFile()}.with(p.options.auth))
	fmt.Fprintf(&b, "admin: %s\n", p.options.admin)
	if p.options.http == nil {
		p.options.http = settings{"address": `""`}
	}
	fmt.Fprintf(&b, "http: %s\n", p.options.http)
	fmt.Fprintf(&b, "log: %s\n", settings{"format": "json", "level": "debug", "stats_period": "300ms", "sampling": "false"}.with(p.options.logs))
	p.writeFile(p.configFile(), b.String())

	b.Reset()
	for _, name := range slices.Sorted(maps.Keys(p.options.users)) {
		fmt.Fprintf(&b, "%q %q\n", name, p.options.users[name])
	}
	p.writeFile(p.usersFile(), b.String())
}

func (p *pgseal) configFile() string { return filepath.Join(p.dir, "config.yaml") }
func (p *pgseal) usersFile() string  { return filepath.Join(p.dir, "users.txt") }

// writeFile replaces a file of the configuration.
func (p *pgseal) writeFile(path, content string) {
	p.t.Helper()
	replace(p.t, path, []byte(content), 0o600)
}

// Ports that systems do not give to who asks for any: between freePort and the
// program that listens there, no connection and no other test may take it.
const firstPort, portCount = 12000, 20000

// ports counts those that were given. It begins anywhere, for another run of the
// tests on this machine.
var ports = rand.Uint32()

// freePort returns a port that nobody listens on at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	for range portCount {
		port := firstPort + int(atomic.AddUint32(&ports, 1)%portCount)
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}
