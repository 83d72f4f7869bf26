package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/proxy/login"
)

const (
	subjectConfig = "configuration"
	subjectPools  = "pools"
	subjectAccess = "access rules"
	subjectUsers  = "users file"

	subjectConsole = "console"

	listenerPrefix = "listener " // and its address
)

// rank orders subjects as they stand in the configuration.
func rank(subject string) int {
	for i, prefix := range []string{subjectConfig, listenerPrefix, "database ", subjectPools, subjectAccess, subjectUsers, subjectConsole, subjectHTTP, "server "} {
		if strings.HasPrefix(subject, prefix) {
			return i
		}
	}
	return 9
}

// exam is everything that the offline checks inspect.
type exam struct {
	file      config.File
	now       time.Time
	listeners []listener
	databases []database
	pairs     []pair
	trusts    []trust
	access    *login.Access // nil if the rules can't be read
	accessErr error
	ruleFiles []string // files that rules and user name maps were read from
	users     []auth.UserLine
	usersErr  error
	report    *Report
	check     *Check // that is being made
}

// listener is one entry of listen, with its files as far as they can be read.
type listener struct {
	config.Listen
	subject string
	key     string // path in the configuration
	unix    bool
}

func (l listener) tls() bool { return l.TLS.Mode != "disable" }

// database is one entry of databases.
type database struct {
	config.Database
	name    string
	subject string
	key     string
	roots   []*x509.Certificate
}

// hosts returns the names of the list.
func (d database) hosts() []string {
	var list []string
	for host := range strings.SplitSeq(d.Host, ",") {
		list = append(list, strings.TrimSpace(host))
	}
	return list
}

// tcp returns the hosts that are reached over a network, and not by a socket.
func (d database) tcp() []string {
	return slices.DeleteFunc(d.hosts(), func(h string) bool { return strings.HasPrefix(h, "/") })
}

// Examine makes all checks on a configuration as of now, and those on its
// servers too where connect is set. ctx bounds the connections.
func Examine(ctx context.Context, f config.File, now time.Time, connect bool) *Report {
	e := newExam(f, now)
	e.report.Connect = connect
	for i := range checks {
		if checks[i].offline != nil {
			e.check = &checks[i]
			e.report.Checks++
			checks[i].offline(e)
		}
	}
	if connect {
		e.visitAll(ctx)
	}
	rankOf := map[Severity]int{Error: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(e.report.Findings, func(a, b Finding) int { return rankOf[a.Severity] - rankOf[b.Severity] })
	return e.report
}

func newExam(f config.File, now time.Time) *exam {
	e := &exam{file: f, now: now, report: &Report{
		Config: f.Path(), Findings: []Finding{}, Good: []Remark{}, Unseen: []Remark{},
	}}
	for i, l := range f.Listen {
		network, _ := l.Network()
		entry := listener{Listen: l, subject: listenerPrefix + l.Address, key: fmt.Sprintf("listen[%d]", i), unix: network == "unix"}
		if entry.tls() {
			e.readListener(entry)
		}
		e.listeners = append(e.listeners, entry)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Databases)) {
		d := f.Databases[name]
		entry := database{Database: d, name: name, subject: "database " + name, key: "databases." + name}
		if d.SSLMode != "disable" && d.SSLRootCert != "" && d.SSLRootCert != "system" {
			entry.roots = readCertificates(d.SSLRootCert)
		}
		e.readDatabase(entry)
		e.databases = append(e.databases, entry)
	}
	e.readAccess()
	e.readUsers()
	return e
}

// found reports a finding of the check that is being made, at a key of the
// configuration.
func (e *exam) found(subject, key, what, change string) *Finding {
	f := Finding{
		ID: e.check.ID, Severity: e.check.Severity, Why: e.check.Why,
		Subject: subject, What: what, Change: change,
		File: e.file.Path(), Line: e.file.Line(key), Key: key,
	}
	e.report.Findings = append(e.report.Findings, f)
	return &e.report.Findings[len(e.report.Findings)-1]
}

func (e *exam) good(subject, format string, args ...any) {
	e.report.Good = append(e.report.Good, Remark{subject, fmt.Sprintf(format, args...)})
}

// failed reports whether a subject has an error already.
func (e *exam) failed(subject string) bool {
	return slices.ContainsFunc(e.report.Findings, func(f Finding) bool {
		return f.Subject == subject && f.Severity == Error
	})
}

// loopback reports whether a host is certainly this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}
