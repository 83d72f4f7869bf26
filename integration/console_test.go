package integration

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// consoleOptions let app use the console, and watcher look.
func consoleOptions() options {
	return options{
		admin: settings{"users": "[app]", "stats_users": "[watcher]"},
		users: map[string]string{"watcher": "watching", "stranger": "strange"},
	}
}

// asRole is a part of a DSN that logs in as another role.
func asRole(role, password string) string { return " user=" + role + " password=" + password }

func TestPsqlUsesTheConsole(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	for _, database := range []string{"pgseal", "pgbouncer"} {
		if got := p.ask(t, database, "SHOW VERSION"); !strings.HasPrefix(got, "pgseal ") {
			t.Errorf("%s: the version is %q", database, got)
		}
	}
	if got := p.ask(t, "pgseal", "show version; ; SHOW \"state\";", `/* a comment */ Show State -- and another`); strings.Count(got, "active|yes") != 2 {
		t.Errorf("the answers are %q", got)
	}
	r := p.psql(t, "pgseal", nil, "-c", `\d`)
	if r.status != 0 || strings.Contains(r.stderr, "ERROR") {
		t.Errorf(`\d ends with %d: %s`, r.status, r.stderr)
	}
	r = p.psql(t, "pgseal", nil, "-c", "SHOW HELP")
	if !strings.Contains(r.stderr, "SHOW POOLS") || !strings.Contains(r.stderr, "KILL_CLIENT id") {
		t.Errorf("the help is %q", r.stderr)
	}
	r = p.psql(t, "pgseal", nil, "-c", "DROP TABLE accounts")
	if r.status == 0 || !strings.Contains(r.stderr, `invalid command "DROP"`) || !strings.Contains(r.stderr, "SHOW HELP") {
		t.Errorf("an unknown command ends with %d: %s", r.status, r.stderr)
	}
}

func TestOnlyWhoIsListedUsesTheConsole(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	_, err := p.tryPgx(soon(t), "pgseal", asRole("stranger", "strange"))
	if sqlState(err) != "42501" {
		t.Errorf("a stranger is told %v", err)
	}
	_, err = p.tryPgx(soon(t), "pgseal", asRole("app", "wrong"))
	if sqlState(err) != "28P01" {
		t.Errorf("with a wrong password an administrator is told %v", err)
	}
	watcher := p.pgx(t, "pgseal", asRole("watcher", "watching"))
	execute(t, watcher, "SHOW POOLS")
	for _, command := range []string{"RELOAD", "PAUSE", "KILL_CLIENT 1", "SHOW FDS", "SET pool_mode = session"} {
		if _, err := watcher.Exec(soon(t), command); sqlState(err) != "42501" {
			t.Errorf("%s: a watcher is told %v", command, err)
		}
	}
}

func TestTheConsoleTellsOfClientsAndServers(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	client := p.pgx(t, "app", "application_name=teller")
	pid := value(t, client, "SELECT pg_backend_pid()::text")
	execute(t, client, "BEGIN")
	for _, mode := range []string{"", simpleMode, execMode} {
		console := p.pgx(t, "pgseal", mode)
		clients := rowsOf(t, console, "SHOW CLIENTS")
		busy := find(clients, "application_name", "teller")
		if len(busy) != 1 || busy[0]["state"] != "active" || busy[0]["database"] != "app" || busy[0]["user"] != "app" {
			t.Fatalf("the client is shown as %v", busy)
		}
		servers := rowsOf(t, console, "SHOW SERVERS")
		if len(servers) != 1 || servers[0]["link"] != busy[0]["ptr"] || servers[0]["ptr"] != busy[0]["link"] || text(servers[0]["remote_pid"]) != pid {
			t.Errorf("the server is shown as %v", servers)
		}
		if tls, _ := servers[0]["tls"].(string); !strings.HasPrefix(tls, "TLSv1.3/") {
			t.Errorf("the server's TLS is shown as %q", tls)
		}
		pools := find(rowsOf(t, console, "SHOW POOLS"), "database", "app")
		if len(pools) != 1 || text(pools[0]["sv_active"]) != "1" || text(pools[0]["cl_active"]) != "1" || pools[0]["pool_mode"] != "transaction" {
			t.Errorf("the pools are %v", pools)
		}
		legs := rowsOf(t, console, "SHOW TLS")
		server := find(legs, "leg", "server")
		if len(server) != 1 || server[0]["verification"] != "verify-full" || server[0]["ssl"] != true {
			t.Errorf("the server's leg is shown as %v", server)
		}
		ours := find(legs, "id", text(busy[0]["id"]))
		if len(ours) < 1 || ours[0]["identity"] != "scram-sha-256:app" || ours[0]["sni"] != "localhost" || ours[0]["negotiation"] != "sslrequest" {
			t.Errorf("the client's leg is shown as %v", ours)
		}
		certs := rowsOf(t, console, "SHOW CERTS")
		if own := find(certs, "kind", "certificate"); len(own) != 1 || own[0]["fingerprint"] == "" || text(own[0]["days_left"]) == "" {
			t.Errorf("the certificates are %v", certs)
		}
		console.Close(context.Background())
	}
}

// rowsOf returns the rows of an answer by the names of its columns.
func rowsOf(t *testing.T, conn *pgx.Conn, sql string) (list []map[string]any) {
	t.Helper()
	rows, err := conn.Query(soon(t), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	list, err = pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

func text(v any) string {
	switch v := v.(type) {
	case int32:
		return strconv.Itoa(int(v))
	case int64:
		return strconv.FormatInt(v, 10)
	case string:
		return v
	}
	return ""
}

// find returns the rows that have this value in a column.
func find(rows []map[string]any, column, value string) (list []map[string]any) {
	for _, r := range rows {
		if text(r[column]) == value {
			list = append(list, r)
		}
	}
	return list
}

func TestPauseLosesNothing(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	console := p.pgx(t, "pgseal", "")
	busy, other := p.pgx(t, "app", execMode), p.pgx(t, "app", execMode)
	execute(t, busy, "BEGIN")
	before := value(t, other, "SELECT pg_backend_pid()::text")
	paused := make(chan error, 1)
	go func() {
		_, err := console.Exec(context.Background(), "PAUSE app")
		paused <- err
	}()
	watcher := p.pgx(t, "pgbouncer", simpleMode)
	eventually(t, patience, "the database is paused", func() bool {
		return text(find(rowsOf(t, watcher, "SHOW DATABASES"), "name", "app")[0]["paused"]) == "1"
	})
	answers := make(chan error, 1)
	go func() {
		_, err := other.Exec(context.Background(), "SELECT 1")
		answers <- err
	}()
	eventually(t, patience, "the other client waits", func() bool {
		return text(rowsOf(t, watcher, "SHOW POOLS")[0]["cl_waiting"]) == "1"
	})
	select {
	case err := <-paused:
		t.Fatalf("PAUSE ended within a transaction: %v", err)
	default:
	}
	execute(t, busy, "COMMIT")
	if err := <-paused; err != nil {
		t.Fatalf("PAUSE: %v", err)
	}
	if n := len(rowsOf(t, watcher, "SHOW SERVERS")); n != 0 {
		t.Errorf("%d servers are left after PAUSE", n)
	}
	_, err := watcher.Exec(soon(t), "PAUSE app")
	if sqlState(err) != "55000" {
		t.Errorf("PAUSE of what is paused: %v", err)
	}
	execute(t, watcher, "RESUME app")
	if err := <-answers; err != nil {
		t.Errorf("the client that waited: %v", err)
	}
	if after := value(t, other, "SELECT pg_backend_pid()::text"); after == before {
		t.Error("the server of before PAUSE is still there")
	}
}

func TestAPauseThatIsCanceledIsUndone(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	busy := p.pgx(t, "app", execMode)
	execute(t, busy, "BEGIN")
	console := p.pgx(t, "pgseal", simpleMode)
	paused := make(chan error, 1)
	go func() {
		_, err := console.Exec(context.Background(), "PAUSE")
		paused <- err
	}()
	watcher := p.pgx(t, "pgseal", simpleMode)
	eventually(t, patience, "all is paused", func() bool {
		return len(find(rowsOf(t, watcher, "SHOW STATE"), "value", "no")) == 2 && rowsOf(t, watcher, "SHOW STATE")[0]["value"] == "no"
	})
	if err := console.PgConn().CancelRequest(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-paused; sqlState(err) != "57014" {
		t.Errorf("the canceled PAUSE ends with %v", err)
	}
	if state := rowsOf(t, watcher, "SHOW STATE"); state[0]["value"] != "yes" {
		t.Errorf("afterwards the state is %v", state)
	}
	execute(t, p.pgx(t, "app", execMode), "SELECT 1")
}

func TestKilledClientsAreToldAndNewOnesWaitForResume(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	console := p.pgx(t, "pgseal", simpleMode)
	first, second := p.pgx(t, "app", "application_name=first "+execMode), p.pgx(t, "app", execMode)
	execute(t, first, "BEGIN")
	id := text(find(rowsOf(t, console, "SHOW CLIENTS"), "application_name", "first")[0]["id"])
	execute(t, console, "KILL_CLIENT "+id)
	if _, err := first.Exec(soon(t), "SELECT 1"); sqlState(err) != "57P01" {
		t.Errorf("the killed client is told %v", err)
	}
	for sql, want := range map[string]string{"KILL_CLIENT " + id: "42704", "KILL_CLIENT nobody": "22023", "KILL nowhere": "3D000", "KILL pgseal": "22023"} {
		if _, err := console.Exec(soon(t), sql); sqlState(err) != want {
			t.Errorf("%s: %v, want %s", sql, err, want)
		}
	}
	execute(t, console, "KILL app")
	if _, err := second.Exec(soon(t), "SELECT 1"); sqlState(err) != "57P01" {
		t.Errorf("the client of the killed database is told %v", err)
	}
	third := p.pgx(t, "app", execMode)
	short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := third.Exec(short, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a new client does not wait: %v", err)
	}
	execute(t, console, "RESUME app")
	execute(t, p.pgx(t, "app", execMode), "SELECT 1")
}

func TestADisabledDatabaseTakesNoNewClients(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	console, client := p.pgx(t, "pgseal", ""), p.pgx(t, "app", execMode)
	execute(t, console, "DISABLE app")
	if _, err := p.tryPgx(soon(t), "app", ""); sqlState(err) != "55000" {
		t.Errorf("a new client is told %v", err)
	}
	execute(t, client, "SELECT 1")
	execute(t, console, "ENABLE app")
	p.pgx(t, "app", "")
}

func TestReconnectReplacesServersAndWaitCloseWaitsForIt(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	console, client := p.pgx(t, "pgseal", ""), p.pgx(t, "app", execMode)
	execute(t, client, "BEGIN")
	before := value(t, client, "SELECT pg_backend_pid()::text")
	execute(t, console, "RECONNECT app")
	closed := make(chan error, 1)
	go func() {
		_, err := console.Exec(context.Background(), "WAIT_CLOSE app")
		closed <- err
	}()
	if now := value(t, client, "SELECT pg_backend_pid()::text"); now != before {
		t.Error("RECONNECT broke a transaction")
	}
	execute(t, client, "COMMIT")
	if err := <-closed; err != nil {
		t.Errorf("WAIT_CLOSE: %v", err)
	}
	if now := value(t, client, "SELECT pg_backend_pid()::text"); now == before {
		t.Error("the server is the one of before RECONNECT")
	}
}

func TestReloadAtTheConsoleSaysWhatIsWrongWithFileAndLine(t *testing.T) {
	t.Parallel()
	o := consoleOptions()
	o.errors = []string{configRefused}
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), o)
	console := p.pgx(t, "pgseal", "")
	execute(t, console, "RELOAD")
	p.options.pool = settings{"pool_mode": "sometimes"}
	p.writeConfig()
	_, err := console.Exec(soon(t), "RELOAD")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "F0000" || !strings.Contains(e.Message, "config.yaml:") || !strings.Contains(e.Message, "pool_mode") {
		t.Errorf("RELOAD says %v", err)
	}
}

func TestSettingsChangeAtTheConsole(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	console := p.pgx(t, "pgseal", simpleMode)
	execute(t, console, "SET query_wait_timeout = 7")
	if got := find(rowsOf(t, console, "SHOW CONFIG"), "key", "query_wait_timeout")[0]["value"]; got != "7" {
		t.Errorf("the setting is %v", got)
	}
	for sql, want := range map[string]string{"SET workers = 2": "55P02", "SET nonsense = 1": "42704", "SET pool_mode = 'sometimes'": "22023", "SET max_client_conn = many": "22023", "SET server_version = 9": "55P02"} {
		if _, err := console.Exec(soon(t), sql); sqlState(err) != want {
			t.Errorf("%s: %v, want %s", sql, err, want)
		}
	}
	for _, sql := range []string{"SET extra_float_digits = 3", "SET DateStyle = ISO, MDY", "SET SESSION application_name TO 'x'", "SET TIME ZONE 'UTC'"} {
		execute(t, console, sql)
	}
}

func TestAdministratorsComeInWhenThePoolerIsFull(t *testing.T) {
	t.Parallel()
	o := consoleOptions()
	o.pool = settings{"max_client_conn": "1"}
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), o)
	p.pgx(t, "app", "")
	if _, err := p.tryPgx(soon(t), "app", ""); sqlState(err) != "53300" {
		t.Errorf("a second client is told %v", err)
	}
	for range 3 {
		execute(t, p.pgx(t, "pgseal", ""), "SHOW VERSION")
	}
}

func TestShutdownAtTheConsole(t *testing.T) {
	t.Parallel()
	for command, waits := range map[string]bool{"SHUTDOWN": false, "SHUTDOWN WAIT_FOR_SERVERS": true, "SHUTDOWN WAIT_FOR_CLIENTS": true} {
		t.Run(command, func(t *testing.T) {
			p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
			console, busy := p.pgx(t, "pgseal", simpleMode), p.pgx(t, "app", execMode)
			execute(t, busy, "BEGIN")
			if _, err := console.Exec(soon(t), command); err != nil && waits {
				t.Fatalf("%s: %v", command, err)
			}
			if waits {
				eventually(t, patience, "nobody is let in", func() bool {
					late, err := p.tryPgx(soon(t), "app", "")
					if err == nil {
						late.Close(context.Background()) // or it would be waited for
					}
					return err != nil
				})
				execute(t, console, "SHOW VERSION")
				execute(t, busy, "COMMIT")
				busy.Close(context.Background())
			}
			if !p.ended(stopLimit) {
				t.Error("the process does not end")
			}
		})
	}
}

func TestARepeatedShutdownHurriesOnlyWhereItSaysSo(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN WAIT_FOR_CLIENTS"} {
		t.Run(first, func(t *testing.T) {
			p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
			console, busy := p.pgx(t, "pgseal", simpleMode), p.pgx(t, "app", execMode)
			execute(t, busy, "BEGIN")
			for range 3 {
				execute(t, console, first)
			}
			eventually(t, patience, "nobody is let in", func() bool {
				_, err := p.tryPgx(soon(t), "app", "")
				return err != nil
			})
			execute(t, busy, "SELECT 1") // its transaction was not cut off
			if p.ended(0) {
				t.Error("the process did not wait")
			}
			console.Exec(soon(t), "SHUTDOWN")
			if !p.ended(stopLimit) {
				t.Error("the process does not end although a transaction is open")
			}
		})
	}
}

func TestSettingsThatAreSetAtTheSameTimeAreBothSet(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	keys := []string{"query_wait_timeout", "server_idle_timeout"}
	consoles := []*pgx.Conn{p.pgx(t, "pgseal", simpleMode), p.pgx(t, "pgseal", simpleMode)}
	for round := range 40 {
		want := strconv.Itoa(100 + round)
		done := make(chan error, len(keys))
		for i, key := range keys {
			go func() {
				_, err := consoles[i].Exec(soon(t), "SET "+key+" = "+want)
				done <- err
			}()
		}
		for range keys {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		now := rowsOf(t, consoles[0], "SHOW CONFIG")
		for _, key := range keys {
			if got := find(now, "key", key)[0]["value"]; got != want {
				t.Fatalf("round %d: %s is %v", round, key, got)
			}
		}
	}
}

func TestPsycopg2AndJDBCUseTheConsole(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	programs := map[string]*exec.Cmd{
		"psycopg2": exec.Command(python, "-B", "drivers/psycopg2/console.py", p.dsn("pgseal", "")),
		"JDBC": exec.Command("java", append(java[1:len(java):len(java)], "-cp", jdbc, "drivers/jdbc/Console.java",
			"jdbc:postgresql://localhost:"+strconv.Itoa(p.port())+"/pgseal?user=app&password="+appPassword+"&sslmode=verify-full&sslrootcert="+p.root)...),
	}
	for name, cmd := range programs {
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "app transaction" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestTheConsoleTellsOfPreparedStatementsAndPins(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	client, console := p.pgx(t, "app", "application_name=teller"), p.pgx(t, "pgseal", "")
	if _, err := client.Prepare(soon(t), "one", "SELECT 1 AS told_by_name"); err != nil {
		t.Fatal(err)
	}
	execute(t, client, "CREATE TEMPORARY TABLE kept (n int)", pgx.QueryExecModeSimpleProtocol)
	eventually(t, patience, "the client is pinned", func() bool { return len(rowsOf(t, console, "SHOW PINS")) == 1 })
	c := find(rowsOf(t, console, "SHOW CLIENTS"), "application_name", "teller")[0]
	if text(c["prepared_statements"]) != "1" || text(c["pins"]) == "" || c["state"] != "active" {
		t.Errorf("the client is shown as %v", c)
	}
	if s := rowsOf(t, console, "SHOW SERVERS"); len(s) != 1 || text(s[0]["prepared_statements"]) != "1" || text(s[0]["link_id"]) != text(c["id"]) {
		t.Errorf("the servers are %v", s)
	}
	if pins := rowsOf(t, console, "SHOW PINS"); len(pins) != 1 || text(pins[0]["client_id"]) != text(c["id"]) || pins[0]["reasons"] != c["pins"] {
		t.Errorf("the pins are %v", pins)
	}
	if list := rowsOf(t, console, "SHOW PREPARED"); len(list) != 1 || list[0]["query"] != "SELECT 1 AS told_by_name" || text(list[0]["clients"]) != "1" {
		t.Errorf("the prepared statements are %v", list)
	}
	execute(t, client, "DROP TABLE kept", pgx.QueryExecModeSimpleProtocol)
	eventually(t, patience, "the server is idle", func() bool { return len(rowsOf(t, console, "SHOW PINS")) == 0 })
	if s := rowsOf(t, console, "SHOW SERVERS"); len(s) != 1 || text(s[0]["prepared_statements"]) != "1" || text(s[0]["link_id"]) != "" {
		t.Errorf("the servers that nobody holds are %v", s)
	}
}

// What a client sends that is none of the protocol, behind an error whose rest is
// skipped, once kept its place for ever.
func TestThePlacesOfTheConsoleAreNotUsedUpByClientsThatEndBadly(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	const places = 32
	for i := range 2 * places {
		c, err := p.tryPgx(soon(t), "pgseal", simpleMode)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if err := c.PgConn().SyncConn(soon(t)); err != nil { // nothing of pgconn's reads in the background
			t.Fatalf("client %d: %v", i, err)
		}
		raw := c.PgConn().Conn()
		bad := []string{"Q\x00\x01\x00\x05", "Q\x00\x00\x00\x01", "!\x00\x00\x00\x04"}[i%3]
		if _, err := raw.Write([]byte("B\x00\x00\x00\x10\x00none\x00\x00\x00\x00\x00\x00\x00" + bad)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			raw.Close()
			continue
		}
		raw.SetDeadline(time.Now().Add(patience))
		if answer, err := io.ReadAll(raw); err != nil || !strings.Contains(string(answer), "08P01") {
			t.Fatalf("client %d is told %q, %v", i, answer, err)
		}
	}
	eventually(t, patience, "all have ended", func() bool { return p.log.count("client disconnected") == 2*places })
}
