package console

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
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

// Sources is what SHOW displays. All may be called from any goroutine.
type Sources struct {
	Version string
	Clients ClientSource
	Pools   PoolSource
	Config  ConfigSource
}

// ClientSource is what is known of clients.
type ClientSource interface {
	ClientList() (list []stats.Client, logins int)
	Busy() (clients, limit int)
	Pins() []stats.Pin
	StatementList() []stats.Statement
	LastErrors() []stats.Error
	ErrorCounts() map[stats.ErrorClass]uint64
	Statements() (count int, bytes int64)
	Suspended() bool
}

// PoolSource is what is known of databases, pools and servers.
type PoolSource interface {
	Databases() []stats.Database
	Snapshots() []stats.Pool
	Servers() []stats.Server
	Users() []stats.User
	Paused() bool
}

// ConfigSource is what is known of the configuration in force.
type ConfigSource interface {
	Role(user string) Role
	Settings() []Setting
	Certificates() []stats.Certificate
	Listeners() []string
}

// Setting is a key of the configuration.
type Setting struct {
	Key, Value, Default string
	Changeable          bool // by SET, and without a restart
}

// Actions is what commands do. An error that is a *wire.Error is sent as it is.
// All may be called by any goroutine.
type Actions struct {
	Clients ClientActions
	Pools   PoolActions
	Process ProcessActions
}

// ClientActions are those on clients.
type ClientActions interface {
	Kill(id uint64) bool
	KillAll(database string)
	Suspend(ctx context.Context) error
	Unsuspend() bool
}

// PoolActions are those on the database of that name, or on all where the name
// is empty.
type PoolActions interface {
	Pause(ctx context.Context, name string) error
	PauseNow(name string) error
	Resume(name string) error
	Enable(name string, enabled bool) error
	Reconnect(name string) error
	WaitClose(ctx context.Context, name string) error
}

// ProcessActions are those on the process.
type ProcessActions interface {
	Reload() error
	Set(key, value string) error
	Shutdown(how Stop)
}

// Stop is how SHUTDOWN ends the process.
type Stop int

// Ways to stop.
const (
	StopNow        Stop = iota // clients are disconnected immediately
	StopForServers             // transactions end first
	StopForClients             // clients leave by themselves first
)

// Client is a client of the console that was greeted.
type Client struct {
	net.Conn
	ID       uint64 // its number in the log and in SHOW CLIENTS
	User     string
	Database string
	PID      uint32          // that it was greeted with
	Canceled <-chan struct{} // receives where what it waits for is cancelled
	// Audit records a command of the client and its outcome.
	Audit func(command, object string, err error)
}

// Console answers administrators. Its methods may be called from any
// goroutine.
type Console struct {
	sources Sources
	log     *zap.Logger
	act     Actions

	sessions atomic.Int64  // that are open
	commands atomic.Uint64 // statements that were run
	history  history
}

// New returns a Console.
func New(log *zap.Logger, sources Sources, act Actions) *Console {
	c := &Console{sources: sources, log: log, act: act}
	start := reading{at: time.Now()}
	c.history.older, c.history.newer = start, start
	return c
}

// Owns reports whether clients that ask for the database are the console's.
func (c *Console) Owns(database string) bool { return slices.Contains(Names, database) }

// Admits returns why an authenticated user is refused, or nil.
func (c *Console) Admits(user string) *wire.Error {
	if c.sources.Config.Role(user) == Nobody {
		return wire.Fatal(wire.CodeInsufficientPrivilege, `role "`+user+`" is not allowed to use the console`).
			WithHint("Add it to admin.users or admin.stats_users in the connection pooler's configuration.")
	}
	return nil
}

// serverVersion is the release of PostgreSQL that the console mimics;
// drivers look for a number.
const serverVersion = "15.0"

// Parameters are the parameters reported after login.
func (c *Console) Parameters() []wire.Parameter {
	return []wire.Parameter{
		{Name: "server_version", Value: serverVersion + " (pgseal " + c.sources.Version + ")"},
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
