package pool

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgseal/pgseal/tlsconf"
)

// Pool modes: for how long a client holds a server.
const (
	SessionMode     = "session"     // until the client leaves
	TransactionMode = "transaction" // until its transaction ends
)

// maxPoolSize is the most servers one pool may be given. It is the fixed size
// of the puddle below each queue; the real limit lives in the queue, so that
// it can change on reload.
const maxPoolSize = 10_000

// Config holds what is set once for all databases, under PgBouncer's names.
// Durations of zero switch a limit off unless it says otherwise.
type Config struct {
	PoolMode             string        `yaml:"pool_mode"`
	DefaultPoolSize      int           `yaml:"default_pool_size"`
	MaxClientConn        int           `yaml:"max_client_conn"`
	MaxHandshakes        int           `yaml:"max_handshakes"`
	ClientLoginTimeout   time.Duration `yaml:"client_login_timeout"`
	QueryWaitTimeout     time.Duration `yaml:"query_wait_timeout"`
	CancelWaitTimeout    time.Duration `yaml:"cancel_wait_timeout"`
	ServerConnectTimeout time.Duration `yaml:"server_connect_timeout"`
	ServerLoginRetry     time.Duration `yaml:"server_login_retry"`
	ServerIdleTimeout    time.Duration `yaml:"server_idle_timeout"`
	ServerLifetime       time.Duration `yaml:"server_lifetime"`
	ServerResetQuery     string        `yaml:"server_reset_query"`
}

// DefaultConfig returns the values that hold where the file is silent.
func DefaultConfig() Config {
	return Config{
		PoolMode:             TransactionMode,
		DefaultPoolSize:      20,
		MaxClientConn:        1000,
		ClientLoginTimeout:   60 * time.Second,
		QueryWaitTimeout:     120 * time.Second,
		CancelWaitTimeout:    10 * time.Second,
		ServerConnectTimeout: 15 * time.Second,
		ServerLoginRetry:     15 * time.Second,
		ServerIdleTimeout:    10 * time.Minute,
		ServerLifetime:       time.Hour,
		ServerResetQuery:     "DISCARD ALL",
	}
}

// Validate returns a *tlsconf.KeyError for each value that can't be used.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, &tlsconf.KeyError{Key: key, Err: fmt.Errorf(format, args...)})
	}
	if c.PoolMode != SessionMode && c.PoolMode != TransactionMode {
		bad("pool_mode", "%q is neither session nor transaction", c.PoolMode)
	}
	if c.DefaultPoolSize < 1 || c.DefaultPoolSize > maxPoolSize {
		bad("default_pool_size", "%d is not between 1 and %d", c.DefaultPoolSize, maxPoolSize)
	}
	if c.MaxClientConn < 1 {
		bad("max_client_conn", "%d is less than 1", c.MaxClientConn)
	}
	if c.MaxHandshakes < 0 {
		bad("max_handshakes", "%d is less than 0", c.MaxHandshakes)
	}
	positive := func(key string, d time.Duration) {
		if d <= 0 {
			bad(key, "must be longer than zero")
		}
	}
	notNegative := func(key string, d time.Duration) {
		if d < 0 {
			bad(key, "must not be negative")
		}
	}
	positive("client_login_timeout", c.ClientLoginTimeout)
	notNegative("query_wait_timeout", c.QueryWaitTimeout)
	positive("cancel_wait_timeout", c.CancelWaitTimeout)
	positive("server_connect_timeout", c.ServerConnectTimeout)
	notNegative("server_login_retry", c.ServerLoginRetry)
	notNegative("server_idle_timeout", c.ServerIdleTimeout)
	notNegative("server_lifetime", c.ServerLifetime)
	if strings.IndexByte(c.ServerResetQuery, 0) >= 0 {
		bad("server_reset_query", "holds a NUL byte")
	}
	return errors.Join(errs...)
}

// DatabaseConfig tells how the servers of one database are reached, under
// libpq's keywords.
type DatabaseConfig struct {
	Host         string `yaml:"host"`
	Port         int    `yaml:"port"`
	DBName       string `yaml:"dbname"`
	User         string `yaml:"user"`
	Password     string `yaml:"password"`
	PasswordFile string `yaml:"password_file"`

	tlsconf.UpstreamConfig `yaml:",inline"`

	PoolMode string `yaml:"pool_mode"`
	PoolSize int    `yaml:"pool_size"`
}

// DefaultDatabaseConfig returns the values that hold where the file is
// silent. An empty dbname means the name clients ask for, an empty pool_mode
// and a pool_size of zero the defaults of Config.
func DefaultDatabaseConfig() DatabaseConfig {
	return DatabaseConfig{Port: 5432, UpstreamConfig: tlsconf.DefaultUpstreamConfig()}
}

// Validate returns a *tlsconf.KeyError for each value that can't be used. The
// TLS settings validate themselves.
func (c DatabaseConfig) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, &tlsconf.KeyError{Key: key, Err: fmt.Errorf(format, args...)})
	}
	if c.Host == "" {
		bad("host", "is missing")
	}
	for host := range strings.SplitSeq(c.Host, ",") {
		if c.Host != "" && strings.TrimSpace(host) == "" {
			bad("host", "the list has an empty name")
		}
		if isSocketDir(host) && c.SSLMode != "disable" {
			bad("sslmode", "PostgreSQL speaks no TLS on a unix socket: write sslmode: disable for host %s", host)
		}
	}
	if c.Port < 1 || c.Port > 65535 {
		bad("port", "%d is not between 1 and 65535", c.Port)
	}
	if c.Password != "" && c.PasswordFile != "" {
		bad("password_file", "stands beside password: keep one")
	}
	if c.User == "" && (c.Password != "" || c.PasswordFile != "") {
		bad("user", "is missing beside a password")
	}
	if c.PoolMode != "" && c.PoolMode != SessionMode && c.PoolMode != TransactionMode {
		bad("pool_mode", "%q is neither session nor transaction", c.PoolMode)
	}
	if c.PoolSize < 0 || c.PoolSize > maxPoolSize {
		bad("pool_size", "%d is not between 1 and %d", c.PoolSize, maxPoolSize)
	}
	return errors.Join(errs...)
}

// addresses returns the network and address of each host of the list.
func (c DatabaseConfig) addresses() []address {
	var list []address
	port := fmt.Sprint(c.Port)
	for host := range strings.SplitSeq(c.Host, ",") {
		host = strings.TrimSpace(host)
		if isSocketDir(host) {
			list = append(list, address{"unix", filepath.Join(host, ".s.PGSQL."+port), host})
		} else {
			list = append(list, address{"tcp", net.JoinHostPort(host, port), host})
		}
	}
	return list
}

func isSocketDir(host string) bool { return strings.HasPrefix(strings.TrimSpace(host), "/") }

// address is where one host of a database listens, and the name that its
// certificate has to bear.
type address struct{ network, addr, host string }
