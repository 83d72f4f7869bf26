package pgmodel

import (
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
	"github.com/pgseal/pgseal/internal/wire"
)

// A Cluster is what backends share.
type Cluster struct {
	// Version is the major release that is modelled, such as 15 or 18.
	Version int

	// Extra interprets statements that the model does not know, when they are
	// executed. It reports false for those that it does not know either: they
	// are syntax errors. Knows tells of which texts that is to be found out only
	// then; nil stands for all. Both are set before the first message. Describe
	// finds no columns of such a statement.
	Extra func(s *Session, text string, args []string) (Result, bool)
	Knows func(text string) bool

	tables   map[string]*table
	locks    lockManager
	conf     configuration
	backends []*Backend
	parsed   map[string]parsed
	lastPID  int
}

// parsed is a text with the statements in it.
type parsed struct {
	list []*parser.Stmt
	err  *Error
}

// A Column describes one column of a result.
type Column struct {
	Name string
	Type uint32
}

// A Result is what an Extra statement returns. Columns is nil for a statement
// that returns no rows. A nil value is NULL.
type Result struct {
	Columns []Column
	Rows    [][][]byte
	Tag     string
	Err     *wire.Error
}

// NewCluster returns a cluster of that major release with the tables t and u,
// which have one column, a, of type int4.
func NewCluster(version int) *Cluster {
	c := &Cluster{
		Version: version,
		tables:  map[string]*table{},
		locks:   lockManager{advisory: map[int64]*advisoryLock{}},
		conf:    configuration{values: map[string]string{}, roles: map[string]map[string]string{}},
		parsed:  map[string]parsed{},
	}
	for _, name := range []string{"t", "u"} {
		c.CreateTable(name)
	}
	return c
}

// CreateTable adds an empty table with one column, a, of type int4.
func (c *Cluster) CreateTable(name string) { c.tables[name] = &table{name: name, typ: typeInt4} }

// Configure changes a setting of postgresql.conf and reloads it, as ALTER SYSTEM
// and pg_reload_conf() do. Each backend takes note with its next message.
func (c *Cluster) Configure(name, value string) {
	c.conf.values[canonical(name)] = value
	c.conf.generation++
}

// AlterRole changes a role's default for sessions that start from now on.
func (c *Cluster) AlterRole(role, name, value string) {
	if c.conf.roles[role] == nil {
		c.conf.roles[role] = map[string]string{}
	}
	c.conf.roles[role][canonical(name)] = value
}

// Connect starts a backend for a client that is authenticated. It returns the
// parameters that the backend reports before its first ReadyForQuery.
func (c *Cluster) Connect(startup []wire.Parameter) (*Backend, []wire.Parameter) {
	c.lastPID++
	b := &Backend{cluster: c}
	var greeting []wire.Parameter
	b.session, greeting = newSession(c, c.lastPID, startup, &b.out)
	b.planner = planner{session: b.session}
	b.executor = executor{cluster: c, planner: &b.planner, session: b.session, out: &b.out}
	c.backends = append(c.backends, b)
	return b, greeting
}

// leave is the end of a backend's process.
func (c *Cluster) leave(b *Backend) {
	b.session.leave()
	c.backends = slices.DeleteFunc(c.backends, func(o *Backend) bool { return o == b })
}

// wake lets backends that wait for a lock look again.
func (c *Cluster) wake() {
	for c.locks.released {
		c.locks.released = false
		for _, b := range slices.Clone(c.backends) {
			if b.waiting {
				b.waiting = false
				b.proceed()
			}
		}
	}
}

// notify sends notifications of a transaction that has committed. Its own
// session is told before its next ReadyForQuery.
func (c *Cluster) notify(from *Backend, list []notification) {
	if len(list) == 0 {
		return
	}
	for _, o := range c.backends {
		o.session.async.signal(list)
		if o != from {
			o.tell(true)
		}
	}
}

// parse is pg_parse_query: one syntax error spoils the whole text.
func (c *Cluster) parse(text string) ([]*parser.Stmt, *Error) {
	p, ok := c.parsed[text]
	if !ok {
		if len(c.parsed) > 10_000 {
			clear(c.parsed)
		}
		p.list = parser.Parse(text)
		for _, s := range p.list {
			if s.Kind == parser.Unknown && !c.extra(s.Text) {
				p = parsed{err: errorf("42601", "syntax error in %q", s.Text)}
				break
			}
		}
		c.parsed[text] = p
	}
	return p.list, p.err
}

// extra reports whether a statement that the parser does not know is Extra's.
// A SELECT that is misspelt is nobody's.
func (c *Cluster) extra(text string) bool {
	return c.Extra != nil && (c.Knows == nil || c.Knows(text)) && !strings.HasPrefix(text, "SELEC ")
}
