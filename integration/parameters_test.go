package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// guises are clients that differ in all startup parameters. Each is a part of
// a DSN, and what the session then has to show.
var guises = []struct {
	more string
	want map[string]string
}{
	{"", map[string]string{
		"client_encoding": "UTF8", "DateStyle": "ISO, MDY", "TimeZone": "UTC", "search_path": `"$user", public`,
		"statement_timeout": "0", "application_name": "", "IntervalStyle": "postgres", "work_mem": "4MB",
	}},
	{"application_name=orders client_encoding=LATIN1 DateStyle='German, DMY' TimeZone=Asia/Tokyo options='-c search_path=orders,public -c statement_timeout=7s'", map[string]string{
		"client_encoding": "LATIN1", "DateStyle": "German, DMY", "TimeZone": "Asia/Tokyo", "search_path": "orders,public",
		"statement_timeout": "7s", "application_name": "orders", "IntervalStyle": "postgres", "work_mem": "4MB",
	}},
	{"application_name='stock \\'s' DateStyle=SQL TimeZone=America/New_York IntervalStyle=iso_8601 search_path='stock, \"Ünsal\"' options='--work-mem=8MB'", map[string]string{
		"client_encoding": "UTF8", "DateStyle": "SQL, MDY", "TimeZone": "America/New_York", "search_path": `stock, "Ünsal"`,
		"statement_timeout": "0", "application_name": "stock 's", "IntervalStyle": "iso_8601", "work_mem": "8MB",
	}},
	{"client_encoding=WIN1252 statement_timeout=90s search_path='\"a b\"'", map[string]string{
		"client_encoding": "WIN1252", "DateStyle": "ISO, MDY", "TimeZone": "UTC", "search_path": `"a b"`,
		"statement_timeout": "90s", "application_name": "", "IntervalStyle": "postgres", "work_mem": "4MB",
	}},
}

func TestEachClientKeepsItsStartupParametersInTransactionMode(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		const rounds = 60
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "2"}}})
		var clients sync.WaitGroup
		for i, g := range guises {
			for range 2 {
				clients.Go(func() {
					servers, err := holds(soon(t), p, g.more, g.want, rounds)
					if err != nil {
						t.Errorf("guise %d: %v", i, err)
					}
					if len(servers) < 2 {
						t.Logf("guise %d never changed servers", i)
					}
				})
			}
		}
		clients.Wait()
	})
}

// holds looks at the parameters of one client many times, and returns which
// servers it was given.
func holds(ctx context.Context, p *pgseal, more string, want map[string]string, rounds int) (servers map[int]bool, err error) {
	conn, err := p.tryPgx(ctx, "app", simpleMode+" "+more)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	for _, name := range []string{"client_encoding", "DateStyle", "TimeZone", "application_name", "IntervalStyle"} {
		if got := conn.PgConn().ParameterStatus(name); got != want[name] {
			return nil, fmt.Errorf("was told that %s is %q, want %q", name, got, want[name])
		}
	}
	var list []string
	for name := range want {
		list = append(list, name)
	}
	sql := "SELECT current_setting('" + strings.Join(list, "'), current_setting('") + "'), pg_backend_pid()::text"
	servers = map[int]bool{}
	for range rounds {
		// The encoding differs from client to client, so the text is taken as
		// it is.
		r, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		if err != nil {
			return nil, err
		}
		row := r[0].Rows[0]
		for i, name := range list {
			if got := string(row[i]); got != inEncoding(want[name], want["client_encoding"]) {
				return nil, fmt.Errorf("%s is %q, want %q", name, got, want[name])
			}
		}
		var pid int
		fmt.Sscan(string(row[len(list)]), &pid)
		servers[pid] = true
	}
	return servers, nil
}

// inEncoding returns s as the server sends it. All single-byte encodings here
// agree with Unicode's first 256 characters where it matters.
func inEncoding(s, encoding string) string {
	if encoding == "UTF8" {
		return s
	}
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func TestPsqlGetsTheOptionsOfItsEnvironment(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}}})
		env := []string{"PGOPTIONS=-c search_path=orders,public -c statement_timeout=300ms", "PGTZ=Asia/Tokyo", "PGDATESTYLE=German", "PGCLIENTENCODING=LATIN1", "PGAPPNAME=orders"}
		const ask = "SELECT concat_ws('|', current_setting('search_path'), current_setting('statement_timeout'), current_setting('TimeZone'), current_setting('DateStyle'), current_setting('client_encoding'), current_setting('application_name'))"
		for range 3 {
			r := p.psql(t, "app", env, "-c", ask)
			if want := "orders,public|300ms|Asia/Tokyo|German, DMY|LATIN1|orders"; strings.TrimSpace(r.stdout) != want {
				t.Errorf("got %q, want %q (%s)", r.stdout, want, r.stderr)
			}
			if got, want := p.ask(t, "app", ask), `"$user", public|0|UTC|ISO, MDY|UTF8|psql`; got != want {
				t.Errorf("the next client gets %q, want %q", got, want)
			}
		}
	})
}

func TestAStatementTimeoutHoldsForItsClientAlone(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}}})
		hasty, patient := p.pgx(t, "app", execMode+" statement_timeout=200ms"), p.pgx(t, "app", execMode)
		for range 2 {
			_, err := hasty.Exec(soon(t), "SELECT pg_sleep(30)")
			if e := wantState(t, err, "57014"); e.Message != "canceling statement due to statement timeout" {
				t.Errorf("got %q", e.Message)
			}
			began := time.Now()
			execute(t, patient, "SELECT pg_sleep(0.4)")
			if took := time.Since(began); took < 400*time.Millisecond {
				t.Errorf("the patient client waited %v", took)
			}
		}
	})
}

func TestTheServerRefusesAnInvalidStartupParameterInItsOwnWords(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{})
		for _, warm := range []string{"first client", "later client"} {
			for _, test := range []struct{ more, state string }{
				{"TimeZone=Nowhere/Atoll", "22023"},
				{"DateStyle=Swahili", "22023"},
				{"client_encoding=KLINGON", "22023"},
				{"statement_timeout=soon", "22023"},
				{"no_such_parameter=1", "42704"},
				{"options='-c work_mem=much'", "22023"},
				{"options='-c shared_buffers=1GB'", "55P02"},
			} {
				own, err := pgx.Connect(soon(t), pg.dsn("app")+" "+test.more)
				if err == nil {
					own.Close(soon(t))
				}
				want := wantState(t, err, test.state)
				got := refused(t, p, "app", test.more, test.state)
				if got.Message != want.Message {
					t.Errorf("%s, %s: got %q, PostgreSQL says %q", warm, test.more, got.Message, want.Message)
				}
			}
			if got := p.ask(t, "app", "SELECT 'alive'"); got != "alive" {
				t.Errorf("got %q", got)
			}
		}
	})
}
