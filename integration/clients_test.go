package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/lib/pq"
)

// dsn leads the role app to a database of pgseal, TLS verified in full. more
// comes behind and wins.
func (p *pgseal) dsn(database, more string) string {
	return fmt.Sprintf("host=localhost port=%d user=app password=%s dbname=%s sslmode=verify-full sslrootcert=%s %s",
		p.port(), appPassword, database, p.root, more)
}

// Ways of pgx to run a query that leave nothing behind on the server, so that
// they are fit for transaction mode.
const (
	execMode   = "default_query_exec_mode=exec"
	simpleMode = "default_query_exec_mode=simple_protocol"
)

// pgx connects with pgx. more are further parts of its DSN.
func (p *pgseal) pgx(t *testing.T, database, more string) *pgx.Conn {
	t.Helper()
	conn, err := p.tryPgx(soon(t), database, more)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (p *pgseal) tryPgx(ctx context.Context, database, more string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, p.dsn(database, more))
}

// pq connects with lib/pq, by one connection.
func (p *pgseal) pq(t *testing.T, database, more string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", p.dsn(database, more))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// command makes a command of one of PostgreSQL's programs that finds its way to
// the database of pgseal by libpq's environment variables; env comes behind
// and wins.
func (p *pgseal) command(t *testing.T, name, database string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, name), args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "LANG") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C", "PGHOST=localhost", fmt.Sprintf("PGPORT=%d", p.port()), "PGUSER=app",
		"PGPASSWORD="+appPassword, "PGDATABASE="+database, "PGSSLMODE=verify-full", "PGSSLROOTCERT="+p.root,
		"PGCONNECT_TIMEOUT=20", "PGAPPNAME="+name)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// psql runs psql with plain output, and stops at the first error.
func (p *pgseal) psql(t *testing.T, database string, env []string, args ...string) result {
	t.Helper()
	return runProgram(t, p.command(t, "psql", database, env, append([]string{"-XAtq", "-v", "ON_ERROR_STOP=1"}, args...)...))
}

// ask runs SQL with psql and returns what it prints.
func (p *pgseal) ask(t *testing.T, database string, sql ...string) string {
	t.Helper()
	var args []string
	for _, s := range sql {
		args = append(args, "-c", s)
	}
	r := p.psql(t, database, nil, args...)
	if r.status != 0 {
		t.Fatalf("psql ended with status %d: %s", r.status, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// execute runs SQL and fails the test on an error.
func execute(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(soon(t), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// value returns the one value that a query yields, as text.
func value(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	var v string
	if err := conn.QueryRow(soon(t), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// sqlState returns the SQLSTATE of an error, or what it says where it has none.
func sqlState(err error) string {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

// wantState fails the test unless err came from a server, with this SQLSTATE.
func wantState(t *testing.T, err error, state string) *pgconn.PgError {
	t.Helper()
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != state {
		t.Fatalf("got %v (%s), want SQLSTATE %s", err, sqlState(err), state)
	}
	return e
}
