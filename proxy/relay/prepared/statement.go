package prepared

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"strconv"
	"sync"
	"weak"

	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// digest is one of SHA-256.
type digest [sha256.Size]byte

// Analysis is what PostgreSQL made of a text, which sets prepared statements
// apart.
type Analysis struct {
	Effects   effects.Set // which follow from the text
	Types     string      // of its parameters, as a Parse message tells them: those first inferred
	Context   string      // the values of what analysis reads
	Certain   bool        // Context is known
	Described bool        // Rows and Columns are known
	Rows      bool        // it returns some
	Columns   Columns
}

// Statement is a prepared statement as PostgreSQL analysed it: its text, the
// types of its parameters, the values of what analysis reads, and the columns
// that it returns. Equal ones are one, whatever names sessions give them, and a
// server has a copy at most once. All but its text is immutable.
type Statement struct {
	Analysis

	// Guarded by the lock of Statements; users may read
	// text without it.
	text  string // empty if it is not kept: copies on servers need none
	users int
	role  string // the text counts against its budget
}

// Unshared returns a statement that is not shared, and counts nowhere.
func Unshared(text string, a Analysis) *Statement { return &Statement{Analysis: a, text: text} }

// Text returns the statement's text. Only its users, and the caller of Unshared,
// may call it.
func (s *Statement) Text() string { return s.text }

// Draft is a statement on its way: a Parse that is not answered yet.
type Draft struct {
	Analysis
	Text    string
	Private uint64 // sets it apart from all others; 0: it may be shared
	Kept    bool   // its text is, and was reserved
}

// Statements knows the prepared statements that sessions and servers have, and
// bounds the memory that their texts take: in all, for each role, and for each
// session. A session whose text is not kept stays on its server; no client is
// refused. The methods may be called from any goroutine.
type Statements struct {
	mu    sync.Mutex
	limit int64 // bytes
	known map[digest]weak.Pointer[Statement]
	bytes int64
	roles map[string]int64
}

// NewStatements returns one that keeps texts of that many bytes.
func NewStatements(limit int64) *Statements {
	return &Statements{limit: limit, known: map[digest]weak.Pointer[Statement]{}, roles: map[string]int64{}}
}

// Overhead is what a statement costs beside its text.
const Overhead = 256

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

// Reserve counts n bytes more for a session of a role that has held so many,
// if there is room for them.
func (c *Statements) Reserve(role string, held, n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held+n > c.limit/sessionShare || c.roles[role]+n > c.limit/roleShare || c.bytes+n > c.limit {
		return false
	}
	c.bytes += n
	c.roles[role] += n
	return true
}

// Free undoes Reserve.
func (c *Statements) Free(role string, n int64) {
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

// Size is what a text of so many bytes counts for.
func Size(text string) int64 { return int64(len(text)) + Overhead }

// Intern returns the statement that a draft has become, and counts its session
// among the users of the text; the draft's reservation is the statement's from
// now on, or is given back. A draft whose text is not kept has no users.
func (c *Statements) Intern(role string, d *Draft) *Statement {
	k := d.key()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.known[k].Value()
	if st == nil {
		st = &Statement{Analysis: d.Analysis}
		c.known[k] = weak.Make(st)
		runtime.AddCleanup(st, c.forget, k)
	}
	if !d.Kept {
		return st
	}
	if st.users == 0 {
		st.text, st.role = d.Text, role
	} else {
		c.give(role, Size(d.Text))
	}
	st.users++
	return st
}

// Leave undoes the counting of Intern.
func (c *Statements) Leave(st *Statement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.users--; st.users == 0 {
		c.give(st.role, Size(st.text))
		st.text = ""
	}
}

// forget drops a statement that is no longer in use.
func (c *Statements) forget(k digest) {
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
// name, its text, which is empty if no session has it, the bytes that it takes,
// and how many sessions have it. f must not use c.
func (c *Statements) Each(f func(name, text string, bytes, sessions int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, p := range c.known {
		if st := p.Value(); st != nil {
			f(strconv.FormatUint(binary.BigEndian.Uint64(k[:]), 36), st.text, len(st.text)+Overhead, st.users)
		}
	}
}

// key digests what makes the draft.
func (d *Draft) key() digest {
	h := sha256.New()
	var n [8]byte
	for _, part := range []string{d.Text, d.Types, d.Context, string(d.Columns[:])} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	binary.BigEndian.PutUint64(n[:], d.Private)
	h.Write(n[:])
	h.Write([]byte{bit(d.Certain), bit(d.Described), bit(d.Rows)})
	return digest(h.Sum(nil))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
