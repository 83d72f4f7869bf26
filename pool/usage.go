package pool

import (
	"sync/atomic"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// Why servers are closed.
const (
	ClosedIdle      = "idle"        // server_idle_timeout
	ClosedLifetime  = "lifetime"    // server_lifetime
	ClosedSettings  = "settings"    // host, login or RECONNECT: what it was opened with has changed, or its defaults
	ClosedPaused    = "paused"      // PAUSE or KILL of the console
	ClosedTrust     = "trust"       // what it was verified by has changed
	ClosedLimit     = "limit"       // a pool's size shrank, or another pool needed the room
	ClosedLost      = "lost"        // PostgreSQL or the network ended it
	ClosedDirty     = "dirty"       // its client left it in a state that it can't be lent in
	ClosedCheck     = "check"       // it did not answer server_check_query
	ClosedDedicated = "dedicated"   // it was opened for one client, which has left
	ClosedPool      = "pool_closed" // its pool has gone: a new password, a removed database, the end of pgseal
)

// Work is what a client has had done since it last told its pool of it.
type Work struct {
	Transactions, Queries      uint64
	Received, Sent             uint64 // bytes from and to the client
	ClientParses, ServerParses uint64 // Parse messages that clients sent, and that went to servers
	Binds                      uint64
	TransactionTime            time.Duration
}

// usage is what all clients of a database under one login have had done since
// pgseal started. It outlives the pool, which a new password replaces.
type usage struct {
	transactions, queries      atomic.Uint64
	received, sent             atomic.Uint64
	clientParses, serverParses atomic.Uint64
	binds                      atomic.Uint64
	transactionTime            atomic.Int64 // nanoseconds
	assignments                atomic.Uint64
	waitTimeouts               atomic.Uint64
	opened, failed             atomic.Uint64 // servers
	waits, queryTimes          stats.Histogram
	closed                     stats.Counts[string]
}

// Count adds what a client has had done, and empties w.
func (p *Pool) Count(w *Work) {
	u := p.usage
	add(&u.transactions, w.Transactions)
	add(&u.queries, w.Queries)
	add(&u.received, w.Received)
	add(&u.sent, w.Sent)
	add(&u.clientParses, w.ClientParses)
	add(&u.serverParses, w.ServerParses)
	add(&u.binds, w.Binds)
	if w.TransactionTime != 0 {
		u.transactionTime.Add(int64(w.TransactionTime))
	}
	*w = Work{}
}

// add spares the cache line if there is nothing to add.
func add(to *atomic.Uint64, n uint64) {
	if n != 0 {
		to.Add(n)
	}
}

// QueriesTook counts the time of n queries, that is of the cycles that end in
// a ReadyForQuery.
func (p *Pool) QueriesTook(d time.Duration, n uint64) { p.usage.queryTimes.AddSome(d, n) }

// lent counts that a server was given to a client that had waited.
func (u *usage) lent(w *Waiter, now time.Time) {
	w.Waited = now.Sub(w.since)
	u.assignments.Add(1)
	u.waits.Add(w.Waited)
}

func (u *usage) read() stats.PoolTotals {
	return stats.PoolTotals{
		Assignments: u.assignments.Load(), Transactions: u.transactions.Load(), Queries: u.queries.Load(),
		Received: u.received.Load(), Sent: u.sent.Load(),
		ClientParses: u.clientParses.Load(), ServerParses: u.serverParses.Load(), Binds: u.binds.Load(),
		TransactionTime: time.Duration(u.transactionTime.Load()),
		QueryTime:       u.queryTimes.Read(), WaitTime: u.waits.Read(), WaitTimeouts: u.waitTimeouts.Load(),
		ServersOpened: u.opened.Load(), ServersFailed: u.failed.Load(), ServersClosed: u.closed.Read(),
	}
}
