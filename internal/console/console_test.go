package console

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// example returns a statement that uses the command.
func example(c Command) string {
	if c.Name == "SET" {
		return "SET query_timeout = 5"
	}
	if c.Args != "" && !strings.HasPrefix(c.Args, "[") {
		return c.Name + " 7"
	}
	return c.Name
}

func TestEachCommandIsForTheRolesThatTheTableNames(t *testing.T) {
	admin, stats, nobody := sit(t, "admin"), sit(t, "stats"), sit(t, "stranger")
	if len(commands) < 30 {
		t.Fatalf("there are only %d commands", len(commands))
	}
	shows := 0
	for _, c := range commands {
		sql := example(c)
		if r := admin.ask(sql); len(r.errors) > 0 || len(r.tags) != 1 {
			t.Errorf("%s: an administrator gets %v", sql, r.errors)
		}
		r := stats.ask(sql)
		if c.Admin != (r.code() == wire.CodeInsufficientPrivilege) {
			t.Errorf("%s: a user of statistics gets %v, tags %v", sql, r.errors, r.tags)
		}
		if r := nobody.ask(sql); r.code() != wire.CodeInsufficientPrivilege {
			t.Errorf("%s: a stranger gets %v, tags %v", sql, r.errors, r.tags)
		}
		if strings.HasPrefix(c.Name, "SHOW") {
			shows++
		} else if !c.Admin {
			t.Errorf("%s does something and is not for administrators only", c.Name)
		}
	}
	if len(stats.done)+len(nobody.done) > 0 {
		t.Errorf("who may only look has done %v and %v", stats.done, nobody.done)
	}
	if want := len(commands) - shows; len(admin.done) < want {
		t.Errorf("an administrator has done %v, want %d things", admin.done, want)
	}
}

func TestSHOWCLIENTSDescribesTLSAsPgBouncerDoes(t *testing.T) {
	d := sit(t, "stats")
	r := d.ask("SHOW CLIENTS")
	at := slices.Index(r.names, "tls")
	if len(r.rows) != 2 || r.rows[0][at] != "TLSv1.3/TLS_AES_128_GCM_SHA256/ECDH=X25519" || r.rows[1][at] != "" {
		t.Errorf("%v", r.rows)
	}
}

func TestAnEmptyNameDoesNotStandForAllDatabases(t *testing.T) {
	admin := sit(t, "admin")
	for _, command := range []string{"DISABLE", "ENABLE", "KILL", "PAUSE", "RESUME", "RECONNECT", "WAIT_CLOSE"} {
		for _, name := range []string{"''", `""`} {
			if r := admin.ask(command + " " + name); r.code() != wire.CodeSyntaxError {
				t.Errorf("%s %s: %v, tags %v", command, name, r.errors, r.tags)
			}
		}
	}
	if len(admin.done) > 0 {
		t.Errorf("done was %v", admin.done)
	}
}

func TestEachAnswerHasAValueForEachColumn(t *testing.T) {
	admin := sit(t, "admin")
	for _, c := range commands {
		if c.Columns == nil {
			continue
		}
		r := admin.ask(c.Name)
		if len(r.names) != len(c.Columns) {
			t.Errorf("%s is described by %v", c.Name, r.names)
		}
		for _, row := range r.rows {
			if len(row) != len(c.Columns) {
				t.Errorf("%s: a row has %d values of %d", c.Name, len(row), len(c.Columns))
			}
		}
		if len(r.rows) == 0 && !strings.Contains(c.Summary, "no rows") {
			t.Errorf("%s shows nothing", c.Name)
		}
		if r.tags[0] != "SHOW" {
			t.Errorf("%s ends with %q", c.Name, r.tags[0])
		}
	}
}

func TestCommandsDoWhatTheySay(t *testing.T) {
	d := sit(t, "admin")
	for sql, want := range map[string]struct{ done, tag string }{
		"pause":                      {`pause ""`, "PAUSE"},
		"PAUSE App;":                 {`pause "App"`, "PAUSE"},
		`PAUSE "my ""db"""`:          {`pause "my \"db\""`, "PAUSE"},
		"PAUSE 'app' -- now":         {`pause "app"`, "PAUSE"},
		"RESUME my-db.x":             {`resume "my-db.x"`, "RESUME"},
		"DISABLE app":                {`enable "app" false`, "DISABLE"},
		"ENABLE app":                 {`enable "app" true`, "ENABLE"},
		"RECONNECT":                  {`reconnect ""`, "RECONNECT"},
		"WAIT_CLOSE app":             {`wait close "app"`, "WAIT_CLOSE"},
		"KILL_CLIENT 7":              {"kill 7", "KILL_CLIENT"},
		"RELOAD":                     {"reload", "RELOAD"},
		"SHUTDOWN":                   {"shutdown 0", "SHUTDOWN"},
		"SHUTDOWN wait_for_servers":  {"shutdown 1", "SHUTDOWN"},
		"SHUTDOWN WAIT_FOR_CLIENTS;": {"shutdown 2", "SHUTDOWN"},
		"set Query_Timeout to '5s'":  {"set query_timeout=5s", "SET"},
		"SET pool_mode=session":      {"set pool_mode=session", "SET"},
	} {
		d.done = nil
		r := d.ask(sql)
		if len(r.errors) > 0 || !slices.Equal(d.done, []string{want.done}) || !slices.Equal(r.tags, []string{want.tag}) {
			t.Errorf("%s: done %v, tags %v, errors %v", sql, d.done, r.tags, r.errors)
		}
	}
}

func TestWhatIsNoCommandIsAnErrorWithAHint(t *testing.T) {
	d := sit(t, "admin")
	for sql, want := range map[string]string{
		"NONSENSE": wire.CodeSyntaxError, "SHOW": wire.CodeSyntaxError, "SHOW NONSENSE": wire.CodeSyntaxError,
		"DISABLE": wire.CodeSyntaxError, "PAUSE a b": wire.CodeSyntaxError, "PAUSE (": wire.CodeSyntaxError, "RELOAD now": wire.CodeSyntaxError,
		"SHUTDOWN LATER": wire.CodeSyntaxError, "SET": wire.CodeSyntaxError, "SET x": wire.CodeSyntaxError, "SET x = ": wire.CodeSyntaxError,
		"PAUSE 'open": wire.CodeSyntaxError, "/* open": wire.CodeSyntaxError, "KILL_CLIENT x": wire.CodeInvalidParameter,
		"KILL_CLIENT -1": wire.CodeInvalidParameter, "KILL_CLIENT 8": wire.CodeUndefinedObject, "PAUSE pgbouncer": wire.CodeInvalidParameter,
		"SELECT * FROM accounts": wire.CodeUndefinedTable, "SELECT 1 + 1": wire.CodeFeatureNotSupported, "SET client_encoding = LATIN1": wire.CodeInvalidParameter,
	} {
		r := d.ask(sql)
		if r.code() != want || r.status != "I" || r.errors[0].Severity != "ERROR" {
			t.Errorf("%s: %v, want %s", sql, r.errors, want)
		}
		if want == wire.CodeSyntaxError && !strings.Contains(r.errors[0].Hint+r.errors[0].Message, "SHOW HELP") {
			t.Errorf("%s: the hint is %q", sql, r.errors[0].Hint)
		}
	}
	if slices.ContainsFunc(d.done, func(s string) bool { return !strings.HasPrefix(s, "kill") }) {
		t.Errorf("errors have done %v", d.done)
	}
}

func TestAnErrorEndsAQueryOfSeveralStatements(t *testing.T) {
	d := sit(t, "admin")
	r := d.ask("SHOW VERSION; NONSENSE; RELOAD")
	if !slices.Equal(r.tags, []string{"SHOW"}) || r.code() != wire.CodeSyntaxError || len(d.done) > 0 {
		t.Errorf("tags %v, errors %v, done %v", r.tags, r.errors, d.done)
	}
	if r := d.ask(" ;; -- nothing"); r.types != "IZ" {
		t.Errorf("an empty query is answered by %s", r.types)
	}
}

func TestReloadSaysWhatWasRefused(t *testing.T) {
	d := sit(t, "admin")
	d.faulty = errors.New("config.yaml:7: pool.pool_mode: is wrong")
	if r := d.ask("RELOAD"); r.code() != wire.CodeConfigFile || !strings.Contains(r.errors[0].Message, "config.yaml:7") {
		t.Errorf("RELOAD says %v", r.errors)
	}
}

func TestWhatDriversSayIsAnswered(t *testing.T) {
	d := sit(t, "stats")
	for sql, want := range map[string]string{
		"SELECT version()":                                       "PostgreSQL 15.0 (pgseal 1.2.3, console)",
		"select 1":                                               "1",
		"SELECT 'a' AS b":                                        "a",
		"SELECT pg_catalog.pg_is_in_recovery()":                  "f",
		"SELECT current_user, current_database()":                "stats|pgseal",
		"SELECT pg_backend_pid()":                                "42",
		"SELECT current_setting('server_version_num')::int":      "150000",
		"SELECT pg_catalog.set_config('search_path', '', false)": "",
		"SHOW server_version":                                    "15.0",
		"SHOW TRANSACTION ISOLATION LEVEL":                       "read committed",
		"SHOW TimeZone":                                          "GMT",
	} {
		r := d.ask(sql)
		if len(r.errors) > 0 || len(r.rows) != 1 || strings.Join(r.rows[0], "|") != want {
			t.Errorf("%s: %v %v, want %q", sql, r.rows, r.errors, want)
		}
	}
	for _, sql := range []string{
		"SET extra_float_digits = 3", "SET DateStyle=ISO", "SET client_min_messages=notice", "SET client_encoding='utf-8'", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
		"SELECT n.nspname as \"Schema\", c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','') ORDER BY 1,2",
		"SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'",
		"DISCARD ALL", "DEALLOCATE x", "RESET ALL", "UNLISTEN *",
	} {
		if r := d.ask(sql); len(r.errors) > 0 || len(r.rows) > 0 || len(r.tags) != 1 {
			t.Errorf("%s: %v", sql, r.errors)
		}
	}
	if r := d.ask("SELECT n.nspname as \"Schema\", c.relname, count(*) FROM pg_class c"); !slices.Equal(r.names, []string{"Schema", "relname", "count"}) {
		t.Errorf("the columns are %v", r.names)
	}
}

func TestTransactionsHaveTheStatusThatDriversExpect(t *testing.T) {
	d := sit(t, "admin")
	for _, step := range []struct{ sql, tag, status, code string }{
		{"BEGIN", "BEGIN", "T", ""}, {"SHOW VERSION", "SHOW", "T", ""}, {"NONSENSE", "", "E", wire.CodeSyntaxError},
		{"SHOW VERSION", "", "E", wire.CodeAbortedTransaction}, {"COMMIT", "ROLLBACK", "I", ""},
		{"START TRANSACTION READ ONLY", "START TRANSACTION", "T", ""}, {"SAVEPOINT a", "SAVEPOINT", "T", ""}, {"NONSENSE", "", "E", wire.CodeSyntaxError},
		{"ROLLBACK TO SAVEPOINT a", "ROLLBACK", "T", ""}, {"END", "COMMIT", "I", ""}, {"ROLLBACK", "ROLLBACK", "I", ""},
	} {
		r := d.ask(step.sql)
		if strings.Join(r.tags, "") != step.tag || r.status != step.status || r.code() != step.code {
			t.Errorf("%s: tags %v, status %s, errors %v", step.sql, r.tags, r.status, r.errors)
		}
	}
}

func TestACancelRequestEndsACommandThatWaits(t *testing.T) {
	d := sit(t, "admin")
	d.blocks = make(chan struct{})
	d.canceled <- struct{}{} // for something that is over: it ends nothing
	if r := d.ask("SHOW VERSION"); len(r.rows) != 1 {
		t.Errorf("SHOW VERSION: %v", r.errors)
	}
	d.send(wire.Query, "PAUSE\x00")
	<-d.blocks
	d.canceled <- struct{}{}
	if r := d.hear(); r.code() != wire.CodeQueryCanceled {
		t.Fatalf("the canceled PAUSE ends with %v, tags %v", r.errors, r.tags)
	}
}

func TestAClientThatLeavesEndsWhatItWaitsFor(t *testing.T) {
	d := sit(t, "admin")
	d.blocks = make(chan struct{})
	d.send(wire.Query, "PAUSE\x00")
	<-d.blocks
	d.Close()
	<-d.ended
}

func TestAClientThatLeavesIsNoticedBehindTheRestOfItsBatch(t *testing.T) {
	d := sit(t, "admin")
	d.blocks = make(chan struct{})
	d.prepare("", "PAUSE")
	d.bind("", 0)
	d.send(wire.Execute, allRows)
	d.send(wire.Sync, "")
	<-d.blocks
	d.Close()
	<-d.ended
}

func TestAllIsDoneThatAClientSentBeforeItSaidGoodbye(t *testing.T) {
	d := sit(t, "admin")
	d.send(wire.Query, "RELOAD\x00")
	d.send(wire.Query, "RECONNECT app\x00")
	d.send(wire.Terminate, "")
	d.hear()
	d.hear()
	<-d.ended
	if want := []string{"reload", `reconnect "app"`}; !slices.Equal(d.done, want) {
		t.Errorf("done is %v, want %v", d.done, want)
	}
}

func TestSuspendAndPauseExcludeEachOther(t *testing.T) {
	d := sit(t, "admin")
	state := func() (list []string) {
		for _, r := range d.ask("SHOW STATE").rows {
			list = append(list, r[1])
		}
		return list
	}
	d.ask("SUSPEND")
	if got := state(); !slices.Equal(got, []string{"no", "no", "yes"}) {
		t.Errorf("when it is suspended the state is %v", got)
	}
	if r := d.ask("PAUSE"); r.code() != wire.CodeNotInState {
		t.Errorf("PAUSE while suspended: %v", r.errors)
	}
	d.ask("RESUME app")
	d.ask("RESUME")
	if want := []string{"suspend", `resume "app"`, "unsuspend"}; !slices.Equal(d.done, want) {
		t.Errorf("done is %v, want %v", d.done, want)
	}
	if got := state(); !slices.Equal(got, []string{"yes", "no", "no"}) {
		t.Errorf("afterwards the state is %v", got)
	}
	d.paused = true
	if r := d.ask("SUSPEND"); r.code() != wire.CodeNotInState || d.suspended {
		t.Errorf("SUSPEND while paused: %v", r.errors)
	}
}
