package integration

import (
	"os/exec"
	"strings"
	"testing"
)

func TestPgAdminsStatementsWhenItConnectsAreAnswered(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	for _, database := range []string{"pgseal", "pgbouncer"} {
		out, err := exec.Command(python, "-B", "drivers/psycopg3/pgadmin.py", p.dsn(database, "")).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "PostgreSQL 15.0 (pgseal ") {
			t.Errorf("%s: %v\n%s", database, err, out)
		}
	}
}

func TestPsqlListsWhatTheConsoleHasNot(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
	for _, command := range []string{`\l`, `\d`, `\dt`, `\du`, `\dn`, `\df`, `\conninfo`, `\encoding UTF8`} {
		r := p.psql(t, "pgseal", nil, "-c", command)
		if r.status != 0 || strings.Contains(r.stderr, "ERROR") || strings.Contains(r.stderr, "invalid") {
			t.Errorf("%s ends with %d: %s", command, r.status, r.stderr)
		}
	}
}
