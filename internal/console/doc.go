// Package console is the administration console on the database pgseal, or
// pgbouncer, for any PostgreSQL client: SHOW and control commands.
//
//	bytes ─ session.go, extended.go ─ statement.go ─ plan.go ─┬─ table.go: a command, rights checked
//	        (messages of both         (split into             │     show….go, control.go
//	         query protocols)          words)                 └─ drivers.go: what drivers say by themselves
//
// A command is a row of one table: its name, who may use it, the columns of its
// answer, and what runs. docs/console.md is written from that table. Names,
// order and types of columns are those of PgBouncer 1.25, with ours behind them.
//
// Each session runs on a goroutine of its own, which may block; nothing here is
// called from an event loop. The package owns no state but that of its
// sessions and, for averages, what was counted a minute ago: what it shows comes
// through Sources, as snapshots of package stats, and what it does goes through
// Actions.
// Messages are encoded by package wire and pgproto3, and read by package wire.
package console
