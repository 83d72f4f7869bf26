package integration

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestASessionThroughThePoolReadsAsOneOfItsOwn plays random sessions on
// connections of their own and, several at a time, through pgseal in
// transaction mode. Every answer has to be the same. PGSEAL_TEST_SEED repeats a
// run.
func TestASessionThroughThePoolReadsAsOneOfItsOwn(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64() >> 1
	if s := os.Getenv("PGSEAL_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	const sessions, steps = 12, 80
	onPools(t, settings{"query_wait_timeout": "60s", "max_prepared_statements": "4"}, func(t *testing.T, p *pgseal, servers int) {
		t.Logf("PGSEAL_TEST_SEED=%d", seed)
		var all sync.WaitGroup
		for i := range sessions {
			all.Go(func() {
				alone := newScript(rand.New(rand.NewPCG(seed, uint64(i))), fmt.Sprintf("alone%d_%d", servers, i), steps)
				script := newScript(rand.New(rand.NewPCG(seed, uint64(i))), fmt.Sprintf("pooled%d_%d", servers, i), steps)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				want, err := alone.play(ctx, p.pg.dsnOfApp())
				if err != nil {
					t.Error(err)
					return
				}
				got, err := script.play(ctx, p.dsn("app", ""))
				if err != nil {
					t.Errorf("session %d: %v", i, err)
				}
				for step, answer := range got {
					if answer != want[step] {
						t.Errorf("session %d, step %d of:\n%s\ngot  %s\nwant %s", i, step, script.upTo(step), answer, want[step])
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// dsnOfApp is a connection of its own for the role of the pool.
func (pg *postgres) dsnOfApp() string {
	return fmt.Sprintf("host=localhost port=%d user=app password=%s dbname=app sslmode=verify-full sslrootcert=%s", pg.Port(), appPassword, pg.root)
}

// script is what one session does, a step a line.
type script []play

// play is one step. Its answer is all that a client could tell.
type play struct {
	text string
	do   func(ctx context.Context, c *pgconn.PgConn) string
}

func (s script) upTo(step int) string {
	var b strings.Builder
	for i, p := range s[:step+1] {
		fmt.Fprintf(&b, "%3d %s\n", i, p.text)
	}
	return b.String()
}

func (s script) play(ctx context.Context, dsn string) (answers []string, err error) {
	config, err := pgconn.ParseConfig(dsn + " application_name=script options='-c statement_timeout=50s -c app.came=with'")
	if err != nil {
		return nil, err
	}
	c, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if len(s)%3 == 0 {
		defer c.Conn().Close() // it vanishes, wherever it is
	} else {
		defer c.Close(ctx)
	}
	for _, p := range s {
		answer := p.do(ctx, c)
		for _, name := range []string{"DateStyle", "TimeZone", "application_name", "IntervalStyle"} {
			answer += " " + c.ParameterStatus(name)
		}
		answers = append(answers, answer+" "+string(c.TxStatus()))
		if c.IsClosed() {
			return answers, fmt.Errorf("the session was ended at: %s: %s", p.text, answer)
		}
	}
	return answers, nil
}

// simply is a step by the simple protocol.
func simply(sql string) play {
	return play{sql, func(ctx context.Context, c *pgconn.PgConn) string {
		results, err := c.Exec(ctx, sql).ReadAll()
		return told(results, err)
	}}
}

func told(results []*pgconn.Result, err error) string {
	var b strings.Builder
	for _, r := range results {
		for _, row := range r.Rows {
			for _, v := range row {
				fmt.Fprintf(&b, "%s|", v)
			}
		}
		fmt.Fprintf(&b, " %s", r.CommandTag)
		if r.Err != nil {
			b.WriteString(" " + sqlState(r.Err))
		}
	}
	if err != nil {
		b.WriteString(" " + sqlState(err) + " " + messageOf(err))
	}
	return b.String()
}

// message is PostgreSQL's own, without the position, which depends on nothing
// of interest.
func messageOf(err error) string {
	if e, ok := err.(*pgconn.PgError); ok {
		return e.Message
	}
	return ""
}

// newScript makes up a session. Names that are seen by other sessions have own
// in them.
func newScript(r *rand.Rand, own string, steps int) script {
	var s script
	for range steps/2 + r.IntN(steps/2) {
		s = append(s, step(r, own))
	}
	return s
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func step(r *rand.Rand, own string) play {
	n := r.IntN(3)
	lock := int(crc32.ChecksumIEEE([]byte(own)))<<2 + n
	switch r.IntN(13) {
	case 0, 1:
		return simply(pick(r, "BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a"))
	case 2, 3:
		return simply(setting(r))
	case 4:
		return simply("SELECT current_setting('statement_timeout'), current_setting('work_mem'), current_setting('search_path'), " +
			"current_setting('DateStyle'), current_setting('extra_float_digits'), current_setting('app.came'), " +
			"coalesce(current_setting('app.tenant', true), ''), current_setting('default_transaction_isolation'), current_user")
	case 5:
		return simply(fmt.Sprintf(pick(r, "CREATE TEMP TABLE t%d (n int)", "DROP TABLE t%d", "INSERT INTO t%d VALUES (1)", "SELECT count(*) FROM t%d",
			"SELECT 1 AS n INTO TEMP t%d", "DO $$ BEGIN CREATE TEMP TABLE t%d (n int); END $$"), n))
	case 6:
		return simply(fmt.Sprintf(pick(r, "SELECT pg_advisory_lock(%d)", "SELECT pg_advisory_unlock(%d)", "SELECT pg_try_advisory_lock(%d)", "SELECT pg_advisory_xact_lock(%d)"), lock))
	case 7:
		return simply(pick(r, "LISTEN "+own, "UNLISTEN *", "SELECT count(*) FROM pg_listening_channels()", "UNLISTEN "+own))
	case 8:
		return simply(fmt.Sprintf(pick(r, "PREPARE q%[1]d AS SELECT %[1]d", "EXECUTE q%d", "DEALLOCATE q%d", "DECLARE c%d CURSOR WITH HOLD FOR SELECT generate_series(1, 3)",
			"FETCH c%d", "CLOSE c%d"), n))
	case 9:
		return simply(pick(r, "SELECT 1/0", "SELEKT", "SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 2", "", "DISCARD ALL", "DEALLOCATE ALL", "RESET ALL", "SELECT nothing"))
	}
	if r.IntN(6) == 0 {
		return copies(r, n)
	}
	return prepared(r, n)
}

// copies is a step of COPY, in or out, which may fail.
func copies(r *rand.Rand, n int) play {
	if r.IntN(2) == 0 {
		sql := pick(r, "COPY (SELECT generate_series(1, 3)) TO STDOUT", "COPY (SELECT 1/0) TO STDOUT", fmt.Sprintf("COPY t%d TO STDOUT", n))
		return play{sql, func(ctx context.Context, c *pgconn.PgConn) string {
			var out bytes.Buffer
			tag, err := c.CopyTo(ctx, &out, sql)
			return out.String() + tag.String() + told(nil, err)
		}}
	}
	sql, data := fmt.Sprintf("COPY t%d FROM STDIN", n), pick(r, "1\n2\n", "", "x\n")
	return play{sql, func(ctx context.Context, c *pgconn.PgConn) string {
		tag, err := c.CopyFrom(ctx, strings.NewReader(data), sql)
		return tag.String() + told(nil, err)
	}}
}

func setting(r *rand.Rand) string {
	assign := pick(r, "statement_timeout = '4%ds'", "work_mem = '%dMB'", "search_path = a%d, public", "app.tenant = 't%d'", "extra_float_digits = %d",
		"application_name = 'app%d'")
	assign = fmt.Sprintf(assign, 1+r.IntN(3))
	name, value, _ := strings.Cut(assign, " = ")
	return pick(r, "SET "+assign, "SET SESSION "+assign, "SET LOCAL "+assign, "RESET "+name,
		fmt.Sprintf("SELECT set_config('%s', '%s', false)", name, strings.Trim(value, "'")),
		fmt.Sprintf("SELECT set_config('%s', '%s', true)", name, strings.Trim(value, "'")),
		"SET DateStyle = "+pick(r, "German", "ISO", "'SQL, DMY'"), "SET TIME ZONE "+pick(r, "'Asia/Tokyo'", "'UTC'", "DEFAULT"),
		"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL "+pick(r, "SERIALIZABLE", "READ COMMITTED"),
		"SET IntervalStyle = "+pick(r, "iso_8601", "postgres"))
}

// prepared is a step by the extended protocol.
func prepared(r *rand.Rand, n int) play {
	name := fmt.Sprintf("p%d", n)
	sql := pick(r, "SELECT $1::text || 'a'", "SELECT $1::text || 'b'", "SELECT 1/length($1::text)", "SELECT $1::text, current_setting('DateStyle')", "SELEKT $1")
	argument := pick(r, "x", "", "ünï")
	switch r.IntN(5) {
	case 0:
		return play{"prepare " + name + ": " + sql, func(ctx context.Context, c *pgconn.PgConn) string {
			_, err := c.Prepare(ctx, name, sql, nil)
			return told(nil, err)
		}}
	case 1:
		return play{"close " + name, func(ctx context.Context, c *pgconn.PgConn) string { return told(nil, c.Deallocate(ctx, name)) }}
	case 2:
		return play{"unnamed: " + sql, func(ctx context.Context, c *pgconn.PgConn) string {
			result := c.ExecParams(ctx, sql, [][]byte{[]byte(argument)}, nil, nil, nil).Read()
			return told([]*pgconn.Result{result}, result.Err)
		}}
	case 3:
		names := []string{name, pick(r, "p0", "p1", "p2"), pick(r, "p0", "p1", "p2")}
		return play{"pipeline of " + strings.Join(names, ", "), func(ctx context.Context, c *pgconn.PgConn) string { return pipeline(ctx, c, names, argument) }}
	}
	return play{"run " + name, func(ctx context.Context, c *pgconn.PgConn) string {
		result := c.ExecPrepared(ctx, name, [][]byte{[]byte(argument)}, nil, nil).Read()
		return told([]*pgconn.Result{result}, result.Err)
	}}
}

// pipeline runs statements without waiting for the answers between them, with
// a Sync behind each but the first.
func pipeline(ctx context.Context, c *pgconn.PgConn, names []string, argument string) string {
	p := c.StartPipeline(ctx)
	for i, name := range names {
		p.SendQueryPrepared(name, [][]byte{[]byte(argument)}, nil, nil)
		if i > 0 {
			if err := p.Sync(); err != nil {
				return err.Error()
			}
		}
	}
	var b strings.Builder
	for range 2*len(names) + 1 {
		results, err := p.GetResults()
		switch results := results.(type) {
		case *pgconn.ResultReader:
			result := results.Read()
			b.WriteString(told([]*pgconn.Result{result}, nil))
		case *pgconn.PipelineSync:
			b.WriteString(" synced")
		}
		if err != nil {
			b.WriteString(" " + sqlState(err) + " " + messageOf(err))
		}
		if results == nil && err == nil {
			break
		}
	}
	if err := p.Close(); err != nil {
		b.WriteString(" end: " + sqlState(err))
	}
	return b.String()
}
