package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// streaming is a pgseal that streamer may replicate through. The programs of
// PostgreSQL ask for a database named replication where they want none.
func streaming(t *testing.T, pg *postgres) *pgseal {
	t.Helper()
	return start(t, pg, options{
		databases: map[string]settings{"app": {"pool_size": "1"}, "replication": {"pool_size": "2"}},
		users:     map[string]string{"streamer": appPassword},
	})
}

// replicate opens a replication connection with pgconn. more are further
// parts of its DSN.
func (p *pgseal) replicate(t *testing.T, user, more string) (*pgconn.PgConn, error) {
	t.Helper()
	conn, err := pgconn.Connect(soon(t), p.dsn("app", "user="+user+" "+more))
	if err == nil {
		t.Cleanup(func() { conn.Close(context.Background()) })
	}
	return conn, err
}

// row returns the first row that a command yields.
func row(t *testing.T, conn *pgconn.PgConn, command string) []string {
	t.Helper()
	results, err := conn.Exec(soon(t), command).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		t.Fatalf("%s yields no row", command)
	}
	var list []string
	for _, v := range results[0].Rows[0] {
		list = append(list, string(v))
	}
	return list
}

// stream starts a replication and returns once the server streams.
func stream(t *testing.T, conn *pgconn.PgConn, command string) {
	t.Helper()
	conn.Frontend().Send(&pgproto3.Query{String: command})
	if err := conn.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		switch m := next(t, conn).(type) {
		case *pgproto3.CopyBothResponse:
			return
		case *pgproto3.ErrorResponse:
			t.Fatalf("%s: %s", command, m.Message)
		}
	}
}

func next(t *testing.T, conn *pgconn.PgConn) pgproto3.BackendMessage {
	t.Helper()
	m, err := conn.ReceiveMessage(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// streamed reads a stream until what it brought contains text.
func streamed(t *testing.T, conn *pgconn.PgConn, text string) {
	t.Helper()
	for {
		if m, isData := next(t, conn).(*pgproto3.CopyData); isData && strings.Contains(string(m.Data), text) {
			return
		}
	}
}

// endStream ends a stream from the client's side and reads up to where the
// next command may be sent.
func endStream(t *testing.T, conn *pgconn.PgConn) {
	t.Helper()
	conn.Frontend().Send(&pgproto3.CopyDone{})
	if err := conn.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	done := false
	for {
		switch next(t, conn).(type) {
		case *pgproto3.CopyDone:
			done = true
		case *pgproto3.ReadyForQuery:
			if !done {
				t.Error("the server did not end its side of the stream")
			}
			return
		}
	}
}

func TestAPhysicalReplicationConnectionStreamsAndGoesOn(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := streaming(t, pg)
		admin := pg.direct(t, "app")
		conn, err := p.replicate(t, "streamer", "replication=true application_name=standby")
		if err != nil {
			t.Fatal(err)
		}
		system := row(t, conn, "IDENTIFY_SYSTEM")
		if direct := value(t, admin, "SELECT system_identifier::text FROM pg_control_system()"); system[0] != direct {
			t.Errorf("the system is %s, want %s", system[0], direct)
		}
		for round := range 3 {
			marker := fmt.Sprintf("physical %d of %s", round, t.Name())
			at := value(t, admin, "SELECT pg_current_wal_lsn()::text")
			stream(t, conn, "START_REPLICATION PHYSICAL "+at+" TIMELINE "+system[1])
			if got := value(t, admin, "SELECT application_name FROM pg_stat_replication WHERE usename = 'streamer'"); got != "standby" {
				t.Errorf("the server sees application_name %q", got)
			}
			execute(t, admin, "SELECT pg_logical_emit_message(false, 'test', $1)", marker)
			execute(t, admin, "SELECT pg_switch_wal()")
			streamed(t, conn, marker)
			endStream(t, conn)
		}
		stream(t, conn, "START_REPLICATION PHYSICAL "+value(t, admin, "SELECT pg_current_wal_lsn()::text")+" TIMELINE "+system[1])
		reset(conn.Conn()) // in the midst of it
		eventually(t, goneLimit, "the server's side is gone", func() bool {
			return value(t, admin, "SELECT count(*)::text FROM pg_stat_activity WHERE usename = 'streamer'") == "0"
		})
		failing, err := p.replicate(t, "streamer", "replication=on")
		if err != nil {
			t.Fatal(err)
		}
		_, err = failing.Exec(soon(t), "START_REPLICATION SLOT missing PHYSICAL 0/0").ReadAll()
		wantState(t, err, "42704")
		row(t, failing, "IDENTIFY_SYSTEM")
	})
}

func TestALogicalReplicationConnectionRunsSQLStreamsAndGoesOn(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := streaming(t, pg)
		admin := pg.direct(t, "app")
		execute(t, admin, "DROP TABLE IF EXISTS streamed")
		execute(t, admin, "CREATE TABLE streamed (v text)")
		execute(t, admin, "CREATE PUBLICATION streamed FOR TABLE streamed")
		defer execute(t, admin, "DROP PUBLICATION streamed")
		conn, err := p.replicate(t, "streamer", "replication=database TimeZone=Asia/Tokyo options='-c work_mem=321kB'")
		if err != nil {
			t.Fatal(err)
		}
		if got := row(t, conn, "SELECT current_database(), current_setting('TimeZone'), current_setting('work_mem')"); !slices.Equal(got, []string{"app", "Asia/Tokyo", "321kB"}) {
			t.Errorf("the session has %q", got)
		}
		if got := conn.ParameterStatus("TimeZone"); got != "Asia/Tokyo" {
			t.Errorf("the client is told %q", got)
		}
		row(t, conn, "CREATE_REPLICATION_SLOT through TEMPORARY LOGICAL pgoutput")
		stream(t, conn, "START_REPLICATION SLOT through LOGICAL 0/0 (proto_version '1', publication_names 'streamed')")
		for round := range 3 {
			marker := fmt.Sprintf("row %d", round)
			execute(t, admin, "INSERT INTO streamed VALUES ($1)", marker)
			streamed(t, conn, marker)
		}
		endStream(t, conn)
		row(t, conn, "SELECT 1")
		_, err = conn.Exec(soon(t), "START_REPLICATION SLOT through LOGICAL 0/0 (proto_version 'x')").ReadAll()
		if sqlState(err) == "no error" {
			t.Error("a wrong option was taken")
		}
		row(t, conn, "IDENTIFY_SYSTEM")
		// Its pool has one place, which it holds: others wait until it leaves.
		waiting := make(chan error, 1)
		go func() {
			other, err := p.tryPgx(soon(t), "app", "user=streamer "+simpleMode)
			if err == nil {
				_, err = other.Exec(soon(t), "SELECT 1")
				other.Close(context.Background())
			}
			waiting <- err
		}()
		row(t, conn, "SELECT pg_sleep(0.3)")
		select {
		case err := <-waiting:
			t.Errorf("another client was served beyond pool_size, with %v", err)
		default:
		}
		conn.Close(soon(t))
		if err := receive(t, waiting, "the other client is served"); err != nil {
			t.Error(err)
		}
	})
}

func TestARoleThatMayNotReplicateGetsPostgreSQLsOwnError(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := streaming(t, pg)
		for _, kind := range []string{"true", "database"} {
			_, direct := pgconn.Connect(soon(t), fmt.Sprintf("%s user=app password=%s replication=%s", pg.dsn("app"), appPassword, kind))
			want := wantState(t, direct, "42501")
			_, err := p.replicate(t, "app", "replication="+kind)
			if got := wantState(t, err, "42501"); got.Message != want.Message || got.Severity != want.Severity {
				t.Errorf("%s: told %q, PostgreSQL says %q", kind, got, want)
			}
		}
		_, err := p.replicate(t, "streamer", "replication=both")
		wantState(t, err, "22023")
		if got := value(t, p.pgx(t, "app", execMode), "SELECT 'alive'"); got != "alive" {
			t.Errorf("got %q", got)
		}
	})
}

// replicator makes a command of one of PostgreSQL's programs for replication,
// run as streamer.
func (p *pgseal) replicator(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	return p.command(t, name, "app", []string{"PGUSER=streamer"}, append(args, "--no-password")...)
}

func mustRun(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if r := runProgram(t, cmd); r.status != 0 {
		t.Fatalf("%s ended with status %d: %s", filepath.Base(cmd.Path), r.status, r.stderr)
	}
}

func TestPgBasebackupAndPgReceivewalWork(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, "15") // the programs are of this version, and take no server that is newer
	p := streaming(t, pg)
	admin := pg.direct(t, "app")
	dir := t.TempDir()
	mustRun(t, p.replicator(t, "pg_basebackup", "-D", filepath.Join(dir, "base"), "-X", "stream", "-c", "fast"))
	mustRun(t, exec.CommandContext(t.Context(), program(t, "pg_verifybackup"), filepath.Join(dir, "base")))
	wal := filepath.Join(dir, "wal")
	if err := os.Mkdir(wal, 0o700); err != nil {
		t.Fatal(err)
	}
	execute(t, admin, "SELECT pg_logical_emit_message(false, 'test', 'for pg_receivewal')")
	execute(t, admin, "SELECT pg_switch_wal()")
	end := value(t, admin, "SELECT pg_current_wal_lsn()::text")
	mustRun(t, p.replicator(t, "pg_receivewal", "-D", wal, "--no-loop", "--endpos", end))
	if files, err := os.ReadDir(wal); err != nil || len(files) == 0 {
		t.Errorf("pg_receivewal wrote %d files, %v", len(files), err)
	}
	eventually(t, patience, "the servers of replication are closed", func() bool { return p.log.count("server closed", `"user":"streamer"`) >= 2 })
}

func TestABaseBackupComesWhole(t *testing.T) {
	t.Parallel()
	onEachSince(t, 15, func(t *testing.T, pg *postgres) {
		p := streaming(t, pg)
		conn, err := p.replicate(t, "streamer", "replication=true")
		if err != nil {
			t.Fatal(err)
		}
		conn.Frontend().Send(&pgproto3.Query{String: "BASE_BACKUP (CHECKPOINT 'fast', WAIT false)"})
		if err := conn.Frontend().Flush(); err != nil {
			t.Fatal(err)
		}
		size := 0
		for ready := false; !ready; {
			switch m := next(t, conn).(type) {
			case *pgproto3.CopyData:
				size += len(m.Data)
			case *pgproto3.ErrorResponse:
				t.Fatal(m.Message)
			case *pgproto3.ReadyForQuery:
				ready = true
			}
		}
		if size < 10<<20 {
			t.Errorf("the backup has %d bytes", size)
		}
		row(t, conn, "IDENTIFY_SYSTEM")
	})
}

func TestPgRecvlogicalStreamsUntilPgsealStops(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := streaming(t, pg)
		admin := pg.direct(t, "app")
		execute(t, admin, "DROP TABLE IF EXISTS recv")
		execute(t, admin, "CREATE TABLE recv (v text)")
		execute(t, admin, "CREATE PUBLICATION recv FOR TABLE recv")
		defer execute(t, admin, "DROP PUBLICATION recv")
		file := filepath.Join(t.TempDir(), "out")
		mustRun(t, p.replicator(t, "pg_recvlogical", "-d", "app", "-S", "recv", "--create-slot", "-P", "pgoutput"))
		defer execute(t, admin, "SELECT pg_drop_replication_slot('recv')")
		receiver, _, stderr := background(t, p.replicator(t, "pg_recvlogical", "-d", "app", "-S", "recv", "--start", "--no-loop",
			"-o", "proto_version=1", "-o", "publication_names=recv", "-f", file, "-F", "1"))
		for round := range 3 {
			marker := fmt.Sprintf("received %d", round)
			execute(t, admin, "INSERT INTO recv VALUES ($1)", marker)
			eventually(t, patience, "the row has arrived", func() bool {
				b, _ := os.ReadFile(file)
				return strings.Contains(string(b), marker)
			})
		}
		p.signal(syscall.SIGTERM)
		if !receiver.ended(patience) || !p.ended(stopLimit) {
			t.Fatal("pgseal waits for a client that never comes to rest")
		}
		if !strings.Contains(stderr.String(), "terminating connection due to administrator command") {
			t.Errorf("pg_recvlogical says %q", stderr)
		}
		eventually(t, patience, "the slot is free", func() bool {
			return value(t, admin, "SELECT active::text FROM pg_replication_slots WHERE slot_name = 'recv'") == "false"
		})
	})
}
