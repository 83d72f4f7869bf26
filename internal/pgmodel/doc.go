// Package pgmodel is a model of PostgreSQL in memory: what it answers to which
// message, and what a session holds between messages. It judges the relay,
// which shares servers between clients, and serves nothing else.
//
// A Cluster is what several backends share: tables, advisory locks, channels,
// the settings of postgresql.conf and of roles. A Backend is one session's. It is
// fed bytes in any cuts and answers at once, in the same goroutine; what
// PostgreSQL would keep in its buffer until the next flush, Take keeps back too.
// Nothing here is safe for several goroutines.
//
// A Backend reads messages as tcop/postgres.c does. What lasts from one to the
// next belongs to its Session: transactions (xactState, the states of xact.c),
// settings (guc.c), tables that it can name (namespace), prepared statements,
// portals, channels. Statements pass from package parser through the planner,
// which analyzes them, to the executor. Names are PostgreSQL's, of files too.
//
// Of SQL a backend knows the closed list of statements that package parser
// parses, enough for each kind of thing that a session can hold. Extra lets a
// user of the package add more.
//
// What settings there are is said by known in guctables.go; names with a dot are
// made up as they are set. A FunctionCall may ask for int4pl (177).
//
// Package randomsession makes up what clients do. The test in integration/ plays
// such sessions on the model and on PostgreSQL 15 and 18 and compares the answers.
//
// Known differences: error texts and their positions, OIDs of tables, locks of
// rows, snapshots that are older than a wait for a lock, deadlocks (the model
// waits forever, see Blocked), statement timeouts, and the flush of a full
// output buffer of 8 kB. A backend whose lock has come goes on when the one that
// had it has done all that it was fed.
package pgmodel
