package tlsconf

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
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
}

// hostName matches what a client may send as a server name, which is never an
// address, or such a name with * as its first label.
var hostName = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

const maxHostName = 253 // RFC 1035, section 2.3.4, as text

// validateNames looks at the certificates chosen by name.
func (c ListenerConfig) validateNames() (errs []error) {
	seen := map[string]bool{}
	for i, entry := range c.Certificates {
		bad := func(when bool, key, format string, args ...any) {
			if when {
				errs = append(errs, keyErrorf(fmt.Sprintf("certificates[%d].%s", i, key), format, args...))
			}
		}
		bad(len(entry.ServerNames) == 0, "server_names", "needed: no client would be shown this certificate")
		for n, name := range entry.ServerNames {
			at, lower := fmt.Sprintf("server_names[%d]", n), strings.ToLower(name)
			known := len(name) <= maxHostName && hostName.MatchString(lower) && net.ParseIP(name) == nil
			bad(!known, at, "%q is neither a host name nor one whose first label is *", name)
			bad(seen[lower], at, "%q stands in the list twice", name)
			seen[lower] = true
		}
		bad(entry.CertFile == "", "cert_file", "needed for the server names beside it")
		bad(entry.KeyFile == "", "key_file", "needed for the server names beside it")
		bad(entry.ClientCRLFile != "" && entry.ClientCAFile == "", "client_crl_file", "has no effect without client_ca_file beside it")
		bad(entry.ClientCAFile != "" && c.ClientCert == ClientCertNone, "client_ca_file", "has no effect with client_cert none")
	}
	return errs
}

// with returns what holds for clients that ask for a name of entry.
func (c ListenerConfig) with(entry CertificateConfig) ListenerConfig {
	c.CertFile, c.KeyFile, c.Certificates = entry.CertFile, entry.KeyFile, nil
	if entry.ClientCAFile != "" {
		c.ClientCAFile, c.ClientCRLFile = entry.ClientCAFile, entry.ClientCRLFile
	}
	return c
}

// nameTable finds the certificate for a server name. It never changes once made.
type nameTable struct {
	byName  map[string]*Listener // by name in lower case; a wildcard as *.example.com
	entries []*Listener          // in the order of the configuration
}

func buildNameTable(c ListenerConfig, contents Contents) (nameTable, error) {
	t := nameTable{byName: map[string]*Listener{}}
	var errs []error
	for _, entry := range c.Certificates {
		l, err := buildListener(c.with(entry), contents)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range entry.ServerNames {
			name = strings.ToLower(name)
			if l.Leaf.VerifyHostname(name) != nil {
				l.Warnings = append(l.Warnings, fmt.Sprintf("certificate is shown for the server name %s, which it does not hold", name))
			}
			t.byName[name] = l
		}
		t.entries = append(t.entries, l)
	}
	return t, errors.Join(errs...)
}

// warnings are those of all entries, each with the file it comes from.
func (t nameTable) warnings(c ListenerConfig) (list []string) {
	for i, l := range t.entries {
		for _, w := range l.Warnings {
			list = append(list, c.Certificates[i].CertFile+": "+w)
		}
	}
	return list
}

// maySucceed compares each entry with what its names led to before. The error
// is the same each time.
func (t nameTable) maySucceed(old nameTable) error {
	var errs []error
	compared := map[[2]*Listener]bool{}
	for _, name := range slices.Sorted(maps.Keys(t.byName)) {
		both := [2]*Listener{t.byName[name], old.byName[name]}
		if both[1] != nil && !compared[both] {
			compared[both] = true
			errs = append(errs, both[0].MaySucceed(both[1]))
		}
	}
	return errors.Join(errs...)
}

// ForServerName returns what the snapshot shows to a client that asks for a
// host name: the certificate for that very name, or that of the wildcard above
// it, or else the listener's own. An empty name stands for a client that asks
// for none. The client chooses the name, so it proves nothing.
func (l *Listener) ForServerName(name string) *Listener {
	if len(l.names.byName) == 0 || name == "" {
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

// addFiles adds those of more that the list does not have yet.
func addFiles(list, more []File) []File {
	for _, f := range more {
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}
