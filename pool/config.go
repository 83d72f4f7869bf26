package pool

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/setting"
	"github.com/pgseal/pgseal/pool/backend"
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
	MaxAddressLogins         *int          `yaml:"max_address_logins"` // nil: three quarters of MaxClientConn, at least 10
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
	PreparedMemory           setting.Size  `yaml:"prepared_statements_memory"`
	SessionState             string        `yaml:"session_state"`
}

// DefaultConfig returns the values that hold if the file is silent. They
// are PgBouncer's, but for the mode and for more clients.
func DefaultConfig() Config {
	return Config{
		PoolMode:             TransactionMode,
		DefaultPoolSize:      20,
		ReservePoolTimeout:   5 * time.Second,
		MaxClientConn:        1000,
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
		PreparedMemory:       256 * setting.MiB,
		SessionState:         PinState,
	}
}

// EmptyQuery is how the configuration writes a query without a text, where
// no text at all means no query.
const EmptyQuery = "<empty>"

// Validate returns a *setting.Error for each value that can't be used.
func (c Config) Validate() error {
	var f setting.Faults
	f.AddIf(!isMode(c.PoolMode), "pool_mode", "invalid value %q: must be session, transaction or statement", c.PoolMode)
	f.Between("default_pool_size", c.DefaultPoolSize, 1, maxPoolSize)
	f.Between("min_pool_size", c.MinPoolSize, 0, maxPoolSize)
	f.Between("reserve_pool_size", c.ReservePoolSize, 0, maxPoolSize)
	f.NotNegative("reserve_pool_timeout", c.ReservePoolTimeout)
	f.Between("max_db_connections", c.MaxDBConnections, 0, maxCount)
	f.Between("max_user_connections", c.MaxUserConnections, 0, maxCount)
	f.Between("max_client_conn", c.MaxClientConn, 1, maxCount)
	f.Between("max_db_client_connections", c.MaxDBClientConnections, 0, maxCount)
	f.Between("max_user_client_connections", c.MaxUserClientConnections, 0, maxCount)
	f.Positive("client_login_timeout", c.ClientLoginTimeout)
	f.NotNegative("client_idle_timeout", c.ClientIdleTimeout)
	f.NotNegative("query_timeout", c.QueryTimeout)
	f.NotNegative("query_wait_timeout", c.QueryWaitTimeout)
	f.NotNegative("query_wait_notify", c.QueryWaitNotify)
	f.NotNegative("idle_transaction_timeout", c.IdleTransactionTimeout)
	f.NotNegative("transaction_timeout", c.TransactionTimeout)
	f.Positive("cancel_wait_timeout", c.CancelWaitTimeout)
	f.Positive("server_connect_timeout", c.ServerConnectTimeout)
	f.NotNegative("server_login_retry", c.ServerLoginRetry)
	f.NotNegative("server_idle_timeout", c.ServerIdleTimeout)
	f.NotNegative("server_lifetime", c.ServerLifetime)
	f.NoNUL("server_check_query", c.ServerCheckQuery)
	f.NotNegative("server_check_delay", c.ServerCheckDelay)
	f.NoNUL("server_reset_query", c.ServerResetQuery)
	f.Between("max_prepared_statements", c.MaxPrepared, 1, maxPreparedStatements)
	f.AddIf(c.PreparedMemory < setting.MiB, "prepared_statements_memory", "must be at least 1MiB")
	f.AddIf(!slices.Contains([]string{StrictState, PinState, RejectState, IgnoreState}, c.SessionState),
		"session_state", "invalid value %q: must be strict, pin, reject or ignore", c.SessionState)
	f.Between("max_handshakes", c.MaxHandshakes, 0, maxCount)
	checkCount(&f, "max_address_logins", c.MaxAddressLogins, maxCount)
	return f.Err()
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

// DefaultDatabaseConfig returns the values that hold if the file is
// silent. An empty dbname means the name clients ask for.
func DefaultDatabaseConfig() DatabaseConfig {
	return DatabaseConfig{Port: 5432, RequireAuth: backend.DefaultRequireAuth, UpstreamConfig: tlsconf.DefaultUpstreamConfig()}
}

// Validate returns a *setting.Error for each value that can't be used. The
// TLS settings and the limits validate themselves.
func (c DatabaseConfig) Validate() error {
	var f setting.Faults
	f.AddIf(c.Host == "", "host", "required")
	for host := range strings.SplitSeq(c.Host, ",") {
		f.AddIf(c.Host != "" && strings.TrimSpace(host) == "", "host", "empty name in the list")
		f.AddIf(backend.IsSocketDir(host) && c.SSLMode != "disable", "sslmode", "TLS is not available on Unix sockets: set sslmode: disable for host %s", host)
	}
	f.Between("port", c.Port, 1, 65535)
	f.AddIf(c.Password != "" && c.PasswordFile != "", "password_file", "password and password_file are mutually exclusive")
	f.AddIf(c.User == "" && (c.Password != "" || c.PasswordFile != ""), "user", "required with password or password_file")
	f.AddErr("require_auth", c.checkAuth())
	f.NoNUL("connect_query", c.ConnectQuery)
	return f.Err()
}

// checkAuth rejects a require_auth that allows methods which are not safe here.
func (c DatabaseConfig) checkAuth() error {
	allowed, err := backend.ParseRequireAuth(c.RequireAuth)
	switch {
	case err != nil:
		return err
	case slices.Contains(allowed, backend.MD5Method) && auth.CheckMD5() != nil:
		return auth.CheckMD5()
	case slices.Contains(allowed, backend.PasswordMethod) && !c.private():
		return errors.New("password is sent in cleartext and allowed only with sslmode verify-full or verify-ca, or on Unix sockets")
	}
	return nil
}

// private reports whether nobody but the server that is meant can read what
// it is sent.
func (c DatabaseConfig) private() bool {
	if c.SSLMode == tlsconf.SSLModeVerifyFull || c.SSLMode == tlsconf.SSLModeVerifyCA {
		return true
	}
	return !slices.ContainsFunc(strings.Split(c.Host, ","), func(host string) bool { return !backend.IsSocketDir(host) })
}

// AllowsMD5 reports whether pgseal answers a server that asks by md5.
func (c DatabaseConfig) AllowsMD5() bool { return c.allows(backend.MD5Method) }

// AllowsPassword reports whether pgseal tells a server that asks for it the
// password in the clear.
func (c DatabaseConfig) AllowsPassword() bool { return c.allows(backend.PasswordMethod) }

func (c DatabaseConfig) allows(method string) bool {
	allowed, _ := backend.ParseRequireAuth(c.RequireAuth)
	return slices.Contains(allowed, method)
}

// LookupConfig tells how secrets of roles are looked up for the clients of one
// database, under PgBouncer's names. What is empty is as for all databases.
type LookupConfig struct {
	AuthQuery        string `yaml:"auth_query"`
	AuthUser         string `yaml:"auth_user"`
	AuthPasswordFile string `yaml:"auth_password_file"`
	AuthDBName       string `yaml:"auth_dbname"`
}

// Validate returns a *setting.Error for each value that can't be used.
func (c LookupConfig) Validate() error {
	var f setting.Faults
	f.AddIf(c.AuthQuery != "" && !strings.Contains(c.AuthQuery, "$1"), "auth_query", "must contain $1, which stands for the role")
	f.NoNUL("auth_query", c.AuthQuery)
	f.AddIf(c.AuthPasswordFile != "" && c.AuthUser == "", "auth_user", "required with auth_password_file")
	return f.Err()
}
