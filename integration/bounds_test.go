package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// called returns a client of pgseal's of which each byte is the test's.
func (p *pgseal) called(t *testing.T, database, more string) *caller {
	t.Helper()
	c, err := call(soon(t), p.dsn(database, more), roomForMany)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.vanish(false) })
	return c
}

// says sends messages as a dialogue has them, and returns what is read until
// the server was ready as often as they may have it, or has ended the
// connection.
func (c *caller) says(t *testing.T, messages string) (said []string) {
	t.Helper()
	st := newTurn("c", messages)
	c.hijacked.Conn.SetWriteDeadline(time.Now().Add(patience))
	c.hijacked.Conn.Write(st.wire)
	limit := time.After(patience)
	for st.owed > 0 {
		select {
		case m, ok := <-c.heard:
			if !ok {
				return said
			}
			if said = append(said, m); strings.HasPrefix(m, "ready") {
				st.owed--
			}
		case <-limit:
			t.Fatalf("no answer to %.200s after %.1000q", messages, said)
		}
	}
	return said
}

// heads is a message's type and length, without its body.
func heads(kind byte, length int) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, uint32(length+4))
}

// Row 3: whatever names pgseal's statements have on a server, they lead nobody
// to another's, and nobody past what is watched.
func TestNamesOnTheServerLeadToNothing(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		victim, thief := p.called(t, "app", ""), p.called(t, "app", "")
		for _, text := range []string{"select 'victim'", "set role pg_monitor", "listen trap", "create temp table trap (n int)"} {
			victim.says(t, fmt.Sprintf("parse %s: %s ;; sync", strings.Fields(text)[0], text))
			thief.says(t, fmt.Sprintf("parse %s: %s ;; sync", strings.Fields(text)[0], text))
		}
		victim.says(t, "bind =select ;; execute ;; sync")
		names := map[string]bool{}
		for i := range 30 { // as they were once
			names[fmt.Sprintf("pgseal_%d", i)], names[fmt.Sprintf("pgseal_%dm", i)] = true, true
		}
		for _, m := range thief.says(t, "query select name from pg_prepared_statements") {
			if name, ok := strings.CutPrefix(m, `row "`); ok && strings.TrimSuffix(name, `"`) != "select" {
				names[strings.TrimSuffix(name, `"`)] = true
			}
		}
		for _, own := range []string{"set", "listen", "create"} {
			delete(names, own)
		}
		for name := range names {
			unknown := fmt.Sprintf(`E ERROR 26000 "prepared statement \"%s\" does not exist"; ready I`, name)
			for _, try := range []struct{ attempt, want string }{
				{"bind =" + name + " ;; execute ;; sync", unknown},
				{"describe =" + name + " ;; sync", unknown},
				{"close =" + name + " ;; sync", "CloseComplete; ready I"},
				{`query execute "` + name + `"`, unknown},
				{`query deallocate "` + name + `"`, unknown},
				{`run execute "` + name + `" ;; sync`, "26000"},
				{`query explain execute "` + name + `"`, unknown},
				{`query begin; execute "` + name + `"; end`, "26000"},
				{"query rollback", "ready I"},
				{"parse " + name + ": select 1 ;; sync", "ParseComplete; ready I"}, // the client's own of that name
				{"bind =" + name + " ;; execute ;; sync", `BindComplete; row "1"; SELECT 1; ready I`},
				{"close =" + name + " ;; sync", "CloseComplete; ready I"},
			} {
				if got := inWords(thief.says(t, try.attempt)); !strings.Contains(got, try.want) {
					t.Errorf("%s is answered %s, want %s", try.attempt, got, try.want)
				}
			}
			if got := inWords(victim.says(t, "bind =select ;; execute ;; sync")); got != `BindComplete; row "victim"; SELECT 1; ready I` {
				t.Fatalf("behind attempts with %s the victim reads %s", name, got)
			}
			traces := "query select current_user, (select count(*) from pg_listening_channels()), to_regclass('trap')"
			if got := inWords(victim.says(t, traces)); !strings.Contains(got, `row "app" "0" null`) {
				t.Fatalf("behind attempts with %s the victim's session is %s", name, got)
			}
		}
	})
}

// Row 11: pgseal's own timeouts end a client without committing for it.
func TestATimeoutCommitsNothing(t *testing.T) {
	t.Parallel()
	for _, timeout := range []string{"query_timeout", "transaction_timeout"} {
		for _, mode := range allModes {
			t.Run(timeout+" "+mode, func(t *testing.T) {
				pg := sharedPostgres(t, versions[0])
				p := start(t, pg, options{pool: settings{timeout: "300ms", "pool_mode": mode}})
				super := pg.direct(t, "app")
				execute(t, super, "DROP TABLE IF EXISTS timed; CREATE TABLE timed (n int); GRANT ALL ON timed TO app", pgx.QueryExecModeSimpleProtocol)
				c := p.called(t, "app", "")
				c.says(t, "run insert into timed values (1) ;; flush")
				eventually(t, patience, "the client is ended", func() bool {
					for {
						select {
						case _, ok := <-c.heard:
							if !ok {
								return true
							}
						default:
							return false
						}
					}
				})
				eventually(t, patience, "its server is at rest", func() bool { return backends(t, super, "state <> 'idle'") == 0 })
				if got := value(t, super, "SELECT count(*)::text FROM timed"); got != "0" {
					t.Errorf("%s rows were committed", got)
				}
			})
		}
	}
}

// Row 12: defaults that change while servers run are everybody's at once.
func TestEverySessionFollowsADefaultThatChanges(t *testing.T) {
	t.Parallel()
	pg := ownPostgres(t, versions[0])
	for _, mode := range allModes {
		t.Run(mode, func(t *testing.T) {
			p := start(t, pg, options{pool: settings{"pool_mode": mode}, databases: map[string]settings{"app": {"pool_size": "3"}}})
			a := p.called(t, "app", "")
			b := p.called(t, "app", "timezone=UTC")
			a.says(t, "query create table if not exists t (n int)")
			b.says(t, "query show timezone")
			pg.set(t, "default_transaction_read_only", "on", "timezone", "Asia/Tokyo")
			defer pg.set(t, "default_transaction_read_only", "off", "timezone", "UTC")
			eventually(t, patience, "the server reads its configuration", func() bool {
				return strings.Contains(inWords(a.says(t, "query show default_transaction_read_only")), `"on"`)
			})
			var c *caller
			eventually(t, patience, "a new client is greeted with what is in force", func() bool {
				c = p.called(t, "app", "")
				return strings.Contains(c.greeting, "TimeZone=Asia/Tokyo")
			})
			for range 3 {
				for name, want := range map[*caller]string{a: "Asia/Tokyo", b: "UTC", c: "Asia/Tokyo"} {
					if got := inWords(name.says(t, "query insert into t values (1)")); !strings.Contains(got, "25006") {
						t.Errorf("an insert is answered %s", got)
					}
					if got := inWords(name.says(t, "query show timezone")); !strings.Contains(got, `row "`+want+`"`) {
						t.Errorf("the time zone is %s, want %s", got, want)
					}
				}
			}
		})
	}
}

// Row 20: one client's statements are nobody else's burden.
func TestStatementsOfOneClientLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, versions[0])
	p := start(t, pg, options{pool: settings{"prepared_statements_memory": "8MiB"}, databases: map[string]settings{"app": {"pool_size": "2"}, "other": {"pool_size": "2"}}})
	greedy, other := p.called(t, "app", ""), p.called(t, "other", "")
	beside := p.called(t, "app", "")
	for i := range 16 { // as long as it is taken
		greedy.says(t, fmt.Sprintf("parse big%d: select length('{x*1030000}'), %d ;; sync", i, i))
	}
	check := func(when string) {
		t.Helper()
		for i, c := range []*caller{other, beside, p.called(t, "app", "")} {
			if got := inWords(c.says(t, fmt.Sprintf("parse s: select 'fine', '{x*100000}', '%d %s' ;; sync ;; bind =s ;; execute ;; sync ;; close =s ;; sync", i, when))); !strings.Contains(got, `"fine"`) {
				t.Errorf("%s the greedy client, client %d is answered %.300s", when, i, got)
			}
		}
	}
	check("beside")
	greedy.vanish(false)
	check("behind")
}

// Row 21: what is not complete yet is bounded too, and large texts do not stop
// others.
func TestTextsThatAreNotCompleteTakeLittleMemory(t *testing.T) {
	pg := sharedPostgres(t, versions[0])
	p := start(t, pg, options{binary: plainBinary, pool: settings{"prepared_statements_memory": "64MiB"}})
	const size = 60 << 20
	chunk := bytes.Repeat([]byte{'x'}, 1<<20)
	var taken, writing atomic.Int64
	for range 4 {
		c := p.called(t, "app", "")
		writing.Add(1)
		go func() { // as far as it is taken
			defer writing.Add(-1)
			c.hijacked.Conn.Write(heads('P', size))
			c.hijacked.Conn.Write([]byte("unfinished\x00select length('"))
			for range size/len(chunk) - 1 {
				n, _ := c.hijacked.Conn.Write(chunk)
				taken.Add(int64(n))
			}
		}()
	}
	other := p.called(t, "app", "")
	eventually(t, patience, "all is written", func() bool {
		other.says(t, "run select 'alive' ;; sync")
		return writing.Load() == 0
	})
	t.Logf("%d MiB were taken, by up to %d MiB of memory", taken.Load()>>20, p.peakMemory()>>20)
	if peak := p.peakMemory(); peak > 128<<20 {
		t.Errorf("four texts of 60 MiB that are not complete took %d MiB", peak>>20)
	}
}

func TestALargeTextDoesNotStopOthers(t *testing.T) {
	pg := sharedPostgres(t, versions[0])
	p := start(t, pg, options{binary: plainBinary, databases: map[string]settings{"app": {"pool_size": "3"}}})
	large, other := p.called(t, "app", ""), p.called(t, "app", "")
	other.says(t, "query select 1")
	const size = 150 << 20
	chunk := bytes.Repeat([]byte{'x'}, 1<<20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		text := "large\x00select length('" // a Parse in pieces
		large.hijacked.Conn.Write(append(heads('P', len(text)+size+len("')\x00\x00\x00")), text...))
		for range size / len(chunk) {
			large.hijacked.Conn.Write(chunk)
		}
		large.hijacked.Conn.Write(append([]byte("')\x00\x00\x00"), newTurn("l", "bind =large ;; execute ;; sync").wire...))
		for m := range large.heard {
			if strings.HasPrefix(m, "ready") {
				return
			}
		}
	}()
	var longest time.Duration
	for waiting := true; waiting; {
		began := time.Now()
		other.says(t, "query select 1")
		longest = max(longest, time.Since(began))
		select {
		case <-done:
			waiting = false
		case <-time.After(time.Millisecond):
		}
	}
	t.Logf("another client waited for at most %v", longest)
	if longest > 400*time.Millisecond {
		t.Errorf("another client waited for %v", longest)
	}
}

// Row 21: names count as texts do.
func TestManyLongNamesTakeLittleMemory(t *testing.T) {
	pg := sharedPostgres(t, versions[0])
	p := start(t, pg, options{binary: plainBinary, pool: settings{"prepared_statements_memory": "16MiB"}})
	other := p.called(t, "app", "")
	before := p.peakMemory()
	for range 4 {
		p.called(t, "app", "").says(t, "10000 times parse n{i}{x*1000}: select 1 ;; sync")
	}
	other.says(t, "run select 'alive' ;; sync")
	if grown := p.peakMemory() - before; grown > 32<<20 {
		t.Errorf("40,000 names of 1 KiB took %d MiB", grown>>20)
	}
}

// Row 23: what a view or a function does is not seen in a text, and asked for
// where session_state is strict.
func TestStrictSessionStateSeesWhatFunctionsDo(t *testing.T) {
	t.Parallel()
	for option, pool := range map[string]settings{
		"strict": {"session_state": "strict"}, "always": {"server_reset_query_always": "true"},
	} {
		t.Run(option, func(t *testing.T) {
			onEachVersion(t, func(t *testing.T, pg *postgres) {
				j := newJudge(t, pg, option)
				p := start(t, pg, options{pool: pool, databases: map[string]settings{"app": {"dbname": j.pooled.name, "pool_size": "1"}}})
				own := `
					a  query select n from t; show search_path
					   => row "other"
				`
				sets := "select sets_path()"
				if option == "always" { // what was not seen is lost then
					own, sets = "", "select * from sets"
				}
				steps := parseDialogue(`
					super create view sets as select set_config('search_path', 'other', false) as s; grant select on sets to app
					super create function sets_path() returns text language sql as $$ select set_config('search_path', 'other', false) $$
					super create function raise_level() returns text language sql security definer set search_path = pg_catalog as $$ select set_config('log_statement_stats', 'on', false) $$
					super create function leaves() returns void language plpgsql as $$ begin create temp table left_behind (n int); execute 'listen trap'; perform pg_advisory_lock(1); end $$
					super create schema other; create table other.t as select 'other' as n; create table t as select 'public' as n; grant usage on schema other to app; grant select on t, other.t to app
					a  query ` + sets + `
					b  query select n from t; show search_path
					   => row "public"
				` + own + `
					a  query reset search_path
					c  query select raise_level()
					c  leave
					b  query show log_statement_stats
					   => row "off"
					c  join
					c  run select leaves() ;; sync
					c  query discard all
					b  query select to_regclass('left_behind'), (select count(*) from pg_listening_channels())
					   => row null "0"
				`).ended()
				j.through(p, "app", answerLimit).judges(t, steps, j.hears(t, steps))
			})
		})
	}
}

// Row 26: who ends a console by an error gives its place back.
func TestAConsoleThatEndsBadlyGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	endings := map[string][]byte{
		"a message that is too long":            heads('P', 1<<20),
		"a message of a length that can't be":   {'P', 0, 0, 0, 1},
		"a message of a negative length":        {'P', 0xff, 0xff, 0xff, 0xff},
		"a message of no kind":                  heads('~', 0),
		"a query that is too long":              heads('Q', 1<<20),
		"a CopyData that is too long":           heads('d', 1<<20),
		"a Parse without the end of its fields": append(heads('P', 3), "abc"...),
	}
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
			for i := range 40 {
				c := p.called(t, "pgseal", "")
				c.hijacked.Conn.Write(newTurn("c", "parse : selekt ;; bind =nothing ;; execute").wire)
				c.hijacked.Conn.Write(append(ending, bytes.Repeat([]byte{'x'}, 70<<10)...))
				if i%2 == 0 { // it has been read, else it may not have been
					receive(t, c.heard, "pgseal's answer")
				}
				c.vanish(i%3 == 0)
			}
			eventually(t, patience, "the console can be used", func() bool {
				conn, err := p.tryPgx(soon(t), "pgseal", "")
				if err != nil {
					return false
				}
				defer conn.Close(soon(t))
				_, err = conn.Exec(soon(t), "SHOW VERSION")
				return err == nil
			})
		})
	}
}
