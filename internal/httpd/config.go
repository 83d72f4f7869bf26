package httpd

import (
	"net"
	"net/netip"
	"strings"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/setting"
	"github.com/pgseal/pgseal/tlsconf"
)

// Config is where and how HTTP is spoken.
type Config struct {
	Address         string    `yaml:"address"` // host:port; empty: nowhere
	TLS             TLSConfig `yaml:"tls"`
	BearerTokenFile string    `yaml:"bearer_token_file"`
	Pprof           bool      `yaml:"pprof"`
}

// TLSConfig names the certificate; without one HTTP is spoken in plaintext.
type TLSConfig struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// DefaultAddress is out of reach for other machines.
const DefaultAddress = "127.0.0.1:9432"

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{Address: DefaultAddress} }

// Validate returns a *setting.Error where the address can't be used.
func (c Config) Validate() error {
	if _, port, err := net.SplitHostPort(c.Address); c.Address != "" && (err != nil || port == "") {
		return setting.Errorf("address", "invalid address %q: must be host:port", c.Address)
	}
	return nil
}

// Validate returns a *setting.Error where half of the pair is missing.
func (c TLSConfig) Validate() error {
	switch {
	case c.CertFile != "" && c.KeyFile == "":
		return setting.Errorf("key_file", "required with cert_file")
	case c.CertFile == "" && c.KeyFile != "":
		return setting.Errorf("cert_file", "required with key_file")
	}
	return nil
}

// Public reports whether other machines reach the server.
func (c Config) Public() bool { return c.Address != "" && !loopback(c.Address) }

// Warnings says what is weaker than it should be, one sentence each.
func (c Config) Warnings() []string {
	if !c.Public() {
		return nil
	}
	var list []string
	if c.TLS.CertFile == "" {
		list = append(list, "HTTP is reachable from other machines without TLS: names of databases and roles, and the bearer token if set, are sent in plaintext")
	}
	if c.BearerTokenFile == "" {
		list = append(list, "HTTP is reachable from other machines without a bearer token: anyone can see names and load of databases and roles")
	}
	if c.Pprof {
		list = append(list, "pprof is reachable from other machines: profiles reveal internals, and taking one costs CPU time")
	}
	return list
}

// loopback reports whether an address is out of reach for other machines.
func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// NewCertificate loads the certificate, or returns nil if there is to be
// none.
func (c TLSConfig) NewCertificate() (*reload.Store[*tlsconf.Listener], error) {
	if c.CertFile == "" {
		return nil, nil
	}
	l := tlsconf.DefaultListenerConfig()
	l.CertFile, l.KeyFile = c.CertFile, c.KeyFile
	return tlsconf.NewListenerStore("http", l)
}
