package randomsession

import "fmt"

// parsable is a text for Parse with arguments for its parameters.
func (g *generator) parsable() (string, []string) {
	switch g.r.IntN(16) {
	case 0, 1:
		return "INSERT INTO " + g.own + " VALUES ($1)" + pick(g.r, "", " RETURNING a"), []string{pick(g.r, "1", "2", "2", "x", null)}
	case 2:
		return "SELECT $1", []string{"v"}
	case 3:
		return g.texts(), nil
	}
	return g.text(), nil
}

// texts is what a Query may hold.
func (g *generator) texts() string {
	switch g.r.IntN(12) {
	case 0:
		return pick(g.r, "", ";", " ")
	case 1, 2:
		return g.text() + "; " + g.text()
	case 3:
		return g.text() + "; " + g.text() + ";" + g.text()
	}
	return g.text()
}

// text is one statement.
func (g *generator) text() string {
	switch n := g.r.IntN(100); {
	case n < 22:
		return g.transaction()
	case n < 26:
		return pick(g.r, "SELECT 1/0", "SELEC 1", "SELECT a FROM nowhere", "SHOW nothing.at_all",
			"SELECT 1/(2-g) FROM generate_series(1,4) g", "SET ROLE nobody", "SELECT current_setting('nothing.at_all')")
	case n < 43:
		return pick(g.r, "SELECT 1", "SELECT 1, 'x'", "SELECT", "SELECT g FROM generate_series(1,5) g", "SELECT a FROM "+g.own,
			"SELECT count(*) FROM "+g.own, "SELECT extract(epoch from timestamptz '2021-01-01 00:00')", "SELECT current_user")
	case n < 52:
		return fmt.Sprintf("INSERT INTO %s VALUES (%s)%s", g.own, pick(g.r, "1", "2", "'3'", "'x'"), pick(g.r, "", "", " RETURNING a"))
	case n < 68:
		return g.setting()
	case n < 80:
		return g.held()
	case n < 88:
		return g.prepared()
	case n < 94:
		return g.cursor()
	case n < 96:
		return "COPY " + g.own + " TO STDOUT"
	}
	return fmt.Sprintf(pick(g.r, "ALTER TABLE %s ALTER a TYPE float4", "ALTER TABLE %s ALTER a TYPE int4", "DROP TABLE %s",
		"CREATE TABLE %s (a int4)", "TRUNCATE %s"), g.own)
}

// transaction is a command that begins or ends one, or a part of it.
func (g *generator) transaction() string {
	switch n := g.r.IntN(20); {
	case n < 8 && !g.open || n < 1:
		g.open = true
		return pick(g.r, "BEGIN", "BEGIN", "START TRANSACTION")
	case n < 9 && !g.open:
		return g.end()
	case n < 14 && g.open:
		return pick(g.r, "SAVEPOINT a", "SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO a", "ROLLBACK TO b", "RELEASE a", "RELEASE b")
	case n < 15:
		return pick(g.r, "SAVEPOINT a", "ROLLBACK TO a", "RELEASE b", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN")
	case g.open:
		return g.end()
	}
	return "SELECT 1"
}

func (g *generator) setting() string {
	set := pick(g.r, "SET ", "SET ", "SET LOCAL ")
	switch g.r.IntN(8) {
	case 0, 1:
		return set + pick(g.r, "work_mem = '1MB'", "work_mem TO 2048", "work_mem TO DEFAULT", "work_mem = 1", "app.tenant = 'x'", "app.tenant TO y",
			"search_path TO public", "search_path TO ''", `search_path TO "$user", public`, "search_path TO DEFAULT", "search_path TO DEFAULT", "statement_timeout = '90s'", "client_encoding TO latin1", "client_encoding TO DEFAULT")
	case 2, 3:
		return set + pick(g.r, "TimeZone = 'UTC'", "TimeZone TO 'europe/berlin'", "TimeZone = 'Asia/Tokyo'", "TimeZone = 'Nowhere'", "DateStyle = 'German'", "DateStyle TO ISO, DMY",
			"DateStyle TO DEFAULT", "application_name = 'app1'", "application_name TO 'app2'", "IntervalStyle = 'iso_8601'", "IntervalStyle TO DEFAULT")
	case 4:
		return pick(g.r, "RESET TimeZone", "RESET work_mem", "RESET app.tenant", "RESET ALL", "RESET ROLE", "RESET search_path", "RESET application_name")
	case 5:
		return "SELECT " + pick(g.r, "set_config('work_mem', '3MB', false)", "set_config('TimeZone', 'America/New_York', true)", "set_config('app.tenant', 'z', true)",
			"set_config('app.tenant', '', false), set_config('application_name', 'app3', false)", "set_config('work_mem', 'much', false)")
	case 6:
		return pick(g.r, "SHOW work_mem", "SHOW TimeZone", "SHOW app.tenant", "SHOW datestyle", "SHOW search_path", "SHOW role",
			"SELECT current_setting('work_mem'), current_setting('app.tenant', true)", "SELECT current_setting('TimeZone')")
	}
	if g.chance(40) {
		return pick(g.r, "SET SESSION AUTHORIZATION a", "SET LOCAL SESSION AUTHORIZATION b", "SET SESSION AUTHORIZATION DEFAULT", "SET SESSION AUTHORIZATION nobody",
			"RESET SESSION AUTHORIZATION", "SHOW session_authorization")
	}
	return pick(g.r, "SET ROLE a", "SET ROLE b", "SET LOCAL ROLE a", "SET ROLE none", "SELECT current_user, current_setting('role')")
}

func (g *generator) held() string {
	n := g.lock + g.r.IntN(2)
	switch g.r.IntN(4) {
	case 0:
		return fmt.Sprintf(pick(g.r, "SELECT pg_advisory_lock(%d)", "SELECT pg_advisory_unlock(%d)", "SELECT pg_advisory_xact_lock(%d)"), n)
	case 1:
		return fmt.Sprintf(pick(g.r, "LISTEN %s", "UNLISTEN %s", "NOTIFY %s", "NOTIFY %s, 'x'", "SELECT pg_notify('%s', 'y')"), g.own)
	case 2:
		return pick(g.r, "CREATE TEMP TABLE tt (a int4)", "CREATE TEMP TABLE tt (a int4) ON COMMIT DROP", "DROP TABLE tt", "DROP TABLE IF EXISTS tt",
			"INSERT INTO tt VALUES (7)", "SELECT a FROM tt", "SELECT count(*) FROM tt")
	}
	return pick(g.r, "UNLISTEN *", "DISCARD ALL", "DISCARD ALL", "DISCARD PLANS", "DISCARD TEMP", "DISCARD SEQUENCES", "SELECT pg_advisory_unlock_all()", "DO $$ BEGIN EXECUTE 'deallocate all'; END $$",
		"DO $$ BEGIN EXECUTE 'set work_mem = 512'; END $$")
}

func (g *generator) prepared() string {
	name := pick(g.r, "s1", "s2")
	switch g.r.IntN(5) {
	case 0, 1:
		return "PREPARE " + name + " AS " + pick(g.r, "SELECT 1", "SELECT a FROM "+g.own, "INSERT INTO "+g.own+" VALUES ($1)", "SELECT 1/0",
			"SELECT extract(epoch from timestamptz '2021-01-01 00:00')", "SELECT a FROM nowhere")
	case 2, 3:
		return "EXECUTE " + name + pick(g.r, "", "", "(4)", "('x')")
	}
	return "DEALLOCATE " + pick(g.r, "s1", "s2", "ALL")
}

func (g *generator) cursor() string {
	switch g.r.IntN(5) {
	case 0, 1:
		return "DECLARE c CURSOR " + pick(g.r, "", "WITH HOLD ", "WITH HOLD ") + "FOR " + pick(g.r, "SELECT g FROM generate_series(1,5) g", "SELECT 1", "SELECT a FROM "+g.own)
	case 2:
		return "CLOSE " + pick(g.r, "c", "c", "p1", "ALL")
	}
	return "FETCH " + pick(g.r, "", "2 ", "ALL ") + "FROM " + pick(g.r, "c", "c", "c", "p1")
}
