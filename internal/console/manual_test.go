package console

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// PGSEAL_TEST_UPDATE=1 writes the manual anew.
func TestTheManualIsWrittenFromTheTableOfCommands(t *testing.T) {
	const path = "../../docs/console.md"
	if os.Getenv("PGSEAL_TEST_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(manual()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != manual() {
		t.Error("docs/console.md is not what the table of commands says: run PGSEAL_TEST_UPDATE=1 go test ./internal/console")
	}
}

// manual returns docs/console.md, which is written from the table of commands.
func manual() string {
	var b strings.Builder
	b.WriteString(manualHead)
	b.WriteString("\n## Commands\n\n| Command | For | What it does |\n| --- | --- | --- |\n")
	for _, c := range commands {
		who := "all"
		if c.Admin {
			who = "`admin.users`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.TrimSpace(c.Name+" "+c.Args), who, c.Summary)
	}
	b.WriteString(manualAnswers)
	for _, c := range commands {
		if c.Columns == nil {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n", c.Name)
		theirs := len(c.Columns) - c.Ours
		writeColumns(&b, "", c.Columns[:theirs])
		lead := "Ours: "
		if theirs == 0 {
			lead = ""
		}
		writeColumns(&b, lead, c.Columns[theirs:])
	}
	return b.String()
}

// writeColumns writes a list of columns with their types, broken into lines.
func writeColumns(b *strings.Builder, lead string, list []Column) {
	if len(list) == 0 {
		return
	}
	const width = 120
	line := lead
	for i, c := range list {
		piece := fmt.Sprintf("`%s` %s", c.Name, c.Type.Name)
		if i < len(list)-1 {
			piece += ","
		}
		if len(line)+1+len(piece) > width {
			b.WriteString(line + "\n")
			line = ""
		}
		if line != "" && !strings.HasSuffix(line, " ") {
			line += " "
		}
		line += piece
	}
	b.WriteString(line + ".\n")
	if lead == "" {
		b.WriteString("\n")
	}
}

const manualHead = `# The console

The console shows and controls a running pgseal. Connect to the database ` + "`pgseal`" + ` with any PostgreSQL client; the name
` + "`pgbouncer`" + ` works too, so that PgBouncer's tools can be used unchanged.

` + "```" + `
$ psql -h pooler.internal -p 6432 -U admin pgseal
pgseal=> SHOW POOLS;
pgseal=> PAUSE app;
` + "```" + `

The roles in ` + "`admin.users`" + ` may use all commands, those in ` + "`admin.stats_users`" + ` only the ones marked "all" below. They log in like
any client, subject to the access rules and with the secrets of the configuration; a role in neither list is refused with SQLSTATE
42501. A reload changes these rights immediately, also for open sessions. Console sessions do not count against
` + "`max_client_conn`" + `, so administrators can connect when the pooler is full.

Both query protocols work, with text and binary results, and several statements in one query. What drivers say by
themselves (` + "`BEGIN`, `SET extra_float_digits`, `SELECT version()`" + `) is answered as PostgreSQL would; PostgreSQL's catalogs are
there and empty. Anything else is a syntax error. A cancel request, such as Ctrl-C in psql, ends a command that waits: a PAUSE
that is cancelled, or whose client leaves, is undone. A session with more than 16 messages behind a command that waits for a
minute ends, since nobody can see whether its client is still there.

Exporters and dashboards made for PgBouncer work unchanged; give them a role in ` + "`admin.stats_users`" + `:

` + "```" + `
$ PGPASSWORD=... PGSSLMODE=verify-full prometheus-pgbouncer-exporter --host 127.0.0.1 \
    --pgbouncer-host pooler.internal --pgbouncer-user watcher
` + "```" + `

pgseal's own [metrics](metrics.md) cover more.

Names, order and types of columns are those of PgBouncer 1.25, followed by pgseal's own columns. The differences:

* ` + "`ptr` and `link`" + ` hold names like ` + "`C7` and `S3`" + ` instead of addresses in memory; the number is ` + "`id`" + `, which log lines have as
  ` + "`client` and `server`" + `.
* ` + "`request_time`" + ` is exact to a second, and tells when a server was lent last.
* The averages of SHOW STATS are of the last one to two minutes, as with PgBouncer's default ` + "`stats_period`" + `; soon after the
  start, of the time since. Counts and bytes are per second, ` + "`avg_xact_time`" + ` per transaction, ` + "`avg_query_time`" + ` per query,
  ` + "`avg_wait_time`" + ` per server that was lent. All times are in microseconds. A query is what ends in a ReadyForQuery.
* The row ` + "`pgbouncer`" + ` of SHOW POOLS, DATABASES and STATS is the console itself.
* ` + "`total_requests`" + ` and ` + "`reserve_pool`" + ` are old names of ` + "`total_query_count`" + ` and ` + "`reserve_pool_size`" + `, for exporters that were
  made for older releases, such as Debian's prometheus-pgbouncer-exporter.
* ` + "`cl_waiting_cancel_req`" + ` is 0: no CancelRequest waits for a server.
* SHOW FDS hands out no descriptors and no secrets.
* SUSPEND lasts until RESUME, also when the session that asked for it has gone. Timeouts such as ` + "`query_timeout`" + ` go on, and
  it cuts nobody off who does not read: cancel it, which undoes it, if it does not return.
* KILL_CLIENT cancels what runs for the client, and its server lives on.
* PAUSE and RESUME without a name concern all databases; RESUME also undoes what was paused by name.
* A database that is paused is not connected to, to see whether it is there, and does not make /readyz say no. Only a login that
  auth_query decides opens a connection for a moment: it may be that of an administrator who wants to RESUME.
* A PAUSE that waits while another session gives RESUME fails, since servers are lent again.
* A SHUTDOWN that follows another one hurries it only where it waits for less.
`

const manualAnswers = `
## Columns

Times are in GMT. A column that ends in ` + "`_us`" + ` holds the microseconds beyond the seconds of the one before it.
`
