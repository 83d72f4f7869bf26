package pool

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/tlsconf"
)

// Pool modes: for how long a client holds a server.
const (
	SessionMode     = "session"     // until the client leaves
	TransactionMode = "transaction" // until its transaction ends
	StatementMode   = "statement"   // for one statement: a transaction block is an error
)

// Session states: what becomes of a client that leaves something in its
// session which can't follow it to another server.
const (
	StrictState = "strict" // like pin, and after functions that may leave something PostgreSQL is asked
	PinState    = "pin"    // it keeps its server until that is gone
	RejectState = "reject" // the statement is refused
	IgnoreState = "ignore" // nothing: other clients may find it
)

// maxPreparedStatements is the most statements that a server may be told to
// keep.
const maxPreparedStatements = 100_000

func isMode(mode string) bool {
	return mode == SessionMode || mode == TransactionMode || mode == StatementMode
}

// maxPoolSize is the most servers one pool may be given. It is the fixed size
// of the puddle below each queue; the real limit lives in the queue, so that
// it can change on reload.
const maxPoolSize = 10_000

// maxCount is more connections than any system has.
const maxCount = 1 << 30

// Config holds what is set once for all databases, under PgBouncer's names.
// Durations of zero switch a limit off unless it says otherwise.
type Config struct {
	PoolMode                 string        `yaml:"pool_mode"`
	DefaultPoolSize          int           `yaml:"default_pool_size"`
	MinPoolSize              int           `yaml:"min_pool_size"`
	ReservePoolSize          int           `yaml:"reserve_pool_size"`
	ReservePoolTimeout       time.Duration `yaml:"reserve_pool_timeout"`
	MaxDBConnections         int           `yaml:"max_db_connections"`
	MaxUserConnections       int           `yaml:"max_user_connections"`
	MaxClientConn            int           `yaml:"max_client_conn"`
	MaxDBClientConnections   int           `yaml:"max_db_client_connections"`
	MaxUserClientConnections int           `yaml:"max_user_client_connections"`
	MaxHandshakes            int           `yaml:"max_handshakes"`
	MaxAddressLogins         int           `yaml:"max_address_logins"` // -1: three quarters of MaxClientConn, at least 10
	ClientLoginTimeout       time.Duration `yaml:"client_login_timeout"`
	ClientIdleTimeout        time.Duration `yaml:"client_idle_timeout"`
	QueryTimeout             time.Duration `yaml:"query_timeout"`
	QueryWaitTimeout         time.Duration `yaml:"query_wait_timeout"`
	QueryWaitNotify          time.Duration `yaml:"query_wait_notify"`
	IdleTransactionTimeout   time.Duration `yaml:"idle_transaction_timeout"`
	TransactionTimeout       time.Duration `yaml:"transaction_timeout"`
	CancelWaitTimeout        time.Duration `yaml:"cancel_wait_timeout"`
	ServerConnectTimeout     time.Duration `yaml:"server_connect_timeout"`
	ServerLoginRetry         time.Duration `yaml:"server_login_retry"`
	ServerIdleTimeout        time.Duration `yaml:"server_idle_timeout"`
	ServerLifetime           time.Duration `yaml:"server_lifetime"`
	ServerCheckQuery         string        `yaml:"server_check_query"`
	ServerCheckDelay         time.Duration `yaml:"server_check_delay"`
	ServerRoundRobin         bool          `yaml:"server_round_robin"`
	ServerResetQuery         string        `yaml:"server_reset_query"`
	ServerResetQueryAlways   bool          `yaml:"server_reset_query_always"`
	MaxPrepared              int           `yaml:"max_prepared_statements"`
	PreparedMemory           tlsconf.Size  `yaml:"prepared_statements_memory"`
	SessionState             string        `yaml:"session_state"`
}

// DefaultConfig returns the values that hold where the file is silent. They
// are PgBouncer's, but for the mode and for more clients.
func DefaultConfig() Config {
	return Config{
		PoolMode:             TransactionMode,
		DefaultPoolSize:      20,
		ReservePoolTimeout:   5 * time.Second,
		MaxClientConn:        1000,
		MaxAddressLogins:     -1,
		ClientLoginTimeout:   60 * time.Second,
		QueryWaitTimeout:     120 * time.Second,
		QueryWaitNotify:      5 * time.Second,
		CancelWaitTimeout:    10 * time.Second,
		ServerConnectTimeout: 15 * time.Second,
		ServerLoginRetry:     15 * time.Second,
		ServerIdleTimeout:    10 * time.Minute,
		ServerLifetime:       time.Hour,
		ServerCheckQuery:     EmptyQuery,
		ServerCheckDelay:     30 * time.Second,
		ServerResetQuery:     "DISCARD ALL",
		MaxPrepared:          200,
		PreparedMemory:       256 * tlsconf.MiB,
		SessionState:         PinState,
	}
}

// EmptyQuery is how the configuration writes a query without a text, where
// no text at all means no query.
const EmptyQuery = "<empty>"

// faults collects what is wrong with the values of keys.
type faults []error

func (f *faults) bad(key, format string, args ...any) {
	*f = append(*f, &tlsconf.KeyError{Key: key, Err: fmt.Errorf(format, args...)})
}

// between asserts that a number lies in a range.
func (f *faults) between(key string, n, least, most int) {
	if n < least || n > most {
		f.bad(key, "%d is not between %d and %d", n, least, most)
	}
}

func (f *faults) positive(key string, d time.Duration) {
	if d <= 0 {
		f.bad(key, "must be longer than zero")
	}
}

func (f *faults) notNegative(key string, d time.Duration) {
	if d < 0 {
		f.bad(key, "must not be negative")
	}
}

func (f *faults) query(key, sql string) {
	if strings.IndexByte(sql, 0) >= 0 {
		f.bad(key, "holds a NUL byte")
	}
}

// Validate returns a *tlsconf.KeyError for each value that can't be used.
func (c Config) Validate() error {
	var f faults
	if !isMode(c.PoolMode) {
		f.bad("pool_mode", "%q is none of session, transaction and statement", c.PoolMode)
	}
	f.between("default_pool_size", c.DefaultPoolSize, 1, maxPoolSize)
	f.between("min_pool_size", c.MinPoolSize, 0, maxPoolSize)
	f.between("reserve_pool_size", c.ReservePoolSize, 0, maxPoolSize)
	f.notNegative("reserve_pool_timeout", c.ReservePoolTimeout)
	f.between("max_db_connections", c.MaxDBConnections, 0, maxCount)
	f.between("max_user_connections", c.MaxUserConnections, 0, maxCount)
	f.between("max_client_conn", c.MaxClientConn, 1, maxCount)
	f.between("max_db_client_connections", c.MaxDBClientConnections, 0, maxCount)
	f.between("max_user_client_connections", c.MaxUserClientConnections, 0, maxCount)
	f.positive("client_login_timeout", c.ClientLoginTimeout)
	f.notNegative("client_idle_timeout", c.ClientIdleTimeout)
	f.notNegative("query_timeout", c.QueryTimeout)
	f.notNegative("query_wait_timeout", c.QueryWaitTimeout)
	f.notNegative("query_wait_notify", c.QueryWaitNotify)
	f.notNegative("idle_transaction_timeout", c.IdleTransactionTimeout)
	f.notNegative("transaction_timeout", c.TransactionTimeout)
	f.positive("cancel_wait_timeout", c.CancelWaitTimeout)
	f.positive("server_connect_timeout", c.ServerConnectTimeout)
	f.notNegative("server_login_retry", c.ServerLoginRetry)
	f.notNegative("server_idle_timeout", c.ServerIdleTimeout)
	f.notNegative("server_lifetime", c.ServerLifetime)
	f.query("server_check_query", c.ServerCheckQuery)
	f.notNegative("server_check_delay", c.ServerCheckDelay)
	f.query("server_reset_query", c.ServerResetQuery)
	f.between("max_prepared_statements", c.MaxPrepared, 1, maxPreparedStatements)
	if c.PreparedMemory < tlsconf.MiB {
		f.bad("prepared_statements_memory", "is less than 1MiB")
	}
	if !slices.Contains([]string{StrictState, PinState, RejectState, IgnoreState}, c.SessionState) {
		f.bad("session_state", "%q is none of strict, pin, reject and ignore", c.SessionState)
	}
	f.between("max_handshakes", c.MaxHandshakes, 0, maxCount)
	f.between("max_address_logins", c.MaxAddressLogins, -1, maxCount)
	return errors.Join(f...)
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

	RequireAuth string `yaml:"require_auth"` // how servers may ask for it

	tlsconf.UpstreamConfig `yaml:",inline"`

	StampIdentity bool `yaml:"stamp_identity"` // application_name tells who a client is

	ConnectQuery string `yaml:"connect_query"` // run on each new server
	Required     bool   `yaml:"required"`      // pgseal is not ready without a server of it

	LookupConfig `yaml:",inline"`

	DatabaseLimits `yaml:",inline"`
}

// DefaultDatabaseConfig returns the values that hold where the file is
// silent. An empty dbname means the name clients ask for.
func DefaultDatabaseConfig() DatabaseConfig {
	return DatabaseConfig{Port: 5432, RequireAuth: defaultRequireAuth, UpstreamConfig: tlsconf.DefaultUpstreamConfig(), DatabaseLimits: defaultDatabaseLimits()}
}

// Validate returns a *tlsconf.KeyError for each value that can't be used. The
// TLS settings and the limits validate themselves.
func (c DatabaseConfig) Validate() error {
	var f faults
	if c.Host == "" {
		f.bad("host", "is missing")
	}
	for host := range strings.SplitSeq(c.Host, ",") {
		if c.Host != "" && strings.TrimSpace(host) == "" {
			f.bad("host", "the list has an empty name")
		}
		if isSocketDir(host) && c.SSLMode != "disable" {
			f.bad("sslmode", "PostgreSQL speaks no TLS on a unix socket: write sslmode: disable for host %s", host)
		}
	}
	f.between("port", c.Port, 1, 65535)
	if c.Password != "" && c.PasswordFile != "" {
		f.bad("password_file", "stands beside password: keep one")
	}
	if c.User == "" && (c.Password != "" || c.PasswordFile != "") {
		f.bad("user", "is missing beside a password")
	}
	if err := c.checkAuth(); err != nil {
		f.bad("require_auth", "%w", err)
	}
	f.query("connect_query", c.ConnectQuery)
	return errors.Join(f...)
}

// LookupConfig tells how secrets of roles are looked up for the clients of one
// database, under PgBouncer's names. What is empty is as for all databases.
type LookupConfig struct {
	AuthQuery        string `yaml:"auth_query"`
	AuthUser         string `yaml:"auth_user"`
	AuthPasswordFile string `yaml:"auth_password_file"`
	AuthDBName       string `yaml:"auth_dbname"`
}

// Validate returns a *tlsconf.KeyError for each value that can't be used.
func (c LookupConfig) Validate() error {
	var f faults
	if c.AuthQuery != "" && !strings.Contains(c.AuthQuery, "$1") {
		f.bad("auth_query", "does not ask for the role: it has no $1")
	}
	f.query("auth_query", c.AuthQuery)
	if c.AuthPasswordFile != "" && c.AuthUser == "" {
		f.bad("auth_user", "is missing beside auth_password_file")
	}
	return errors.Join(f...)
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
