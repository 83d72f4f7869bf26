package proxy

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
)

// statement is a prepared statement as clients ask for it: a text with the
// types of its parameters, and the manner in which PostgreSQL reads it. Equal
// ones are one, whatever names sessions give them, so that a server holds each
// once. It is immutable but for stale.
type statement struct {
	name string // on servers
	key
	effects sqlscan.Effects

	stale atomic.Int64 // copies on servers that are not younger than this moment have to be made anew
}

// key is what makes a statement.
type key struct {
	manner manner
	body   string // of its Parse message, behind the name
}

// manner stands for the parameters of a session by which PostgreSQL reads a
// text when it prepares it: '01.02.2020' is a date in January or in February by
// DateStyle. Sessions with the same parameters have the same.
type manner uint64

// ownManner marks those that no other session has, because it is not known
// what its parameters are.
const ownManner manner = 1 << 63

// moment counts seconds. A copy of a statement that was made on a server in the
// second in which a client prepares it, or later, is as good as new.
type moment int64

var begin = time.Now()

func thisMoment() moment { return moment(time.Since(begin)/time.Second) + 1 }

// spoil says that copies of the statement on servers are out of date.
func (s *statement) spoil(now moment) { s.stale.Store(int64(now)) }

func (s *statement) spoiled(made moment) bool { return int64(made) <= s.stale.Load() }

// nameOnServers begins the name of each statement on servers.
const nameOnServers = "pgseal_"

// statements knows the statements that a session or a server still has. Their
// memory is bounded; what nobody has any more goes with the garbage. Its
// methods may be called from any goroutine.
type statements struct {
	now func() moment

	mu     sync.Mutex
	limit  int64 // bytes
	known  map[key]weak.Pointer[statement]
	bytes  int64
	lastID uint64
}

func newStatements(limit int64) *statements {
	return &statements{now: thisMoment, limit: limit, known: map[key]weak.Pointer[statement]{}}
}

// overhead is what a statement costs beside its body.
const overhead = 256

var errStatementMemory = wire.Fatal("53200", "prepared statements need more memory than prepared_statements_memory allows").
	WithHint("Raise prepared_statements_memory of the connection pooler, or prepare fewer different statements.")

// intern returns the statement with this body, which it copies where it is
// new, read in this manner.
func (r *statements) intern(m manner, body []byte, effects sqlscan.Effects) (*statement, *wire.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.known[key{m, string(body)}].Value(); s != nil {
		return s, nil
	}
	if r.bytes+int64(len(body))+overhead > r.limit {
		return nil, errStatementMemory
	}
	r.lastID++
	if m&ownManner != 0 {
		m = ownManner | manner(r.lastID)
	}
	s := &statement{name: nameOnServers + strconv.FormatUint(r.lastID, 36), key: key{m, string(body)}, effects: effects}
	r.bytes += int64(len(s.body)) + overhead // until its cleanup
	r.known[s.key] = weak.Make(s)
	runtime.AddCleanup(s, r.forget, s.key)
	return s, nil
}

// roomFor returns how large a body there is still room for.
func (r *statements) roomFor() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(max(r.limit-r.bytes-overhead, 0))
}

// setLimit changes how much memory the statements may take. Those that are
// there stay.
func (r *statements) setLimit(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = bytes
}

// forget drops a statement that nobody has any more.
func (r *statements) forget(k key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= int64(len(k.body)) + overhead
	if p, ok := r.known[k]; ok && p.Value() == nil {
		delete(r.known, k)
	}
}

// use returns how many statements there are, and how many bytes they take.
func (r *statements) use() (count int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known), r.bytes
}
