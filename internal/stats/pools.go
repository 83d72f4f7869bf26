package stats

import "time"

// Pool is one pool: what it has, and what it has counted. Its states are those
// of PgBouncer's SHOW POOLS.
type Pool struct {
	Database string
	Auto     bool   // the entry for any database stands for it: a client chose the name
	User     string // that its servers log in as
	Mode     string // a pool mode
	Size     int    // most servers, without the reserve
	Reserve  int

	LoadBalanceHosts string // how one of several hosts is chosen; empty: there is one

	Clients   int           // that are logged in
	Waiting   int           // of them, for a server
	MaxWait   time.Duration // of the one who waits longest; zero where nobody does
	Servers   ServerCounts
	Cancels   int   // CancelRequests that are on their way to servers
	LastError error // why no server can be opened at present, or nil

	Totals PoolTotals
}

// ServerCounts is how many servers of a pool are in which state. Each is in one.
type ServerCounts struct {
	Active        int // a client holds it
	BeingCanceled int // it comes back when a CancelRequest for it is through
	Idle          int // fit to be lent at once
	Used          int // idle for longer than server_check_delay: asked before it is lent
	Tested        int // being asked
	Login         int // being opened
	Closing       int
}

// Total returns how many servers there are, those included that are being
// opened and closed. They count against pool_size.
func (s ServerCounts) Total() int {
	return s.Active + s.BeingCanceled + s.Idle + s.Used + s.Tested + s.Login + s.Closing
}

// Add adds the servers of another pool.
func (s *ServerCounts) Add(o ServerCounts) {
	s.Active += o.Active
	s.BeingCanceled += o.BeingCanceled
	s.Idle += o.Idle
	s.Used += o.Used
	s.Tested += o.Tested
	s.Login += o.Login
	s.Closing += o.Closing
}

// PoolTotals is what was counted of a pool, or of several, since pgseal started.
// The names are those of PgBouncer's SHOW STATS in full.
type PoolTotals struct {
	Assignments                uint64 // how often a client was given a server
	Transactions, Queries      uint64
	Received, Sent             uint64 // bytes from and to clients
	ClientParses, ServerParses uint64
	Binds                      uint64
	TransactionTime            time.Duration // servers were held, or a transaction open
	QueryTime                  Distribution  // of queries on a server
	WaitTime                   Distribution  // of clients that waited and got a server; who need not wait is not in it
	WaitTimeouts               uint64        // of clients that got none within query_wait_timeout
	ServersOpened              uint64
	ServersFailed              uint64            // could not be opened
	ServersClosed              map[string]uint64 // by reason
}

// Add adds the totals of another pool.
func (t *PoolTotals) Add(o *PoolTotals) {
	t.Assignments += o.Assignments
	t.Transactions += o.Transactions
	t.Queries += o.Queries
	t.Received += o.Received
	t.Sent += o.Sent
	t.ClientParses += o.ClientParses
	t.ServerParses += o.ServerParses
	t.Binds += o.Binds
	t.TransactionTime += o.TransactionTime
	t.QueryTime.Add(&o.QueryTime)
	t.WaitTime.Add(&o.WaitTime)
	t.WaitTimeouts += o.WaitTimeouts
	t.ServersOpened += o.ServersOpened
	t.ServersFailed += o.ServersFailed
	for reason, n := range o.ServersClosed {
		if t.ServersClosed == nil {
			t.ServersClosed = map[string]uint64{}
		}
		t.ServersClosed[reason] += n
	}
}

// Database is a database that clients may ask for.
type Database struct {
	Name, Host                         string
	Port                               int
	DBName, ForceUser                  string
	PoolSize, MinPoolSize, ReserveSize int
	ServerLifetime                     time.Duration
	PoolMode                           string // empty: the default
	LoadBalanceHosts                   string
	MaxServers, Servers                int
	MaxClients, Clients                int
	Paused, Disabled                   bool
	Auto                               bool // made from the entry for any database
}

// User is a role that clients log in as.
type User struct {
	Name                string
	PoolSize            int  // 0: the database's
	ReserveSize         *int // nil: the database's
	PoolMode            string
	MaxServers, Servers int
	MaxClients, Clients int
}
