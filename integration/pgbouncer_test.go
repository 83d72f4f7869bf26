package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// pgbouncer starts the PgBouncer of this system, and returns a session of its
// console.
func pgbouncer(t *testing.T) *pgx.Conn {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Fatalf("%v: scripts/install-test-tools.sh brings it", err)
		}
	}
	dir, port := shortDir(t), freePort(t)
	file := filepath.Join(dir, "pgbouncer.ini")
	ini := fmt.Sprintf("[databases]\napp = host=127.0.0.1 port=1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\nadmin_users = app\n", port)
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", file}
	if os.Geteuid() == 0 { // which PgBouncer refuses to be
		args = append([]string{"-u", "nobody"}, args...)
	}
	running, err := spawn(exec.Command(program, args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		running.cmd.Process.Kill()
		<-running.exited
	})
	var conn *pgx.Conn
	eventually(t, patience, "PgBouncer answers", func() bool {
		conn, err = pgx.Connect(soon(t), fmt.Sprintf("host=127.0.0.1 port=%d user=app dbname=pgbouncer sslmode=disable %s", port, simpleMode))
		return err == nil
	})
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// field is a column of an answer.
type field struct {
	name string
	oid  uint32
}

// described returns how a query's answer is described, even one without rows.
func described(t *testing.T, conn *pgx.Conn, sql string) (list []field, err error) {
	t.Helper()
	results := conn.PgConn().Exec(soon(t), sql)
	if results.NextResult() {
		for _, f := range results.ResultReader().FieldDescriptions() {
			list = append(list, field{f.Name, f.DataTypeOID})
		}
	}
	return list, results.Close()
}

// newerColumns are those that releases of PgBouncer after 1.18, which is
// Debian 12's, have added; nil stands for a whole command.
var newerColumns = map[string][]string{
	"CLIENTS":        {"replication", "prepared_statements", "id"},
	"SERVERS":        {"replication", "prepared_statements", "id"},
	"SOCKETS":        {"replication", "prepared_statements", "id"},
	"ACTIVE_SOCKETS": {"replication", "prepared_statements", "id"},
	"DATABASES":      {"server_lifetime", "load_balance_hosts", "max_client_connections", "current_client_connections"},
	"POOLS":          {"load_balance_hosts"},
	"USERS":          {"pool_size", "reserve_pool_size", "max_user_connections", "current_connections", "max_user_client_connections", "current_client_connections"},
	"PEERS":          nil,
	"PEER_POOLS":     nil,
	"STATE":          nil,
	"STATS": {"total_server_assignment_count", "total_client_parse_count", "total_server_parse_count", "total_bind_count",
		"avg_server_assignment_count", "avg_client_parse_count", "avg_server_parse_count", "avg_bind_count"},
	"STATS_TOTALS":   {"server_assignment_count", "client_parse_count", "server_parse_count", "bind_count"},
	"STATS_AVERAGES": {"server_assignment_count", "avg_client_parse_count", "avg_server_parse_count", "avg_bind_count"},
}

// renamedColumns had another name in PgBouncer 1.18.
var renamedColumns = map[string]string{"reserve_pool": "reserve_pool_size"}

// ourColumns are those that stand behind PgBouncer's.
var ourColumns = map[string]int{"CLIENTS": 5, "SERVERS": 4, "STATS": 1, "DATABASES": 1}

func TestEachShowHasTheColumnsOfPgBouncer(t *testing.T) {
	t.Parallel()
	theirs := pgbouncer(t)
	ours := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions()).pgx(t, "pgbouncer", simpleMode)
	for _, what := range []string{
		"VERSION", "CONFIG", "DATABASES", "USERS", "POOLS", "CLIENTS", "SERVERS", "SOCKETS", "ACTIVE_SOCKETS", "LISTS",
		"STATS", "STATS_TOTALS", "STATS_AVERAGES", "TOTALS", "MEM", "FDS", "DNS_HOSTS", "DNS_ZONES", "STATE", "PEERS", "PEER_POOLS", "HELP",
	} {
		got, err := described(t, ours, "SHOW "+what)
		if err != nil {
			t.Errorf("SHOW %s: %v", what, err)
			continue
		}
		newer, known := newerColumns[what]
		want, err := described(t, theirs, "SHOW "+what)
		if err != nil {
			if !known || newer != nil {
				t.Errorf("SHOW %s at PgBouncer: %v", what, err)
			}
			continue
		}
		for i, f := range want {
			if now := renamedColumns[f.name]; now != "" {
				want[i].name = now
			}
		}
		got = got[:len(got)-ourColumns[what]]
		got = slices.DeleteFunc(got, func(f field) bool { return slices.Contains(newer, f.name) && !slices.Contains(want, f) })
		if !slices.Equal(got, want) {
			t.Errorf("SHOW %s has the columns\n%v\nPgBouncer has\n%v", what, got, want)
		}
	}
}

func TestTheNamesOfRowsAreThoseOfPgBouncer(t *testing.T) {
	t.Parallel()
	theirs := pgbouncer(t)
	ours := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions()).pgx(t, "pgbouncer", simpleMode)
	for _, c := range []struct {
		command, column string
		newer           []string
	}{
		{"SHOW LISTS", "list", []string{"peers", "peer_pools"}},
		{"SHOW TOTALS", "name", []string{
			"total_server_assignment_count", "total_ps_client_parse_count", "total_ps_server_parse_count", "total_ps_bind_count",
			"avg_server_assignment_count", "avg_ps_client_parse_count", "avg_ps_server_parse_count", "avg_ps_bind_count",
		}},
	} {
		names := func(conn *pgx.Conn) (list []string) {
			for _, r := range rowsOf(t, conn, c.command) {
				list = append(list, text(r[c.column]))
			}
			return list
		}
		want, got := names(theirs), names(ours)
		got = slices.DeleteFunc(got, func(name string) bool { return slices.Contains(c.newer, name) && !slices.Contains(want, name) })
		if !slices.Equal(got, want) {
			t.Errorf("%s has the rows %v, PgBouncer has %v", c.command, got, want)
		}
	}
}

func TestTheConsoleIsShownAsPgBouncerShowsItsOwn(t *testing.T) {
	t.Parallel()
	theirs := pgbouncer(t)
	ours := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions()).pgx(t, "pgbouncer", simpleMode)
	for command, column := range map[string]string{"SHOW POOLS": "database", "SHOW DATABASES": "name", "SHOW STATS": "database"} {
		want, got := find(rowsOf(t, theirs, command), column, "pgbouncer"), find(rowsOf(t, ours, command), column, "pgbouncer")
		if len(want) != 1 || len(got) != 1 {
			t.Errorf("%s has %v, PgBouncer %v", command, got, want)
			continue
		}
		for name, value := range want[0] {
			counts := command == "SHOW STATS" && name != "database"
			if !counts && name != "port" && got[0][name] != value {
				t.Errorf("%s: %s is %v, PgBouncer has %v", command, name, got[0][name], value)
			}
		}
	}
}
