package stats

import (
	"net"
	"time"
)

// States of clients and servers, under PgBouncer's names. A client is active
// while it holds a server, and idle while it needs none; a server is active
// while a client holds it, and idle while it is ready to be lent.
const (
	StateActive        = "active"
	StateIdle          = "idle"
	StateWaiting       = "waiting"        // a client, for a server
	StateUsed          = "used"           // a server, idle for so long that it is asked first whether it lives
	StateTested        = "tested"         // a server that is being asked
	StateBeingCanceled = "being_canceled" // a server that comes back when a CancelRequest for it is through
)

// Client is a client whose login is over.
type Client struct {
	ID             uint64 // its number in the log
	User, Database string
	PoolUser       string // the role that its servers are logged in as; empty at the console
	Console        bool
	State          string
	Replication    bool
	Addr, Local    net.Addr
	Connected      time.Time
	Requested      time.Time     // when it got its last server, to a second; zero: never
	Wait           time.Duration // for a server, until now
	CloseNeeded    bool          // it ends when it is idle
	Server         uint64        // the number of the server that it holds; 0: none
	PID            uint32        // that it was greeted with
	TLS            *TLS          // nil: none
	Negotiation    string        // how its TLS began; empty without TLS
	Identity       string        // what it proved to be, as PostgreSQL's SYSTEM_USER has it; empty: nothing
	Application    string
	Prepared       int      // prepared statements that it has
	ServerPrepared int      // that the server has which it holds
	Pins           []string // why it keeps its server
}

// Server is a connection to PostgreSQL.
type Server struct {
	ID          uint64 // its number in the log
	Database    string
	User        string // the role that it is logged in as
	State       string
	Host        string // as configured; a directory for a unix socket
	Addr, Local net.Addr
	Connected   time.Time
	Requested   time.Time // when it was lent last, to a second; zero: never
	PID         uint32    // of its backend
	CloseNeeded bool      // it ends when it comes back
	Prepared    int       // statements that it had when it came back last
	Dedicated   bool      // opened for one client, for replication
	TLS         *TLS      // nil: none
	Negotiation string    // how its TLS began; empty without TLS
	Verified    string    // how it was verified, an sslmode
	Bound       bool      // its login was bound to its TLS (SCRAM-SHA-256-PLUS)
}

// Pin is a client that keeps its server, in transaction or statement mode,
// because of what it left there.
type Pin struct {
	Client   uint64 // its number in the log
	User     string
	Database string
	Server   uint64 // its number in the log
	Reasons  []string
	Since    time.Time
}

// Statement is a prepared statement that clients or servers have.
type Statement struct {
	Name    string
	Bytes   int    // that it takes of memory
	Clients int    // that have it
	Query   string // empty where no client has it
}
