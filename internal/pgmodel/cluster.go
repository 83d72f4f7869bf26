package pgmodel

import (
	"slices"

	"github.com/pgseal/pgseal/internal/wire"
)

// A Cluster is what backends share.
type Cluster struct {
	// Version is the major release that is modelled, such as 15 or 18.
	Version int

	// Extra interprets statements that the model does not know, when they are
	// executed. It reports false for those that it does not know either: they
	// are syntax errors. Knows tells of which texts that is to be found out only
	// then; nil stands for all. Columns tells for Describe what columns Extra would
	// return; it may be nil. All are set before the first message.
	Extra   func(b *Backend, text string, args []string) (Result, bool)
	Knows   func(text string) bool
	Columns func(text string) []Column

	tables   map[string]*table
	advisory map[int64]*advisoryLock
	backends []*Backend
	released bool // a lock was released since backends that wait have looked

	config     map[string]string            // postgresql.conf
	generation int                          // counts reloads of it
	roles      map[string]map[string]string // ALTER ROLE ... SET
	parsed     map[string]parsed
	lastPID    int
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
		Version:  version,
		tables:   map[string]*table{},
		advisory: map[int64]*advisoryLock{},
		config:   map[string]string{},
		roles:    map[string]map[string]string{},
		parsed:   map[string]parsed{},
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
	c.config[canonical(name)] = value
	c.generation++
}

// AlterRole changes a role's default for sessions that start from now on.
func (c *Cluster) AlterRole(role, name, value string) {
	if c.roles[role] == nil {
		c.roles[role] = map[string]string{}
	}
	c.roles[role][canonical(name)] = value
}

// Connect starts a backend for a client that is authenticated. It returns the
// parameters that the backend reports before its first ReadyForQuery.
func (c *Cluster) Connect(startup []wire.Parameter) (*Backend, []wire.Parameter) {
	c.lastPID++
	b := &Backend{
		cluster:    c,
		pid:        c.lastPID,
		settings:   map[string]*setting{},
		statements: map[string]*prepared{},
		portals:    map[string]*portal{},
		temp:       map[string]*table{},
		listening:  map[string]bool{},
		generation: c.generation,
	}
	c.backends = append(c.backends, b)
	b.loadSettings(startup)
	var greeting []wire.Parameter
	for _, s := range b.reported {
		s.last = s.text
		greeting = append(greeting, wire.Parameter{Name: s.name, Value: s.text})
	}
	return b, greeting
}

// PID is the process ID that notifications of the backend carry.
func (b *Backend) PID() int { return b.pid }

// leave is the end of a backend's process.
func (c *Cluster) leave(b *Backend) {
	if b.block != blockDefault {
		b.abortTransaction()
		b.cleanupTransaction()
	}
	for key, lock := range c.advisory {
		if lock.holder == b {
			delete(c.advisory, key)
		}
	}
	clear(b.listening)
	c.backends = slices.DeleteFunc(c.backends, func(o *Backend) bool { return o == b })
	c.released = true
}

// wake lets backends that wait for a lock look again.
func (c *Cluster) wake() {
	for c.released {
		c.released = false
		for _, b := range slices.Clone(c.backends) {
			if b.waiting {
				b.waiting = false
				b.proceed()
			}
		}
	}
}
