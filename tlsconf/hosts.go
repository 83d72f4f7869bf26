package tlsconf

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/pgconf"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/setting"
)

// Names of a pg_hosts.conf that stand for something else than a host.
const (
	// HostsDefault is for all clients that no other line is for.
	HostsDefault = "*"
	// HostsNoSNI is for clients that ask for no name.
	HostsNoSNI = "/no_sni/"
)

// HostsLine is one line of a pg_hosts.conf (PostgreSQL 19, "SNI
// Configuration"): a certificate for clients that request one of its names.
type HostsLine struct {
	// File and Line tell where it stands.
	File string
	Line int
	// Names are host names in lower case, or HostsDefault or HostsNoSNI alone.
	Names []string
	// CertFile and KeyFile are as in ListenerConfig. ClientCAFile holds the
	// authorities of clients' certificates; empty: clients are asked for none.
	CertFile, KeyFile, ClientCAFile string
}

// Fault says that something is wrong with the line, and where that stands.
func (l HostsLine) Fault(err error) error {
	return &pgconf.Error{File: l.File, Line: l.Line, Err: err}
}

// ReadHosts reads the pg_hosts.conf at path, and what it includes. Files that
// lines name start from its directory, which with PostgreSQL is the data
// directory. All faults are reported together, each with its file and line.
func ReadHosts(source pgconf.Source, path string) ([]HostsLine, error) {
	read, err := pgconf.Read(source, path)
	errs := []error{err}
	var lines []HostsLine
	seen := map[string]HostsLine{}
	for _, l := range read {
		line, err := parseHostsLine(filepath.Dir(path), l)
		if err != nil {
			errs = append(errs, l.Fault(err))
			continue
		}
		for _, name := range line.Names {
			if first, again := seen[name]; again {
				errs = append(errs, l.Fault(fmt.Errorf("%s is already defined in %s:%d", name, first.File, first.Line)))
			}
			seen[name] = line
		}
		lines = append(lines, line)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return lines, nil
}

// Columns of a line, in order.
const (
	columnNames = iota
	columnCert
	columnKey
	columnCA
	columnCommand
	columnReload
)

var hostsColumns = [...]string{"host name", "SSL certificate", "SSL key", "SSL CA", "passphrase command", "passphrase command reload"}

func parseHostsLine(dir string, l pgconf.Line) (HostsLine, error) {
	line := HostsLine{File: l.File, Line: l.Number}
	if len(l.Fields) > len(hostsColumns) {
		return line, errors.New("extra fields at end of line")
	}
	for _, t := range l.Fields[columnNames] {
		name, err := hostsName(t.Text, len(l.Fields[columnNames]))
		if err != nil {
			return line, err
		}
		line.Names = append(line.Names, name)
	}
	column := func(i int) string {
		if i < len(l.Fields) {
			return l.Fields[i][0].Text
		}
		return ""
	}
	for i, field := range l.Fields[columnCert:] {
		if len(field) > 1 {
			return line, fmt.Errorf("multiple values specified for %s", hostsColumns[columnCert+i])
		}
	}
	if column(columnCert) == "" || column(columnKey) == "" {
		return line, errors.New("missing entry at end of line: a host name needs an SSL certificate and an SSL key")
	}
	if column(columnCommand) != "" {
		return line, errors.New("passphrase commands are not supported: keep the key without a passphrase, readable by its owner only")
	}
	if text := column(columnReload); text != "" && !isBool(text) {
		return line, errors.New("passphrase command reload must be on or off")
	}
	from := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	line.CertFile, line.KeyFile, line.ClientCAFile = from(column(columnCert)), from(column(columnKey)), from(column(columnCA))
	return line, nil
}

// hostsName returns a name as it is compared. of is how many stand beside it.
func hostsName(text string, of int) (string, error) {
	name := strings.ToLower(text)
	switch {
	case text == HostsDefault || text == HostsNoSNI:
		if of > 1 {
			return "", fmt.Errorf("%s cannot be mixed with other names", text)
		}
		return text, nil
	case strings.HasPrefix(name, "*."):
		return "", fmt.Errorf("%q: wildcards are not supported in pg_hosts.conf: list each name, or use certificates instead", text)
	case len(name) > maxHostName || !hostName.MatchString(name) || net.ParseIP(name) != nil:
		return "", fmt.Errorf("%q is not a valid host name, * or /no_sni/", text)
	}
	return name, nil
}

// isBool reports whether PostgreSQL reads text as a boolean, in full.
func isBool(text string) bool {
	if slices.Contains([]string{"on", "off", "yes", "no"}, strings.ToLower(text)) {
		return true
	}
	_, err := strconv.ParseBool(text)
	return err == nil
}

// hosts is what a pg_hosts.conf makes of a listener.
type hosts struct {
	base    ListenerConfig // if there is no line
	entries []entry        // of all lines
}

// hosts gives the lines what holds for the whole listener. As with PostgreSQL's
// ssl_ca_file and ssl_crl_file, a line has authorities of its own or none, and
// the CRLs are for all.
func (c ListenerConfig) hosts(lines []HostsLine) (hosts, error) {
	h := hosts{base: c}
	var errs []error
	for _, line := range lines {
		own := c
		own.CertFile, own.KeyFile, own.ClientCAFile = line.CertFile, line.KeyFile, line.ClientCAFile
		if own.ClientCAFile == "" {
			own.ClientCRLFile = ""
			if c.ClientCert == ClientCertRequire {
				errs = append(errs, line.Fault(errors.New("client_cert is require, but the line has no SSL CA")))
			}
		}
		h.entries = append(h.entries, entry{names: line.Names, config: own, line: &line})
	}
	if len(lines) == 0 && c.CertFile == "" {
		errs = append(errs, &pgconf.Error{File: c.HostsFile, Err: errors.New("contains no entries, and cert_file is not set")})
	}
	return h, errors.Join(errs...)
}

// Files implements reload.Manifest.
func (h hosts) Files() (files []reload.File) {
	if len(h.entries) == 0 {
		return h.base.files()
	}
	for _, e := range h.entries {
		files = addFiles(files, e.config.files())
	}
	return files
}

// Blame implements reload.Manifest: it finds the lines whose files can't be read.
func (h hosts) Blame(err error) error {
	var errs []error
	for _, e := range h.entries {
		if _, bad := reload.ReadContents(e.config.files()); bad != nil {
			errs = append(errs, e.fault(bad))
		}
	}
	if len(errs) == 0 {
		return err
	}
	return errors.Join(errs...)
}

// Build implements reload.Manifest.
func (h hosts) Build(contents reload.Contents) (*Listener, error) {
	if len(h.entries) == 0 {
		return buildListener(h.base, nil, contents)
	}
	table, err := buildNameTable(h.entries, contents)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		Config:        serverConfig(h.base, nil, nil),
		MaxRecordSize: int(h.base.MaxRecordSize),
		recheck:       h.base.ClientCertRecheck == RecheckEnd,
	}
	if found := table.byName[HostsDefault]; found != nil {
		own := *found // the table's has warnings of its own
		l = &own
	}
	table.noName = table.byName[HostsNoSNI]
	delete(table.byName, HostsDefault)
	delete(table.byName, HostsNoSNI)
	l.names, l.Warnings = table, table.warnings()
	return l, nil
}

func (c ListenerConfig) readHosts(r *reload.Reader) (hosts, error) {
	lines, err := ReadHosts(r, c.HostsFile)
	if err != nil {
		return hosts{}, err
	}
	return c.hosts(lines)
}

// validateHosts looks at what stands beside hosts_file.
func (c ListenerConfig) validateHosts(f *setting.Faults) {
	if c.HostsFile == "" || c.Mode == ListenDisable {
		return
	}
	f.AddIf(len(c.Certificates) > 0, "certificates", "certificates and hosts_file are mutually exclusive")
	f.AddIf(c.CertFile != "" && c.KeyFile == "", "key_file", "required with cert_file")
	f.AddIf(c.CertFile == "" && c.KeyFile != "", "cert_file", "required with key_file")
}

// ShowsNothing reports whether the snapshot has no certificate for its clients:
// they ask for a name that no line of hosts_file is for. A handshake by its
// Config ends with the alert unrecognized_name, as with PostgreSQL.
func (l *Listener) ShowsNothing() bool { return l.Config != nil && l.Leaf == nil }
