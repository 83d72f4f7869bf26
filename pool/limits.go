package pool

import (
	"time"

	"github.com/pgseal/pgseal/internal/setting"
	"github.com/pgseal/pgseal/internal/wire"
)

// DatabaseLimits is what one database may have of its own instead of the
// defaults of Config, which hold if a value is nil, empty, or a pool_size of
// 0. It may change without its servers being opened anew.
type DatabaseLimits struct {
	PoolMode               string         `yaml:"pool_mode"`
	PoolSize               int            `yaml:"pool_size"`
	MinPoolSize            *int           `yaml:"min_pool_size"`
	ReservePoolSize        *int           `yaml:"reserve_pool_size"`
	MaxDBConnections       *int           `yaml:"max_db_connections"`
	MaxDBClientConnections *int           `yaml:"max_db_client_connections"`
	ServerLifetime         *time.Duration `yaml:"server_lifetime"`
}

// Validate returns a *setting.Error for each value that can't be used.
func (c DatabaseLimits) Validate() error {
	var f setting.Faults
	checkMode(&f, c.PoolMode)
	f.Between("pool_size", c.PoolSize, 0, maxPoolSize)
	checkCount(&f, "min_pool_size", c.MinPoolSize, maxPoolSize)
	checkCount(&f, "reserve_pool_size", c.ReservePoolSize, maxPoolSize)
	checkCount(&f, "max_db_connections", c.MaxDBConnections, maxCount)
	checkCount(&f, "max_db_client_connections", c.MaxDBClientConnections, maxCount)
	checkTime(&f, "server_lifetime", c.ServerLifetime)
	return f.Err()
}

// UserConfig is what one role may have of its own. The pool's mode and sizes,
// which come before those of a database, and max_user_connections are those of
// the role that servers log in as; the others those of the role that the
// client logged in as. What is nil, empty, or a pool_size of 0 is as the
// database or Config has it.
type UserConfig struct {
	PoolMode                 string         `yaml:"pool_mode"`
	PoolSize                 int            `yaml:"pool_size"`
	ReservePoolSize          *int           `yaml:"reserve_pool_size"`
	MaxUserConnections       *int           `yaml:"max_user_connections"`
	MaxUserClientConnections *int           `yaml:"max_user_client_connections"`
	ClientIdleTimeout        *time.Duration `yaml:"client_idle_timeout"`
	QueryTimeout             *time.Duration `yaml:"query_timeout"`
	IdleTransactionTimeout   *time.Duration `yaml:"idle_transaction_timeout"`
	TransactionTimeout       *time.Duration `yaml:"transaction_timeout"`
}

// Validate returns a *setting.Error for each value that can't be used.
func (c UserConfig) Validate() error {
	var f setting.Faults
	checkMode(&f, c.PoolMode)
	f.Between("pool_size", c.PoolSize, 0, maxPoolSize)
	checkCount(&f, "reserve_pool_size", c.ReservePoolSize, maxPoolSize)
	checkCount(&f, "max_user_connections", c.MaxUserConnections, maxCount)
	checkCount(&f, "max_user_client_connections", c.MaxUserClientConnections, maxCount)
	checkTime(&f, "client_idle_timeout", c.ClientIdleTimeout)
	checkTime(&f, "query_timeout", c.QueryTimeout)
	checkTime(&f, "idle_transaction_timeout", c.IdleTransactionTimeout)
	checkTime(&f, "transaction_timeout", c.TransactionTimeout)
	return f.Err()
}

func checkMode(f *setting.Faults, mode string) {
	f.AddIf(mode != "" && !isMode(mode), "pool_mode", "invalid value %q: must be session, transaction or statement", mode)
}

// checkCount looks at a number that may be left out, for which -1 once stood.
func checkCount(f *setting.Faults, key string, n *int, most int) {
	switch {
	case n == nil:
	case *n == -1:
		f.Add(key, "-1 no longer means \"not set\": omit the key")
	default:
		f.Between(key, *n, 0, most)
	}
}

// checkTime looks at a duration that may be left out, for which -1s once stood.
func checkTime(f *setting.Faults, key string, d *time.Duration) {
	switch {
	case d == nil:
	case *d == -time.Second:
		f.Add(key, "-1s no longer means \"not set\": omit the key")
	default:
		f.NotNegative(key, *d)
	}
}

// Timeouts bound what a client may do with its time. Zero means no bound.
type Timeouts struct {
	ClientIdle      time.Duration // between transactions
	Query           time.Duration // that one query runs
	IdleTransaction time.Duration // between the queries of a transaction
	Transaction     time.Duration // from a transaction's first query to its end
	WaitNotify      time.Duration // in the queue for a server, before the client is told
}

// Bound reports whether anything ends a client that takes its time.
func (t Timeouts) Bound() bool {
	return t.ClientIdle > 0 || t.Query > 0 || t.IdleTransaction > 0 || t.Transaction > 0
}

// Timeouts returns what is in force for clients that logged in as user.
func (d *Database) Timeouts(user string) Timeouts {
	s := d.spec.Load()
	u := s.user(user)
	return Timeouts{
		ClientIdle:      own(u.ClientIdleTimeout, s.Defaults.ClientIdleTimeout),
		Query:           own(u.QueryTimeout, s.Defaults.QueryTimeout),
		IdleTransaction: own(u.IdleTransactionTimeout, s.Defaults.IdleTransactionTimeout),
		Transaction:     own(u.TransactionTimeout, s.Defaults.TransactionTimeout),
		WaitNotify:      s.Defaults.QueryWaitNotify,
	}
}

// own returns the limit of a role or a database, or else that of all.
func own[T any](limit *T, all T) T {
	if limit != nil {
		return *limit
	}
	return all
}

func (s *Spec) user(name string) UserConfig { return s.Users[name] }

// bounds are what a Spec allows one pool.
type bounds struct {
	spec               *Spec
	size, reserve      int
	special            int           // servers with startup values of a client's
	ofDatabase, ofRole int           // max_db_connections, max_user_connections
	checkAfter         time.Duration // idle for as long a server is asked whether it lives
	checks             bool
}

// bounds returns what the pool may have now. They are looked up at each
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
	return own(s.user(role).ReservePoolSize, own(s.DatabaseLimits.ReservePoolSize, s.Defaults.ReservePoolSize))
}

// least returns how many servers such a pool is to have at least.
func (s *Spec) least(role string) int {
	return min(s.size(role), own(s.DatabaseLimits.MinPoolSize, s.Defaults.MinPoolSize))
}

func (s *Spec) maxDBConnections() int {
	return own(s.DatabaseLimits.MaxDBConnections, s.Defaults.MaxDBConnections)
}

func (s *Spec) maxUserConnections(role string) int {
	return own(s.user(role).MaxUserConnections, s.Defaults.MaxUserConnections)
}

func (s *Spec) maxDBClients() int {
	return own(s.DatabaseLimits.MaxDBClientConnections, s.Defaults.MaxDBClientConnections)
}

func (s *Spec) maxUserClients(user string) int {
	return own(s.user(user).MaxUserClientConnections, s.Defaults.MaxUserClientConnections)
}

// checkQuery returns what an idle server is asked before it is lent, and
// false if it is asked nothing.
func (s *Spec) checkQuery() (sql string, ask bool) {
	if s.Defaults.ServerCheckQuery == EmptyQuery {
		return "", true
	}
	return s.Defaults.ServerCheckQuery, s.Defaults.ServerCheckQuery != ""
}

// most returns how many servers there may be now: the reserve is for clients
// that have waited for long.
func (p *policy) most() int {
	b := p.bounds()
	n := b.size
	if p.queue.length > 0 && time.Since(p.queue.head.since) >= b.spec.Defaults.ReservePoolTimeout {
		n += b.reserve
	}
	return n
}

// cold reports whether there are fewer servers than min_pool_size asks for,
// and room for one more that nobody needs more urgently. Pools that nobody
// uses are not kept warm, but for those whose login the configuration names.
func (p *policy) cold() bool {
	spec := p.db.spec.Load()
	return p.places.plain() < spec.least(p.user) && (p.clients.Load() > 0 || spec.User == p.user) &&
		p.places.ofDatabase.blocked.Load() == 0 && p.places.ofRole.blocked.Load() == 0
}

// Admit is Join for a client that logged in as user, if
// max_db_client_connections and max_user_client_connections allow it.
func (m *Manager) Admit(d *Database, user string, login Login) (p *Pool, leave func(), err error) {
	p, leavePool := m.Join(d, login)
	client := m.roles.of(user)
	n := client.clients.Add(1)
	leave = func() {
		client.clients.Add(-1)
		leavePool()
	}
	spec := p.db.spec.Load()
	if limit := spec.maxDBClients(); limit > 0 && p.db.budget.clients.Load() > int64(limit) {
		err = tooMany(`too many connections for database "` + p.db.Name + `" (max_db_client_connections)`)
	} else if limit := spec.maxUserClients(user); limit > 0 && n > int64(limit) {
		err = tooMany(`too many connections for role "` + user + `" (max_user_client_connections)`)
	}
	if err != nil {
		leave()
		return nil, nil, err
	}
	return p, leave, nil
}

func tooMany(message string) *wire.Error {
	return wire.Fatal(wire.CodeTooManyConnections, message).WithHint("This is a limit of the connection pooler, not of PostgreSQL.")
}
