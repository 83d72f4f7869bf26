package tlsconf

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/setting"
)

// CertificateConfig is a certificate for clients that ask for one of its names
// as they begin TLS (server name indication, RFC 6066, section 3). All else is
// the listener's.
type CertificateConfig struct {
	// ServerNames are host names. A first label * stands for any one label.
	ServerNames []string `yaml:"server_names"`
	// CertFile and KeyFile are as in ListenerConfig.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFile and ClientCRLFile replace both of the listener's. Without a
	// ClientCAFile they hold.
	ClientCAFile  string `yaml:"client_ca_file"`
	ClientCRLFile string `yaml:"client_crl_file"`
	// Database is the only one that clients reach by these names. Empty: all.
	Database string `yaml:"database"`
}

// hostName matches what a client may send as a server name, which is never an
// address, or such a name with * as its first label.
var hostName = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

const maxHostName = 253 // RFC 1035, section 2.3.4, as text

// validateNames looks at the certificates chosen by name.
func (c ListenerConfig) validateNames(f *setting.Faults) {
	seen := map[string]bool{}
	for i, entry := range c.Certificates {
		bad := func(when bool, key, format string, args ...any) {
			f.AddIf(when, fmt.Sprintf("certificates[%d].%s", i, key), format, args...)
		}
		bad(len(entry.ServerNames) == 0, "server_names", "at least one server name is required")
		for n, name := range entry.ServerNames {
			at, lower := fmt.Sprintf("server_names[%d]", n), strings.ToLower(name)
			known := len(name) <= maxHostName && hostName.MatchString(lower) && net.ParseIP(name) == nil
			bad(!known, at, "%q is not a valid host name or wildcard", name)
			bad(seen[lower], at, "duplicate server name %q", name)
			seen[lower] = true
		}
		bad(entry.CertFile == "", "cert_file", "required with server_names")
		bad(entry.KeyFile == "", "key_file", "required with server_names")
		bad(entry.ClientCRLFile != "" && entry.ClientCAFile == "", "client_crl_file", "has no effect without client_ca_file")
		bad(entry.ClientCAFile != "" && c.ClientCert == ClientCertNone, "client_ca_file", "has no effect with client_cert none")
	}
}

// with returns what holds for clients that ask for a name of entry.
func (c ListenerConfig) with(entry CertificateConfig) ListenerConfig {
	c.CertFile, c.KeyFile, c.Certificates = entry.CertFile, entry.KeyFile, nil
	if entry.ClientCAFile != "" {
		c.ClientCAFile, c.ClientCRLFile = entry.ClientCAFile, entry.ClientCRLFile
	}
	return c
}

// entry is a certificate for clients that request one of its names.
type entry struct {
	names    []string // in lower case
	config   ListenerConfig
	database string // the only one that they lead to; empty: all
}

func (c ListenerConfig) entries() (list []entry) {
	for _, certificate := range c.Certificates {
		e := entry{config: c.with(certificate), database: certificate.Database}
		for _, name := range certificate.ServerNames {
			e.names = append(e.names, strings.ToLower(name))
		}
		list = append(list, e)
	}
	return list
}

// nameTable finds the certificate for a server name. It never changes once made.
type nameTable struct {
	byName map[string]*Listener // by name in lower case; a wildcard as *.example.com
	shown  []shown              // in the order of the configuration
}

// shown is what the clients of an entry are shown.
type shown struct {
	entry
	listener *Listener
}

func buildNameTable(entries []entry, contents reload.Contents) (nameTable, error) {
	t := nameTable{byName: map[string]*Listener{}}
	var errs []error
	for _, e := range entries {
		l, err := buildListener(e.config, nil, contents)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.Database = e.database
		for _, name := range e.names {
			if l.Leaf.VerifyHostname(name) != nil {
				l.Warnings = append(l.Warnings, fmt.Sprintf("certificate does not match the server name %s, for which it is presented", name))
			}
			t.byName[name] = l
		}
		t.shown = append(t.shown, shown{e, l})
	}
	return t, errors.Join(errs...)
}

// warnings are those of all entries, each with the file it comes from.
func (t nameTable) warnings() (list []string) {
	for _, s := range t.shown {
		for _, w := range s.listener.Warnings {
			list = append(list, s.config.CertFile+": "+w)
		}
	}
	return list
}

// ForServerName returns what the snapshot shows to a client that asks for a
// host name: the certificate for that very name, or that of the wildcard above
// it, or else the listener's own. An empty name means a client that asks for none. The client chooses the
// name, so it proves nothing.
func (l *Listener) ForServerName(name string) *Listener {
	if name == "" || len(l.names.byName) == 0 {
		return l
	}
	name = strings.ToLower(name)
	if found := l.names.byName[name]; found != nil {
		return found
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if found := l.names.byName["*."+parent]; found != nil {
			return found
		}
	}
	return l
}
