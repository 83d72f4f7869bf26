package pgmodel

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
)

// RandomSession makes up what a client writes, one write after the other: some
// hold several messages, some end within one. own is a table with a column a of
// type int4 that is there at the start, a channel, and stands for two advisory
// locks: what sessions would otherwise disturb each other with.
func RandomSession(r *rand.Rand, own string) [][]byte {
	g := &generator{r: r, own: own, lock: int(crc32.ChecksumIEEE([]byte(own))) << 1}
	var writes [][]byte
	for range 4 + r.IntN(16) {
		g.out = nil
		for range 1 + r.IntN(3) {
			g.unit()
		}
		if r.IntN(12) == 0 { // a cut anywhere
			at := r.IntN(len(g.out) + 1)
			writes = append(writes, g.out[:at:at])
			g.out = g.out[at:]
		}
		writes = append(writes, g.out)
	}
	if r.IntN(4) == 0 {
		g.out = nil
		g.leave()
		writes = append(writes, g.out)
	}
	return writes
}

// leave ends a session, properly or by a mistake.
func (g *generator) leave() {
	if g.chance(50) {
		g.unit()
	}
	switch g.r.IntN(8) {
	case 0:
		g.message('y', nil) // no message of the protocol
	case 1:
		g.out = append(g.out, 'Q', 0, 0, 0, 3)
	case 2:
		g.out = append(g.out, 'S', 0, 1, 0, 0)
	case 3:
		g.message('D', []byte("X\x00"))
		g.message('S', nil)
	case 4:
		g.parse("", "COPY "+g.own+" FROM STDIN")
		g.bind("", "")
		g.execute("", 0)
		g.out = append(g.out, 'd', 0, 0, 0, 3)
	}
	g.message('X', nil)
}

type generator struct {
	r    *rand.Rand
	own  string
	lock int
	out  []byte

	open   bool // a transaction, perhaps
	stored []string
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

// unit is something that a client does as a whole.
func (g *generator) unit() {
	if g.open && g.chance(15) { // most sessions would be in a failed one
		g.query(g.end())
		return
	}
	switch n := g.r.IntN(100); {
	case n < 40:
		g.query(g.texts())
	case n < 80:
		g.batch()
	case n < 86:
		g.query("COPY " + g.own + " FROM STDIN" + pick(g.r, "", "", "; "+g.text()))
		g.data()
		if g.chance(30) {
			g.sync()
		}
	case n < 92:
		g.parse("", "COPY "+g.own+" FROM STDIN")
		g.bind("", "")
		g.execute("", 0)
		if g.chance(60) {
			g.sync()
		}
		g.data()
		g.sync()
	case n < 94:
		g.call()
	case n < 96: // what belongs to a COPY that is over
		if g.chance(50) {
			g.message('d', []byte("1\n"))
		}
		g.message(pick(g.r, byte('c'), byte('f')), pick(g.r, []byte{0}, []byte{0}))
	case n < 97:
		g.sync()
	case n < 98:
		g.message('H', nil)
	case n < 99:
		g.changed()
	default:
		g.query("LISTEN " + g.own)
		g.query("NOTIFY " + g.own + pick(g.r, "", ", 'z'"))
	}
}

// changed is a prepared statement whose result changes its type under it.
func (g *generator) changed() {
	g.message('C', []byte("Ss1\x00"))
	g.parse("s1", "SELECT a FROM "+g.own)
	g.sync()
	g.query(pick(g.r, "ALTER TABLE "+g.own+" ALTER a TYPE "+pick(g.r, "float4", "int4", "int8"), "SET TimeZone = 'Asia/Tokyo'"))
	g.describe('S', "s1", 30)
	if g.chance(30) {
		g.query("EXECUTE s1")
	}
	g.bind("", "s1")
	g.execute("", 0)
	g.sync()
}

// end is how a transaction ends.
func (g *generator) end() string {
	g.open = false
	return pick(g.r, "COMMIT", "COMMIT", "END", "ROLLBACK", "ROLLBACK", "ABORT")
}

// data is what follows a COPY FROM STDIN.
func (g *generator) data() {
	if g.chance(4) {
		return // a client that has forgotten
	}
	for range g.r.IntN(4) {
		g.message('d', []byte(pick(g.r, "1\n", "2\n3\n", "4", "\n5\n", "x\n", "\\N\n", "7\n\\.\n", "6\t6\n", "8\n")))
		if g.chance(6) {
			g.message(pick(g.r, byte('H'), byte('S')), nil)
		}
	}
	if g.chance(25) {
		g.message('f', []byte("no\x00"))
	} else {
		g.message('c', nil)
	}
}

// batch is extended protocol up to its Sync, if it has one.
func (g *generator) batch() {
	for range 1 + g.r.IntN(4) {
		switch n := g.r.IntN(20); {
		case n < 8:
			g.whole()
		case n < 11:
			g.prepareOnly()
		case n < 14:
			name := g.statementName()
			portal := g.portalName()
			g.bind(portal, name, g.args()...)
			g.describe('P', portal, 30)
			g.execute(portal, g.limit())
		case n < 15:
			g.again()
		case n < 17:
			g.describe(pick(g.r, byte('S'), byte('P')), pick(g.r, g.statementName(), g.portalName()), 100)
		case n < 19:
			g.close()
		default:
			g.message('H', nil)
		}
	}
	switch n := g.r.IntN(20); {
	case n < 15:
		g.sync()
	case n < 16:
		g.sync()
		g.sync()
	case n < 18:
		g.query(g.texts())
		if g.chance(50) {
			g.sync()
		}
	}
}

// again is an Execute of a portal from before. The unnamed one may be what a
// Query that failed has left in its transaction, and PostgreSQL 15 and 18 crash
// when that is executed: its statements are gone. So it is bound here.
func (g *generator) again() {
	name := g.portalName()
	if name == "" {
		g.bind("", g.statementName())
		g.execute("", g.limit())
	}
	g.execute(name, g.limit())
}

// whole is a statement from Parse to Execute.
func (g *generator) whole() {
	text, args := g.parsable()
	name, portal := "", ""
	if g.chance(30) {
		name = g.nameFor(text)
	}
	if g.chance(20) {
		portal = g.portalName()
	}
	if strings.HasPrefix(text, "FETCH") {
		name, portal = fetching, fetching
	}
	if name != "" && g.chance(50) {
		g.message('C', []byte("S"+name+"\x00"))
	}
	if len(args) > 0 && g.chance(20) {
		g.parse(name, text, pick[uint32](g.r, typeInt4, typeInt4, typeText, 0))
	} else {
		g.parse(name, text)
	}
	g.describe('S', name, 30)
	format := byte(0)
	if g.chance(15) && strings.HasPrefix(text, "SELECT ") && !strings.Contains(text, "epoch") {
		format = 1
	}
	g.bindFormat(format, portal, name, args...)
	g.describe('P', portal, 40)
	limit := 0
	if g.chance(20) {
		limit = g.limit()
	}
	g.execute(portal, limit)
	for limit > 0 && g.chance(60) {
		g.execute(portal, g.limit())
	}
}

// fetching names what runs FETCH and is not described later: PostgreSQL 15 and 18
// crash when the cursor has gone in the meantime.
const fetching = "f"

func (g *generator) prepareOnly() {
	text, _ := g.parsable()
	name := g.nameFor(text)
	if strings.HasPrefix(text, "FETCH") {
		name = fetching
	}
	if g.chance(40) {
		g.message('C', []byte("S"+name+"\x00"))
	}
	g.parse(name, text)
	g.describe('S', name, 30)
}

func (g *generator) args() []string {
	switch g.r.IntN(6) {
	case 0:
		return []string{"5"}
	case 1:
		return []string{pick(g.r, "x", "6")}
	}
	return nil
}

func (g *generator) limit() int { return pick(g.r, 0, 0, 1, 2, 3) }

// nameFor keeps utility commands apart: EXECUTE runs plain statements only.
func (g *generator) nameFor(text string) string {
	name := g.newName(text)
	g.stored = append(g.stored, name)
	return name
}

func (g *generator) newName(text string) string {
	for _, prefix := range []string{"SELECT", "INSERT"} {
		if strings.HasPrefix(text, prefix) {
			return pick(g.r, "", "s1", "s2", "s2", long+"a")
		}
	}
	return pick(g.r, "", "x1", "x2")
}

// long is one byte short of the length from which on names are one.
var long = strings.Repeat("n", 63)

// statementName is mostly one that has been parsed.
func (g *generator) statementName() string {
	if len(g.stored) > 0 && g.chance(80) {
		return g.stored[max(0, len(g.stored)-1-g.r.IntN(4))]
	}
	return pick(g.r, "", "s1", "s1", "s2", "s2", "x1", "x2", long+"b")
}

func (g *generator) portalName() string { return pick(g.r, "", "", "p1", "p2", "c") }

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
