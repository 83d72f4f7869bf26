package pool

import (
	"time"

	"github.com/pgseal/pgseal/internal/setting"
)

// What a limit holds that leaves the matter to the next wider
// scope, where zero already means that there is none.
const (
	unset    = -1
	unsetFor = -time.Second
)

// DatabaseLimits is what one database may have of its own instead of the
// defaults of Config. It may change without its servers being opened anew.
type DatabaseLimits struct {
	PoolMode               string        `yaml:"pool_mode"`
	PoolSize               int           `yaml:"pool_size"`
	MinPoolSize            int           `yaml:"min_pool_size"`
	ReservePoolSize        int           `yaml:"reserve_pool_size"`
	MaxDBConnections       int           `yaml:"max_db_connections"`
	MaxDBClientConnections int           `yaml:"max_db_client_connections"`
	ServerLifetime         time.Duration `yaml:"server_lifetime"`
}

func defaultDatabaseLimits() DatabaseLimits {
	return DatabaseLimits{
		MinPoolSize: unset, ReservePoolSize: unset, MaxDBConnections: unset, MaxDBClientConnections: unset,
		ServerLifetime: unsetFor,
	}
}

// Validate returns a *setting.Error for each value that can't be used.
func (c DatabaseLimits) Validate() error {
	var f setting.Faults
	checkMode(&f, c.PoolMode)
	f.Between("pool_size", c.PoolSize, 0, maxPoolSize)
	f.Between("min_pool_size", c.MinPoolSize, unset, maxPoolSize)
	f.Between("reserve_pool_size", c.ReservePoolSize, unset, maxPoolSize)
	f.Between("max_db_connections", c.MaxDBConnections, unset, maxCount)
	f.Between("max_db_client_connections", c.MaxDBClientConnections, unset, maxCount)
	checkOrUnset(&f, "server_lifetime", c.ServerLifetime)
	return f.Err()
}

// UserConfig is what one role may have of its own. The pool's mode and sizes,
// which come before those of a database, and max_user_connections are those of
// the role that servers log in as; the others those of the role that the
// client logged in as.
type UserConfig struct {
	PoolMode                 string        `yaml:"pool_mode"`
	PoolSize                 int           `yaml:"pool_size"`
	ReservePoolSize          int           `yaml:"reserve_pool_size"`
	MaxUserConnections       int           `yaml:"max_user_connections"`
	MaxUserClientConnections int           `yaml:"max_user_client_connections"`
	ClientIdleTimeout        time.Duration `yaml:"client_idle_timeout"`
	QueryTimeout             time.Duration `yaml:"query_timeout"`
	IdleTransactionTimeout   time.Duration `yaml:"idle_transaction_timeout"`
	TransactionTimeout       time.Duration `yaml:"transaction_timeout"`
}

// DefaultUserConfig returns the values that hold where the file is silent:
// those of the database and of Config.
func DefaultUserConfig() UserConfig {
	return UserConfig{
		ReservePoolSize: unset, MaxUserConnections: unset, MaxUserClientConnections: unset,
		ClientIdleTimeout: unsetFor, QueryTimeout: unsetFor, IdleTransactionTimeout: unsetFor, TransactionTimeout: unsetFor,
	}
}

// Validate returns a *setting.Error for each value that can't be used.
func (c UserConfig) Validate() error {
	var f setting.Faults
	checkMode(&f, c.PoolMode)
	f.Between("pool_size", c.PoolSize, 0, maxPoolSize)
	f.Between("reserve_pool_size", c.ReservePoolSize, unset, maxPoolSize)
	f.Between("max_user_connections", c.MaxUserConnections, unset, maxCount)
	f.Between("max_user_client_connections", c.MaxUserClientConnections, unset, maxCount)
	checkOrUnset(&f, "client_idle_timeout", c.ClientIdleTimeout)
	checkOrUnset(&f, "query_timeout", c.QueryTimeout)
	checkOrUnset(&f, "idle_transaction_timeout", c.IdleTransactionTimeout)
	checkOrUnset(&f, "transaction_timeout", c.TransactionTimeout)
	return f.Err()
}

func checkMode(f *setting.Faults, mode string) {
	f.AddIf(mode != "" && !isMode(mode), "pool_mode", "%q is none of session, transaction and statement", mode)
}

func checkOrUnset(f *setting.Faults, key string, d time.Duration) {
	f.AddIf(d < 0 && d != unsetFor, key, "must not be negative, but for %v, which stands for the value of all", unsetFor)
}

// Timeouts bound what a client may do with its time. Zero means no bound.
type Timeouts struct {
	ClientIdle      time.Duration // between transactions
	Query           time.Duration // that one query runs
	IdleTransaction time.Duration // between the queries of a transaction
	Transaction     time.Duration // from a transaction's first query to its end
	WaitNotify      time.Duration // in line for a server, before the client is told
}

// Bound reports whether anything ends a client that takes its time.
func (t Timeouts) Bound() bool {
	return t.ClientIdle > 0 || t.Query > 0 || t.IdleTransaction > 0 || t.Transaction > 0
}

// Timeouts returns what holds at present for clients that logged in as user.
func (d *Database) Timeouts(user string) Timeouts {
	s := d.spec.Load()
	u := s.user(user)
	return Timeouts{
		ClientIdle:      firstSet(u.ClientIdleTimeout, s.Defaults.ClientIdleTimeout),
		Query:           firstSet(u.QueryTimeout, s.Defaults.QueryTimeout),
		IdleTransaction: firstSet(u.IdleTransactionTimeout, s.Defaults.IdleTransactionTimeout),
		Transaction:     firstSet(u.TransactionTimeout, s.Defaults.TransactionTimeout),
		WaitNotify:      s.Defaults.QueryWaitNotify,
	}
}

// firstSet returns the first value that is not unset.
func firstSet[T int | time.Duration](values ...T) T {
	for _, v := range values {
		if v >= 0 {
			return v
		}
	}
	return 0
}

func (s *Spec) user(name string) UserConfig {
	if u, ok := s.Users[name]; ok {
		return u
	}
	return DefaultUserConfig()
}

// bounds are what a Spec allows one pool.
type bounds struct {
	spec               *Spec
	size, reserve      int
	special            int           // servers with startup values of a client's
	ofDatabase, ofRole int           // max_db_connections, max_user_connections
	checkAfter         time.Duration // idle for as long a server is asked whether it lives
	checks             bool
}

// bounds returns what the pool may have at present. They are looked up at each
// transaction, so they are worked out once for each Spec.
func (p *policy) bounds() *bounds {
	spec := p.db.spec.Load()
	if p.allowed.spec != spec {
		_, checks := spec.checkQuery()
		p.allowed = bounds{
			spec: spec, size: spec.size(p.user), reserve: spec.reserve(p.user),
			ofDatabase: spec.maxDBConnections(), ofRole: spec.maxUserConnections(p.user),
			checkAfter: spec.Defaults.ServerCheckDelay, checks: checks,
		}
		p.allowed.special = max(1, p.allowed.size/2)
		if spec.mode(p.user) == SessionMode {
			p.allowed.special = maxPoolSize
		}
	}
	return &p.allowed
}

// stale reports whether a server was idle for so long that it is asked by
// server_check_query before it is lent again. That finds connections that died
// without a word, which the engine can't notice.
func (b *bounds) stale(s *Server, now time.Time) bool {
	return b.checks && now.Sub(s.idleSince) >= b.checkAfter
}

// mode returns the mode of the pool whose servers log in as role.
func (s *Spec) mode(role string) string {
	if u := s.user(role); u.PoolMode != "" {
		return u.PoolMode
	}
	if s.DatabaseLimits.PoolMode != "" {
		return s.DatabaseLimits.PoolMode
	}
	return s.Defaults.PoolMode
}

// size returns the most servers of the pool whose servers log in as role.
func (s *Spec) size(role string) int {
	if u := s.user(role); u.PoolSize > 0 {
		return u.PoolSize
	}
	if s.PoolSize > 0 {
		return s.PoolSize
	}
	return s.Defaults.DefaultPoolSize
}

// reserve returns how many more such a pool may have for clients that waited
// for reserve_pool_timeout.
func (s *Spec) reserve(role string) int {
	if s.Defaults.ReservePoolTimeout == 0 {
		return 0
	}
	return firstSet(s.user(role).ReservePoolSize, s.DatabaseLimits.ReservePoolSize, s.Defaults.ReservePoolSize)
}

// least returns how many servers such a pool is to have at least.
func (s *Spec) least(role string) int {
	return min(s.size(role), firstSet(s.DatabaseLimits.MinPoolSize, s.Defaults.MinPoolSize))
}

func (s *Spec) maxDBConnections() int {
	return firstSet(s.DatabaseLimits.MaxDBConnections, s.Defaults.MaxDBConnections)
}

func (s *Spec) maxUserConnections(role string) int {
	return firstSet(s.user(role).MaxUserConnections, s.Defaults.MaxUserConnections)
}

func (s *Spec) maxDBClients() int {
	return firstSet(s.DatabaseLimits.MaxDBClientConnections, s.Defaults.MaxDBClientConnections)
}

func (s *Spec) maxUserClients(user string) int {
	return firstSet(s.user(user).MaxUserClientConnections, s.Defaults.MaxUserClientConnections)
}

func (s *Spec) lifetime() time.Duration {
	return firstSet(s.DatabaseLimits.ServerLifetime, s.Defaults.ServerLifetime)
}

// checkQuery returns what an idle server is asked before it is lent, and
// false where it is asked nothing.
func (s *Spec) checkQuery() (sql string, ask bool) {
	if s.Defaults.ServerCheckQuery == EmptyQuery {
		return "", true
	}
	return s.Defaults.ServerCheckQuery, s.Defaults.ServerCheckQuery != ""
}
