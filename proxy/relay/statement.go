package relay

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// key is the digest of all that makes two prepared statements one.
type key [sha256.Size]byte

// Statement is a prepared statement as PostgreSQL analysed it: its text, the
// types of its parameters, the values of what analysis reads, and the columns
// that it returns. Equal ones are one, whatever names sessions give them, and a
// server has a copy at most once. All but its text is immutable.
type Statement struct {
	key       key
	effects   effects.Set
	types     string // of its parameters, as a Parse message tells them: those first inferred
	context   string // the values of what analysis reads; see context.go
	certain   bool   // context is known
	described bool   // rows and columns are known
	rows      bool
	columns   key // names, types and modifiers of its columns

	// Guarded by the lock of Statements; whoever counts among users may read
	// text without it.
	text  string // empty where nobody keeps it: copies on servers need none
	users int
	role  string // whose budget the text counts against
}

// Statements knows the prepared statements that sessions and servers have, and
// bounds the memory that their texts take: in all, for each role, and for each
// session. A session whose text is not kept stays on its server; nobody is
// refused. The methods may be called from any goroutine.
type Statements struct {
	mu    sync.Mutex
	limit int64 // bytes
	known map[key]weak.Pointer[Statement]
	bytes int64
	roles map[string]int64
}

// NewStatements returns one that keeps texts of that many bytes.
func NewStatements(limit int64) *Statements {
	return &Statements{limit: limit, known: map[key]weak.Pointer[Statement]{}, roles: map[string]int64{}}
}

// overhead is what a statement costs beside its text.
const overhead = 256

// Shares of the whole that one session and one role may have.
const (
	sessionShare = 8
	roleShare    = 2
)

// SetLimit changes how many bytes the texts may take. Those that are there stay.
func (c *Statements) SetLimit(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = bytes
}

// reserve counts n bytes more for a session of a role that has held so many,
// where there is room for them.
func (c *Statements) reserve(role string, held, n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held+n > c.limit/sessionShare || c.roles[role]+n > c.limit/roleShare || c.bytes+n > c.limit {
		return false
	}
	c.bytes += n
	c.roles[role] += n
	return true
}

// free undoes reserve.
func (c *Statements) free(role string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.give(role, n)
}

func (c *Statements) give(role string, n int64) {
	c.bytes -= n
	if c.roles[role] -= n; c.roles[role] == 0 {
		delete(c.roles, role)
	}
}

// sizeOf is what a text of so many bytes counts for.
func sizeOf(text string) int64 { return int64(len(text)) + overhead }

// intern returns the statement that a draft has become, and counts its session
// among the users of the text; the draft's reservation is the statement's from
// now on, or is given back. A draft whose text is not kept has no users.
func (c *Statements) intern(role string, d *draft) *Statement {
	k := d.key()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.known[k].Value()
	if st == nil {
		st = &Statement{
			key: k, effects: d.effects, types: d.types, context: d.context, certain: d.certain,
			described: d.described, rows: d.rows, columns: d.columns,
		}
		c.known[k] = weak.Make(st)
		runtime.AddCleanup(st, c.forget, k)
	}
	if !d.kept {
		return st
	}
	if st.users == 0 {
		st.text, st.role = d.text, role
	} else {
		c.give(role, sizeOf(d.text))
	}
	st.users++
	return st
}

// leave undoes the counting of intern.
func (c *Statements) leave(st *Statement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.users--; st.users == 0 {
		c.give(st.role, sizeOf(st.text))
		st.text = ""
	}
}

// forget drops a statement that nobody has any more.
func (c *Statements) forget(k key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.known[k]; ok && p.Value() == nil {
		delete(c.known, k)
	}
}

// Use returns how many statements there are, and how many bytes their texts
// take.
func (c *Statements) Use() (count int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.known), c.bytes
}

// Each calls f for each statement, in no order: with a part of its digest as its
// name, its text, which is empty where no session has it, the bytes that it takes,
// and how many sessions have it. f must not use c.
func (c *Statements) Each(f func(name, text string, bytes, sessions int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, p := range c.known {
		if st := p.Value(); st != nil {
			f(strconv.FormatUint(binary.BigEndian.Uint64(k[:]), 36), st.text, len(st.text)+overhead, st.users)
		}
	}
}

// draft is a statement on its way: a client's Parse that is not answered yet.
type draft struct {
	name      *name
	text      string
	types     string
	effects   effects.Set
	context   string
	certain   bool
	private   uint64 // sets it apart from all others; 0: it may be shared
	kept      bool   // its text is, and counts
	parsed    bool   // ParseComplete came
	described bool
	rows      bool
	columns   key
	values    wire.Row // of what analysis reads, where that had to be asked
	server    string   // its name on the server
	ops       []nameOp // what it does to names when it runs
	made      int      // what the ledger had had when its Parse was sent
	sent      uint64   // when that was, by clock
}

// key digests what makes the draft.
func (d *draft) key() key {
	h := sha256.New()
	var n [8]byte
	for _, part := range []string{d.text, d.types, d.context, string(d.columns[:])} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	binary.BigEndian.PutUint64(n[:], d.private)
	h.Write(n[:])
	h.Write([]byte{bit(d.certain), bit(d.described), bit(d.rows)})
	return key(h.Sum(nil))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// nextPrivate numbers the statements that are shared with nobody, and the
// unnamed ones of all sessions.
var nextPrivate atomic.Uint64

// prefix begins the name of each statement and portal of ours.
const prefix = "pgseal_"

// newName returns a name for a statement on a server. It can't be guessed, so no
// text of a client's comes to name it by accident or design.
func newName() string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var b [len(prefix) + 20]byte
	copy(b[:], prefix)
	bits, more := rand.Uint64(), rand.Uint64() // ChaCha8, seeded by the system
	for i := len(prefix); i < len(b); i++ {
		b[i] = letters[bits&31]
		bits = bits>>5 | more<<59
		more >>= 5
	}
	return string(b[:])
}
