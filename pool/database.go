package pool

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// AnyDatabase is the name of the entry that stands for every database that
// has none of its own.
const AnyDatabase = "*"

// Spec is all that is known of one database: its configuration with the
// defaults it rests on, its password and its trust.
type Spec struct {
	DatabaseConfig
	Defaults Config
	Users    map[string]UserConfig // by role; it is never changed
	Secret   string                // the password of User, wherever it came from
	AuthPass string                // the password of AuthUser, from its file
	Trust    *reload.Store[*tlsconf.Upstream]
}

// Database is an entry of the configuration, or a database that the
// AnyDatabase entry stands for. Its methods may be called from any goroutine.
type Database struct {
	Name string

	auto     atomic.Bool // made from AnyDatabase
	paused   pause
	disabled atomic.Bool // new clients are kept out
	spec     atomic.Pointer[Spec]
	settings atomic.Uint64 // how often they changed, see epoch
	trust    atomic.Uint64 // likewise
	budget   budget
	reached  atomic.Pointer[time.Time] // see reach.go
	probing  atomic.Bool
	lost     atomic.Bool

	mu     sync.Mutex
	pools  map[string]*Pool  // by login role
	usages map[string]*usage // likewise
	closed error             // why it no longer opens servers
}

// ResetQuery returns what is sent to a server between two sessions.
func (d *Database) ResetQuery() string { return d.spec.Load().Defaults.ServerResetQuery }

// FixedLogin returns the login that all clients of the database share, and
// false where each comes with its own.
func (d *Database) FixedLogin() (Login, bool) {
	s := d.spec.Load()
	return s.login(), s.User != ""
}

// login returns the database's own login, of no role if it has none.
func (s *Spec) login() Login { return Login{User: s.User, Password: s.Secret} }

// Auto reports whether the database was made from AnyDatabase: a client chose its
// name, and only PostgreSQL knows whether there is one.
func (d *Database) Auto() bool { return d.auto.Load() }

// StampsIdentity reports whether servers are told who a client is, behind its
// application_name.
func (d *Database) StampsIdentity() bool { return d.spec.Load().StampIdentity }

// apply makes spec the one of the database. If its servers lead elsewhere now,
// or log in otherwise, they end.
func (d *Database) apply(spec *Spec) {
	old := d.spec.Swap(spec)
	a, b := old.DatabaseConfig, spec.DatabaseConfig
	a.DatabaseLimits, b.DatabaseLimits = DatabaseLimits{}, DatabaseLimits{}
	a.LookupConfig, b.LookupConfig = LookupConfig{}, LookupConfig{}
	a.Required = b.Required
	sameTrust := a.UpstreamConfig == b.UpstreamConfig
	a.UpstreamConfig = b.UpstreamConfig
	if !sameTrust {
		d.Rotate()
	}
	sameLogin := old.login().Equal(spec.login())
	if !reflect.DeepEqual(a, b) || !sameLogin {
		d.reached.Store(nil)
		d.Invalidate()
		d.mu.Lock()
		defer d.mu.Unlock()
		if !sameLogin {
			for user, p := range d.pools {
				delete(d.pools, user)
				p.retire(wire.Fatal(wire.CodeAdminShutdown, `terminating connection: login for database "`+d.Name+`" was changed`))
			}
		}
	}
}

// pool returns the pool whose servers log in as login.
func (d *Database) pool(m *Manager, login Login) *Pool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pools[login.User]
	if p == nil || !p.login.Equal(login) {
		if p != nil { // the role's password changed
			p.retire(wire.Fatal(wire.CodeInvalidPassword, `terminating connection: password for user "`+login.User+`" was changed`))
		}
		p = newPool(m, d, login)
		d.pools[login.User] = p
	}
	return p
}

// usageOf returns the counters of all pools whose servers log in as user. mu is
// held.
func (d *Database) usageOf(user string) *usage {
	u := d.usages[user]
	if u == nil {
		u = new(usage)
		d.usages[user] = u
	}
	return u
}

// warm makes the pool of a database whose clients share one login, so that
// min_pool_size holds before the first of them has come.
func (d *Database) warm(m *Manager) {
	if login, fixed := d.FixedLogin(); fixed && d.Name != AnyDatabase && d.spec.Load().least(login.User) > 0 {
		d.pool(m, login).retry()
	}
}

// remove closes a database that clients no longer find.
func (d *Database) remove() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = ErrRemoved
	for _, p := range d.pools {
		p.retire(ErrRemoved)
	}
}

func (d *Database) all() []*Pool {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*Pool, 0, len(d.pools))
	for _, p := range d.pools {
		list = append(list, p)
	}
	return list
}

// close stops lending servers of the database.
func (d *Database) close(reason error) {
	d.mu.Lock()
	d.closed = reason
	d.mu.Unlock()
	d.each(func(p *Pool) { p.close(reason) })
}

// each does something with every pool.
func (d *Database) each(do func(*Pool)) {
	for _, p := range d.all() {
		do(p)
	}
}

// unused reports whether the database may be forgotten: it was made from
// AnyDatabase, and nobody needs it.
func (d *Database) unused() bool {
	return d.auto.Load() && d.budget.clients.Load() == 0 && d.paused.number.Load() == 0 && !d.disabled.Load()
}
