package relay_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/pgmodel"
	"github.com/pgseal/pgseal/internal/pgmodel/randomsession"
	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// script is what one client sends in one session.
type script struct {
	own     string // its table and channel
	startup []wire.Parameter
	steps   []step
	leaves  int // after so many messages, in the midst of what it does; -1: at the end
}

// step is one message. The last may be none of the protocol.
type step struct {
	bytes []byte
	waits bool // for its answers and those of what comes before
}

// randomScript makes up a session.
func randomScript(r *rand.Rand, own string, policy string) script {
	s := script{own: own, leaves: -1}
	for _, p := range [...]wire.Parameter{
		{Name: "TimeZone", Value: "europe/berlin"}, {Name: "application_name", Value: "client"}, {Name: "datestyle", Value: "SQL, DMY"},
		{Name: "work_mem", Value: "2MB"}, {Name: "search_path", Value: "public"}, {Name: "statement_timeout", Value: "30s"},
		{Name: "app.tenant", Value: "mine"}, {Name: "IntervalStyle", Value: "sql_standard"},
	} {
		if r.IntN(12) == 0 {
			s.startup = append(s.startup, p)
		}
	}
	waits := r.IntN(3)
	for _, write := range randomsession.New(r, own) {
		s.write(write, waits > 0 && r.IntN(3) < waits+1)
	}
	local := slices.ContainsFunc(s.steps, func(st step) bool {
		text := textOf(st.bytes)
		return strings.Contains(text, "SET LOCAL TimeZone") || strings.Contains(text, "set_config('TimeZone'") && strings.Contains(text, ", true)")
	})
	parsed := false // an unnamed statement, in this batch
	s.steps = slices.DeleteFunc(s.steps, func(st step) bool {
		switch m := st.bytes; {
		case len(m) <= wire.HeaderSize+1:
			parsed = parsed && m[0] != wire.Sync
		case m[0] == wire.Query:
			parsed = false
		case m[0] == wire.Parse:
			parsed = parsed || m[wire.HeaderSize] == 0
			if local && knownLocal && m[wire.HeaderSize] == 0 && strings.Contains(textOf(m), "timestamptz '") {
				return true
			}
		case m[0] == wire.Describe && string(m[wire.HeaderSize:]) == "S\x00" && !parsed && knownTypes:
			return true
		}
		return s.avoids(st.bytes, policy)
	})
	if r.IntN(3) == 0 {
		s.steps = append(s.steps, step{bytes: []byte{wire.Terminate, 0, 0, 0, 4}})
	}
	if r.IntN(4) == 0 && len(s.steps) > 0 {
		s.leaves = r.IntN(len(s.steps))
	}
	return s
}

// avoids reports whether a message is left out, since what comes of it is known.
func (s *script) avoids(m []byte, policy string) bool {
	text := textOf(m)
	parse := len(m) > 0 && m[0] == wire.Parse
	switch {
	case policy == relay.Ignore && relay.Stays(text),
		knownForgotten && strings.Contains(text, "deallocate all"),
		knownCopyReset && len(s.startup) > 0 && strings.Contains(text, "FROM STDIN;"),
		knownAborted && strings.Contains(text, "EXECUTE s") && sqlscan.Scan([]byte(text))&sqlscan.Exits != 0,
		knownDiscard && parse && len(s.startup) > 0 && text == "DISCARD ALL",
		knownLate && parse && (strings.HasPrefix(text, "EXECUTE") || strings.HasPrefix(text, "PREPARE") || strings.HasPrefix(text, "DEALLOCATE s")):
		return true
	}
	return false
}

// write adds the messages that end with a write.
func (s *script) write(p []byte, waits bool) {
	if n := len(s.steps); n > 0 && announced(s.steps[n-1].bytes) > len(s.steps[n-1].bytes) {
		p = append(slices.Clone(s.steps[n-1].bytes), p...) // its end
		s.steps = s.steps[:n-1]
	}
	for len(p) > 0 {
		n := announced(p)
		if n < wire.HeaderSize || n > len(p) || n-wire.HeaderSize > wire.ClientLimit(p[0]) {
			n = len(p)
		}
		s.steps = append(s.steps, step{bytes: p[:n:n]})
		p = p[n:]
	}
	if len(s.steps) > 0 {
		s.steps[len(s.steps)-1].waits = waits
	}
}

// announced is how long the message is that starts p.
func announced(p []byte) int {
	if len(p) < wire.HeaderSize {
		return len(p) + 1
	}
	return 1 + int(binary.BigEndian.Uint32(p[1:]))
}

// textOf is the text of a Query or Parse.
func textOf(m []byte) string {
	if len(m) < wire.HeaderSize || announced(m) != len(m) {
		return ""
	}
	body := m[wire.HeaderSize:]
	switch m[0] {
	case wire.Parse:
		_, body, _ = bytes.Cut(body, []byte{0})
	case wire.Query:
	default:
		return ""
	}
	text, _, _ := bytes.Cut(body, []byte{0})
	return string(text)
}

// denied is a message as PostgreSQL gets it where session_state is reject.
func denied(m []byte) []byte {
	text := textOf(m)
	if text == "" || !relay.Leaves(text) {
		return m
	}
	out := bytes.Replace(m, []byte(text+"\x00"), []byte(relay.Denied+"\x00"), 1)
	binary.BigEndian.PutUint32(out[1:], uint32(len(out)-1))
	return out
}

// twin is what the session is with PostgreSQL to itself.
type twin struct {
	script  *script
	version int
	policy  string
	told    []wire.Parameter
	heard   []heard
	upTo    []int // how much of it once so many messages were sent
	closed  int   // after so many messages it was over; -1: never
	notes   []string
	table   string // in the end
}

// alone plays a script on a backend of its own.
func alone(s *script, version int, policy string) *twin {
	t := &twin{script: s, version: version, policy: policy, closed: -1}
	b, table := t.connect()
	var l listener
	t.upTo = append(t.upTo, 0)
	for i, st := range s.steps {
		b.Feed(t.message(st))
		t.heard = append(t.heard, l.take(b.Take())...)
		t.upTo = append(t.upTo, len(t.heard))
		if t.closed < 0 && b.Closed() {
			t.closed = i + 1
		}
	}
	t.heard = append(t.heard, l.take(b.Kept())...) // it may hear that too
	b.Disconnect()
	t.notes, t.table = l.notes, table()
	return t
}

func (t *twin) message(st step) []byte {
	if t.policy == relay.Reject {
		return denied(st.bytes)
	}
	return st.bytes
}

func (t *twin) connect() (b *pgmodel.Backend, table func() string) {
	c := newCluster(t.version)
	c.CreateTable(t.script.own)
	b, t.told = c.Connect(append([]wire.Parameter{{Name: "user", Value: role}}, t.script.startup...))
	return b, func() string { return tableOf(c, t.script.own) }
}

// after is what is in the table when the client leaves after n messages.
func (t *twin) after(n int) string {
	b, table := t.connect()
	for _, st := range t.script.steps[:n] {
		b.Feed(t.message(st))
	}
	b.Disconnect()
	return table()
}

// role is that of all clients.
const role = "app"

// tableOf shows what is in a table for everybody.
func tableOf(c *pgmodel.Cluster, name string) string {
	b, _ := c.Connect([]wire.Parameter{{Name: "user", Value: role}})
	defer b.Disconnect()
	b.Feed(wire.AppendQuery(nil, "SELECT a FROM "+name))
	if b.Blocked() {
		return "locked"
	}
	var l listener
	return strings.Join(words(l.take(b.Take())), " ")
}

// heard is a message of the server with the parameters that came before it.
type heard struct{ message, params string }

func (h heard) String() string {
	if h.params != "" {
		return "[" + h.params + "] " + describeAnswer([]byte(h.message))
	}
	return describeAnswer([]byte(h.message))
}

// as reports whether it does as well as another. Where the relay makes a
// statement anew, what is wrong with that, or that the transaction has failed,
// is found before what is wrong with the client's Bind.
func (h heard) as(want heard) bool {
	return h.params == want.params && want.message[0] == wire.ErrorResponse && h.message[0] == wire.ErrorResponse &&
		(strings.Contains(h.message, "\x00C25P02\x00") || strings.Contains(h.message, "\x00C42P01\x00") || strings.Contains(want.message, "bind message supplies"))
}

func words(list []heard) (out []string) {
	for _, h := range list {
		out = append(out, h.String())
	}
	return out
}

// listener cuts what a server sends into messages.
type listener struct {
	rest   []byte
	notes  []string // notifications, which come when the server has nothing else to do
	params map[string]string
}

// take returns the messages that are whole now, without what rightly differs.
func (l *listener) take(p []byte) (list []heard) {
	l.rest = append(l.rest, p...)
	for len(l.rest) >= wire.HeaderSize && len(l.rest) >= announced(l.rest) {
		n := announced(l.rest)
		m := l.rest[:n]
		l.rest = l.rest[n:]
		switch m[0] {
		case wire.ParameterStatus:
			if l.params == nil {
				l.params = map[string]string{}
			}
			name, value, _ := strings.Cut(string(m[wire.HeaderSize:n-1]), "\x00")
			l.params[name] = value
			continue
		case wire.NotificationResponse:
			l.notes = append(l.notes, string(m[wire.HeaderSize+4:]))
			continue
		case wire.ErrorResponse:
			m = bytes.Replace(m, []byte("Fplancache.c\x00"), nil, 1)
			binary.BigEndian.PutUint32(m[1:], uint32(len(m)-1))
			if bytes.Contains(m, []byte("session_state = reject")) {
				m = refusal
			}
		}
		h := heard{message: string(m)}
		for _, name := range slices.Sorted(maps.Keys(l.params)) {
			h.params += name + "=" + l.params[name] + " "
		}
		l.params = nil
		list = append(list, h)
	}
	return list
}

// refusal is what PostgreSQL says in the place of session_state = reject.
var refusal = func() []byte {
	b, _ := newCluster(18).Connect(nil)
	b.Feed(wire.AppendQuery(nil, relay.Denied))
	p := b.Take()
	return p[:announced(p)]
}()

// describeAnswer shows a server's message.
func describeAnswer(m []byte) string {
	body := m[wire.HeaderSize:]
	switch m[0] {
	case wire.ParseComplete:
		return "ParseComplete"
	case wire.BindComplete:
		return "BindComplete"
	case wire.CloseComplete:
		return "CloseComplete"
	case wire.NoData:
		return "NoData"
	case wire.PortalSuspended:
		return "PortalSuspended"
	case wire.EmptyQueryResponse:
		return "EmptyQueryResponse"
	case wire.ReadyForQuery:
		return "Ready-" + string(body)
	case wire.CommandComplete:
		return string(bytes.TrimSuffix(body, []byte{0}))
	case wire.ErrorResponse, wire.NoticeResponse:
		e, err := wire.ParseError(body)
		if err != nil {
			return fmt.Sprintf("%c %q", m[0], body)
		}
		return fmt.Sprintf("%s %s %q", e.Severity, e.Code, e.Message)
	}
	return fmt.Sprintf("%c%q", m[0], body)
}
