package integration

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// canceledLimit bounds how long what a client left running may run on. A
// second is what is meant; on a busy machine it may take longer, but by far
// not the five after which the server would be ended anyway.
const canceledLimit = 3 * time.Second

// goneLimit bounds how long the server that a client left behind may take to
// be clean again or gone: five seconds, and a second to close.
const goneLimit = 10 * time.Second

// departures are clients that vanish. Each is brought into a state that shows
// as condition in pg_stat_activity, and then gone is called.
var departures = []struct {
	name      string
	condition string
	arrive    func(t *testing.T, p *pgseal) (gone func())
}{
	{"psql killed in a query", "state = 'active'", func(t *testing.T, p *pgseal) func() {
		return killed(t, p, "SELECT pg_sleep(300);\n")
	}},
	{"psql killed in a transaction", "state = 'idle in transaction'", func(t *testing.T, p *pgseal) func() {
		return killed(t, p, "BEGIN; SET search_path TO leftover; CREATE TABLE public.leftover ();\n")
	}},
	{"psql killed in a query of a transaction", "state = 'active'", func(t *testing.T, p *pgseal) func() {
		return killed(t, p, "BEGIN;\nCREATE TABLE public.leftover ();\nSELECT pg_sleep(300);\n")
	}},
	{"psql killed in a failed transaction", "state = 'idle in transaction (aborted)'", func(t *testing.T, p *pgseal) func() {
		return killed(t, p, "BEGIN;\nCREATE TABLE public.leftover ();\nSELECT 1/0;\n")
	}},
	{"psql killed in a COPY in", "state = 'active' AND wait_event = 'ClientRead'", func(t *testing.T, p *pgseal) func() {
		return killed(t, p, "COPY inbox FROM STDIN;\n1\n2\n")
	}},
	{"connection cut in a COPY out that nobody reads", "state = 'active' AND wait_event = 'ClientWrite'", func(t *testing.T, p *pgseal) func() {
		return cut(t, p, query("COPY (SELECT repeat('x', 1000), generate_series(1, 100000000)) TO STDOUT"))
	}},
	{"connection cut in the midst of a message", "state = 'idle'", func(t *testing.T, p *pgseal) func() {
		whole := query("INSERT INTO inbox VALUES (1), (2), (3)")
		return cut(t, p, whole[:len(whole)/2])
	}},
	{"connection cut before Sync", "state = 'active'", func(t *testing.T, p *pgseal) func() {
		return cut(t, p, message('P', "\x00SELECT pg_sleep(300)\x00\x00\x00"), message('B', "\x00\x00\x00\x00\x00\x00\x00\x00"),
			message('E', "\x00\x00\x00\x00\x00"), message('H', ""))
	}},
	{"connection ended in a query", "state = 'active'", func(t *testing.T, p *pgseal) func() {
		return ended(t, p, query("SELECT pg_sleep(300)"))
	}},
	{"connection ended in a transaction", "state = 'idle in transaction'", func(t *testing.T, p *pgseal) func() {
		return ended(t, p, query("BEGIN; SET search_path TO leftover; CREATE TABLE public.leftover ()"))
	}},
	{"connection ended in a COPY in", "state = 'active' AND wait_event = 'ClientRead'", func(t *testing.T, p *pgseal) func() {
		return ended(t, p, query("COPY inbox FROM STDIN"), message('d', "1\n2\n"))
	}},
	{"connection cut in a COPY in by the extended protocol", "state = 'active' AND wait_event = 'ClientRead'", func(t *testing.T, p *pgseal) func() {
		return cut(t, p, extended("COPY inbox FROM STDIN"), message('d', "1\n2\n"))
	}},
	{"connection cut in the midst of COPY data", "state = 'active' AND wait_event = 'ClientRead'", func(t *testing.T, p *pgseal) func() {
		return cut(t, p, query("COPY inbox FROM STDIN"), message('d', "1\n2\n")[:7])
	}},
	{"connection ended in a COPY out that nobody reads", "state = 'active' AND wait_event = 'ClientWrite'", func(t *testing.T, p *pgseal) func() {
		return ended(t, p, query("COPY (SELECT repeat('x', 1000), generate_series(1, 100000000)) TO STDOUT"))
	}},
	{"connection cut in a pipeline", "state = 'active'", func(t *testing.T, p *pgseal) func() {
		return cut(t, p, extended("SELECT 1"), message('S', ""), extended("SELECT pg_sleep(300)"), message('S', ""),
			extended("SELECT 2"), message('S', ""))
	}},
	{"connection cut in a pipeline that the server does not take", "state = 'active' AND query LIKE '%pg_sleep%'", func(t *testing.T, p *pgseal) func() {
		return flooded(t, p, query("SELECT pg_sleep(300)"), query("SELECT 1 WHERE '"+strings.Repeat("x", 1<<20)+"' <> ''"))
	}},
}

func TestAServerIsCleanOrGoneSoonAfterItsClientVanished(t *testing.T) {
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		for _, d := range departures {
			t.Run(d.name, func(t *testing.T) {
				observer := pg.direct(t, "app")
				execute(t, observer, "DROP TABLE IF EXISTS inbox, leftover")
				execute(t, observer, "CREATE TABLE inbox (n int)")
				execute(t, observer, "ALTER TABLE inbox OWNER TO app")
				execute(t, observer, "GRANT CREATE ON SCHEMA public TO app")
				p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}}})
				gone := d.arrive(t, p)
				eventually(t, patience, "the client is where it should be", func() bool {
					return backends(t, observer, d.condition) == 1
				})
				gone()
				took := eventually(t, goneLimit, "the server is clean or gone", func() bool {
					return backends(t, observer, "state <> 'idle'") == 0
				})
				next := p.pgx(t, "app", execMode)
				got := value(t, next, "SELECT concat_ws('|', current_setting('search_path'), to_regclass('public.leftover'), (SELECT count(*) FROM inbox))")
				if got != `"$user", public|0` {
					t.Errorf("the next client sees %s", got)
				}
				if n := backends(t, observer, "true"); n > 1 {
					t.Errorf("%d servers, limit 1", n)
				}
				if took > canceledLimit {
					t.Errorf("clean only after %v", took)
				}
				t.Logf("clean after %v", took.Round(time.Millisecond))
			})
		}
	})
}

// killed runs psql with this input, and without an end to it.
func killed(t *testing.T, p *pgseal, input string) (gone func()) {
	t.Helper()
	cmd := p.command(t, "psql", "app", nil, "-Xq")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	psql, _, _ := background(t, cmd)
	if _, err := stdin.Write([]byte(input)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := psql.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-psql.exited
	}
}

// cut logs in and sends messages without reading what they are answered with.
// Its end is a TCP reset.
func cut(t *testing.T, p *pgseal, messages ...[]byte) (gone func()) {
	t.Helper()
	conn := p.hijacked(t, messages...)
	return func() { reset(conn) }
}

// hijacked returns a connection after login on which these messages were sent.
func (p *pgseal) hijacked(t *testing.T, messages ...[]byte) net.Conn {
	t.Helper()
	conn, err := p.tryPgx(soon(t), "app", execMode)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if _, err := raw.Conn.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	return raw.Conn
}

// ended is like cut, but the end is that of a process that was killed: TCP's
// FIN, without a farewell of TLS.
func ended(t *testing.T, p *pgseal, messages ...[]byte) (gone func()) {
	t.Helper()
	conn := p.hijacked(t, messages...)
	return func() { conn.(*tls.Conn).NetConn().Close() }
}

// flooded sends a message and then another until the connection is full.
func flooded(t *testing.T, p *pgseal, first, more []byte) (gone func()) {
	t.Helper()
	conn := p.hijacked(t, first)
	for full := false; !full; {
		conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		_, err := conn.Write(more)
		full = err != nil
	}
	return func() { reset(conn) }
}

// extended makes the messages that run a statement in the extended protocol.
func extended(sql string) []byte {
	return slices.Concat(message('P', "\x00"+sql+"\x00\x00\x00"), message('B', "\x00\x00\x00\x00\x00\x00\x00\x00"),
		message('E', "\x00\x00\x00\x00\x00"))
}

// reset closes a connection without a farewell of TLS or TCP.
func reset(conn net.Conn) {
	tcp := conn.(*tls.Conn).NetConn().(*net.TCPConn)
	tcp.SetLinger(0)
	tcp.Close()
}

// message makes a message of the frontend/backend protocol.
func message(kind byte, body string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(m, body...)
}

func query(sql string) []byte { return message('Q', sql+"\x00") }

func TestASessionLeavesNothingToTheNextOneInSessionMode(t *testing.T) {
	t.Parallel()
	farewells := map[string]func(conn *pgx.Conn){
		"by Terminate": func(conn *pgx.Conn) { conn.Close(t.Context()) },
		"by a reset":   func(conn *pgx.Conn) { reset(conn.PgConn().Conn()) },
	}
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_mode": "session", "pool_size": "1"}}})
		for how, leave := range farewells {
			first := p.pgx(t, "app", "")
			for _, sql := range []string{
				"SET search_path TO leftover", "SET statement_timeout TO '7s'", "SET DateStyle TO 'German'",
				"CREATE TEMP TABLE leftover (n int)", "PREPARE leftover AS SELECT 1", "LISTEN leftover",
				"SELECT pg_advisory_lock(7)", "DECLARE leftover CURSOR WITH HOLD FOR SELECT 1", "BEGIN",
			} {
				execute(t, first, sql)
			}
			pid := value(t, first, "SELECT pg_backend_pid()::text")
			leave(first)
			second := p.pgx(t, "app", simpleMode)
			got := value(t, second, `SELECT concat_ws('|', pg_backend_pid(), current_setting('search_path'), current_setting('statement_timeout'),
				current_setting('DateStyle'), to_regclass('pg_temp.leftover'), (SELECT count(*) FROM pg_prepared_statements),
				(SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors WHERE name = 'leftover'),
				(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))`)
			if want := pid + `|"$user", public|0|ISO, MDY|0|0|0|0`; got != want {
				t.Errorf("%s: the next session sees %s, want %s", how, got, want)
			}
			second.Close(t.Context())
		}
	})
}

func TestAHundredClientsKilledAtOnceLeaveNoServerBehind(t *testing.T) {
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		const poolSize = 4
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "4"}}})
		observer := pg.direct(t, "app")
		var bench []*child
		for _, protocol := range []string{"simple", "extended"} {
			cmd := p.command(t, "pgbench", "app", nil, "-n", "-M", protocol, "-c", "50", "-T", "300", "-f", "-")
			cmd.Stdin = strings.NewReader("BEGIN;\nSELECT pg_sleep(0.002);\nSELECT count(*) FROM generate_series(1, 5000);\nEND;\n")
			c, _, _ := background(t, cmd)
			bench = append(bench, c)
		}
		eventually(t, patience, "all clients are there", func() bool { return p.log.count("client logged in") >= 100 })
		for _, c := range bench {
			if err := c.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-c.exited
		}
		eventually(t, goneLimit, "all servers are clean", func() bool {
			return backends(t, observer, "state <> 'idle'") == 0
		})
		if n := backends(t, observer, "true"); n > poolSize {
			t.Errorf("%d servers, limit %d", n, poolSize)
		}
		if got := p.ask(t, "app", "SELECT 'alive'"); got != "alive" {
			t.Errorf("got %q", got)
		}
		gone := func() int { return p.log.count("client disconnected") }
		eventually(t, patience, "all clients are gone", func() bool { return gone() >= p.log.count("client logged in") })
	})
}

func TestAClientThatVanishesWhileItWaitsForAServerIsForgotten(t *testing.T) {
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}}})
		observer := pg.direct(t, "app")
		execute(t, observer, "DROP TABLE IF EXISTS inbox")
		execute(t, observer, "CREATE TABLE inbox (n int)")
		execute(t, observer, "ALTER TABLE inbox OWNER TO app")
		holder := p.pgx(t, "app", execMode)
		execute(t, holder, "BEGIN")
		insert := query("INSERT INTO inbox VALUES (1)")
		left := func() int { return p.log.count("client disconnected") }
		for _, vanish := range []func(*testing.T, *pgseal, ...[]byte) func(){cut, ended} {
			before := left()
			vanish(t, p, insert)()
			eventually(t, canceledLimit, "the client is forgotten", func() bool { return left() == before+1 })
		}
		execute(t, holder, "COMMIT")
		if got := value(t, p.pgx(t, "app", execMode), "SELECT count(*)::text FROM inbox"); got != "0" {
			t.Errorf("%s of their statements ran", got)
		}
	})
}
