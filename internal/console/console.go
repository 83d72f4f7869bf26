package console

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/tlsconf"
)

// Names are the databases that lead to the console: our own, and that of
// PgBouncer, for tools that were made for it.
var Names = []string{"pgseal", asDatabase}

// asDatabase is the name that the console has in lists of databases and pools,
// as in PgBouncer.
const asDatabase = "pgbouncer"

// Role is what a user may do at the console.
type Role int

// Roles, each with the rights of the one before it.
const (
	Nobody Role = iota
	Stats       // may SHOW
	Admin       // may do everything
)

// Clients are the clients of the pooler: *proxy.Server.
type Clients interface {
	ClientList() (list []proxy.ClientView, logins int)
	Busy() (clients, limit int)
	Pins() []proxy.Pin
	StatementList() []proxy.StatementView
	LastErrors() []proxy.ErrorEvent
	ErrorCounts() map[proxy.ErrorClass]uint64
	Statements() (count int, bytes int64)
	Kill(id uint64) bool
	KillAll(database string)
	Suspend(ctx context.Context) error
	Unsuspend() bool
	Suspended() bool
}

// Pools are the databases, pools and servers: *pool.Manager.
type Pools interface {
	Databases() []pool.DatabaseView
	Snapshots() []pool.Snapshot
	Servers() []pool.ServerView
	Users() []pool.UserView
	Paused() bool
	Pause(ctx context.Context, name string) error
	Hold(name string) error
	Resume(name string) error
	Enable(name string, enabled bool) error
	Reconnect(name string) error
	WaitClose(ctx context.Context, name string) error
}

// Setting is a key of the configuration.
type Setting struct {
	Key, Value, Default string
	Changeable          bool // by SET, and without a restart
}

// Certificate is a certificate or CRL that is loaded, with the state of the
// files that it came from.
type Certificate struct {
	tlsconf.Loaded
	Where  string // who uses it
	Status reload.Status
}

// Stop is how SHUTDOWN ends the process.
type Stop int

// Ways to stop.
const (
	StopNow        Stop = iota // everybody is cut off
	StopForServers             // transactions end first
	StopForClients             // clients leave by themselves first
)

// Process is what the console reaches of the process around it.
type Process interface {
	Version() string
	Role(user string) Role
	Settings() []Setting
	Certificates() []Certificate
	Listeners() []string
	Reload() error
	Set(key, value string) error
	Shutdown(how Stop)
}

// Console answers administrators. Its methods may be called from any
// goroutine.
type Console struct {
	log     *zap.Logger
	clients Clients
	pools   Pools
	process Process

	sessions atomic.Int64  // that are open
	commands atomic.Uint64 // statements that were run
	history  history
}

// New returns a Console.
func New(log *zap.Logger, clients Clients, pools Pools, process Process) *Console {
	c := &Console{log: log, clients: clients, pools: pools, process: process}
	start := reading{at: time.Now()}
	c.history.older, c.history.newer = start, start
	return c
}

// Owns implements proxy.Console.
func (c *Console) Owns(database string) bool { return slices.Contains(Names, database) }

// Admits implements proxy.Console.
func (c *Console) Admits(user string) *wire.Error {
	if c.process.Role(user) == Nobody {
		return wire.Fatal(wire.CodeInsufficientPrivilege, `role "`+user+`" may not use the console`).
			WithHint("List it in admin.users or admin.stats_users of the connection pooler's configuration.")
	}
	return nil
}

// serverVersion is the release of PostgreSQL whose manners the console has;
// drivers look for a number.
const serverVersion = "15.0"

// Parameters implements proxy.Console.
func (c *Console) Parameters() []wire.Parameter {
	return []wire.Parameter{
		{Name: "server_version", Value: serverVersion + " (pgseal " + c.process.Version() + ")"},
		{Name: "server_encoding", Value: "UTF8"},
		{Name: "client_encoding", Value: "UTF8"},
		{Name: "DateStyle", Value: "ISO, MDY"},
		{Name: "IntervalStyle", Value: "postgres"},
		{Name: "TimeZone", Value: "GMT"},
		{Name: "integer_datetimes", Value: "on"},
		{Name: "standard_conforming_strings", Value: "on"},
		{Name: "is_superuser", Value: "on"},
	}
}
