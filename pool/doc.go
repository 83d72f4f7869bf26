// Package pool is the server side of pgseal: it has verified connections to
// PostgreSQL opened, by package backend, and lends them to clients.
//
//	Manager ── catalogue ── Database "app" ── Pool (one per server login)
//	                                           ├─ policy: queue of Waiters, idle Servers, …
//	                                           └─ Server, Server, …
//
// A Pool has its servers made and ended by puddle, to which they are lent out as
// long as they live. Who is lent an idle one, and when one is opened or ended, its
// policy decides: puddle alone opens a connection for every waiter of a cold
// burst and tries a dead server once per waiter. The policy is state and rules; the
// Pool holds the lock, and starts and tells what was decided. One opener per pool
// creates servers, one at a time, while somebody waits.
//
// Most servers are plain and lent to everybody. A client with a Need of its own
// may have one opened with what its startup packet set; a bound keeps these from
// crowding out the others. The pool knows the defaults of its servers, which is
// what a client is greeted with.
//
// A pool counts its servers in two budgets, that of its database and that of its
// login's role: limits across pools hold there. A pool that is stopped by one
// has an idle server of another pool ended, or the next that comes back.
// Locks are taken downward: Manager, catalogue, Database, Pool, Server.
//
// Beside the pools, Manager.RunLookup asks servers what pgseal needs to know for
// itself, on connections that are never lent.
//
// Who owns what: a Server has a goroutine of its own that reads from it, from
// login to close. What it reads goes to the Link that holds the server at that
// time, and to the server itself while it is idle: so a server that dies in the
// pool is noticed at once. The Manager owns the openers, the janitor and the
// servers, and Close waits for them all.
//
// The package knows no client. How a connection is dialed, verified and logged in
// is package backend's; when that is done, to where and for whom is decided here.
package pool
