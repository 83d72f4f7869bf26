package randomsession

import (
	"hash/crc32"
	"math/rand/v2"
	"strings"
)

// New makes up what a client writes, one write after the other: some hold
// several messages, some end within one. own is a table with a column a of
// type int4 that is there at the start, a channel, and stands for two advisory
// locks: what sessions would otherwise disturb each other with.
func New(r *rand.Rand, own string) [][]byte {
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
	g.close('S', "s1")
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
			name := pick(g.r, g.statementName(), g.portalName())
			g.close(pick(g.r, byte('S'), byte('P')), name)
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
		g.close('S', name)
	}
	if len(args) > 0 && g.chance(20) {
		g.parse(name, text, pick[uint32](g.r, oidInt4, oidInt4, oidText, 0))
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
		g.close('S', name)
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

// long is as long as names may be: what comes behind it does not count.
var long = strings.Repeat("n", 63)

// statementName is mostly one that has been parsed.
func (g *generator) statementName() string {
	if len(g.stored) > 0 && g.chance(80) {
		return g.stored[max(0, len(g.stored)-1-g.r.IntN(4))]
	}
	return pick(g.r, "", "s1", "s1", "s2", "s2", "x1", "x2", long+"b")
}

func (g *generator) portalName() string { return pick(g.r, "", "", "p1", "p2", "c") }
