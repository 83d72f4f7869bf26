package pgmodel

import (
	"maps"
	"slices"

	"github.com/pgseal/pgseal/internal/wire"
)

// A Session is what a backend holds for its client from one message to the next.
// Its methods are for tests, and for Extra.
type Session struct {
	proc       proc
	locks      *lockManager
	xact       xactState
	settings   settings
	names      namespace
	statements preparedStatements
	portals    portals
	async      async
}

// newSession starts a session, with the parameters that it reports at once.
func newSession(c *Cluster, pid int, startup []wire.Parameter, out *output) (*Session, []wire.Parameter) {
	s := &Session{
		proc:       proc{pid},
		locks:      &c.locks,
		settings:   settings{version: c.Version, conf: &c.conf, all: map[string]*setting{}},
		statements: preparedStatements{named: map[string]*prepared{}},
		portals:    portals{},
		async:      async{listening: map[string]bool{}},
	}
	s.names = namespace{proc: &s.proc, settings: &s.settings, public: c.tables, temp: map[string]*table{}}
	s.xact = xactState{
		version: c.Version, proc: &s.proc, locks: s.locks, settings: &s.settings, names: &s.names, portals: s.portals, out: out,
	}
	return s, s.settings.start(startup)
}

// leave is the end of a session.
func (s *Session) leave() {
	if s.xact.block != blockDefault {
		s.xact.abandon()
	}
	s.locks.leave(&s.proc)
	clear(s.async.listening)
}

// State is what a session holds, for tests. Lists are sorted.
type State struct {
	Status     byte              // as in ReadyForQuery
	Settings   map[string]string // that the session has changed
	User       string            // of SET SESSION AUTHORIZATION
	Role       string
	Statements []string // prepared, without the unnamed one
	FromSQL    []string // of those: by PREPARE
	Unnamed    bool
	Portals    []string // with cursors
	Held       []string // cursors that outlive their transaction
	Temp       []string // tables
	Locks      []int64  // advisory ones of the session
	Listening  []string
}

// Inspect returns what the session holds now.
func (s *Session) Inspect() State {
	st := State{
		Status:     s.xact.status(),
		Settings:   s.settings.changed(),
		User:       s.settings.all["session_authorization"].text,
		Role:       s.settings.all["role"].text,
		Statements: slices.Sorted(maps.Keys(s.statements.named)),
		Unnamed:    s.statements.unnamed != nil,
		Portals:    slices.Sorted(maps.Keys(s.portals)),
		Temp:       slices.Sorted(maps.Keys(s.names.temp)),
		Locks:      s.locks.heldBy(&s.proc),
		Listening:  slices.Sorted(maps.Keys(s.async.listening)),
	}
	for name, p := range s.statements.named {
		if p.fromSQL {
			st.FromSQL = append(st.FromSQL, name)
		}
	}
	for name, p := range s.portals {
		if p.held {
			st.Held = append(st.Held, name)
		}
	}
	slices.Sort(st.FromSQL)
	slices.Sort(st.Held)
	slices.Sort(st.Locks)
	return st
}

// Get returns a setting as SHOW does.
func (s *Session) Get(name string) (string, bool) {
	text, err := s.settings.show(name)
	return text, err == nil
}

// Set is SET or SET LOCAL; it is undone with the transaction.
func (s *Session) Set(name, value string, local bool) error {
	if err := s.settings.set(s.xact.nestLevel(), name, value, local); err != nil {
		return err
	}
	return nil
}

// Reset is RESET, or SET LOCAL ... TO DEFAULT.
func (s *Session) Reset(name string, local bool) error {
	if err := s.settings.reset(s.xact.nestLevel(), name, local); err != nil {
		return err
	}
	return nil
}
