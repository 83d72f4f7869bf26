package proxy

import (
	"net"
	"strings"

	"github.com/pgseal/pgseal/internal/setting"
	"github.com/pgseal/pgseal/tlsconf"
)

// unixPrefix marks the address of a unix socket.
const unixPrefix = "unix:"

// ListenConfig is one address that clients connect to.
type ListenConfig struct {
	Address string                 `yaml:"address"` // host:port, or unix:PATH
	TLS     tlsconf.ListenerConfig `yaml:"tls"`
}

// DefaultListenConfig returns the values that hold if the file is silent.
func DefaultListenConfig() ListenConfig {
	return ListenConfig{TLS: tlsconf.DefaultListenerConfig()}
}

// Network returns the network and address for net.Listen.
func (c ListenConfig) Network() (network, address string) {
	if path, ok := strings.CutPrefix(c.Address, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", c.Address
}

// Validate returns a *setting.Error if the address can't be used. The tls
// block validates itself.
func (c ListenConfig) Validate() error {
	network, address := c.Network()
	if network == "unix" {
		if !strings.HasPrefix(address, "/") {
			return setting.Errorf("address", "invalid value %q: must be an absolute path", address)
		}
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if host == "*" { // as PgBouncer and PostgreSQL have it
		return setting.Errorf("address", "invalid host *: use 0.0.0.0 for all IPv4 addresses, [::] for all IPv4 and IPv6 addresses")
	}
	if err != nil {
		return setting.Errorf("address", "invalid value %q: must be host:port or unix:PATH", address)
	}
	return nil
}
