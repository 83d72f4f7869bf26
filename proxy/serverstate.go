package proxy

import (
	"container/list"
	"slices"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// serverState is what clients have left on a server in the order of things,
// and the next one has to know. It belongs to whoever holds the server.
type serverState struct {
	settings   []wire.Parameter // set by sessions, beyond those that the server reports
	unlisted   bool             // sessions may have set what settings lacks
	lastHolder uint64           // the session that held it last
	era        uint32           // changes when no portal can be open
	unnamed    uint64           // the unnamed statement it has, by its number; 0: not known
	copies     map[*statement]*list.Element
	byUse      list.List // of *copied, the last used first
}

// copied is a statement on a server.
type copied struct {
	statement *statement
	made      moment
	batch     uint32 // that makes it; 0: none, it may be there or not
	confirmed bool   // the server said that it is there
	era       uint32 // in which it was used last: portals may depend on it until that ends
}

// stateOf returns the state of a server that is held.
func stateOf(server *pool.Server) *serverState {
	if s, ok := server.Notes.(*serverState); ok {
		return s
	}
	s := &serverState{}
	server.Notes = s
	return s
}

// find returns the copy of a statement, or nil.
func (s *serverState) find(st *statement) *copied {
	if e := s.copies[st]; e != nil {
		return e.Value.(*copied)
	}
	return nil
}

// use notes that a copy is used now.
func (s *serverState) use(c *copied) {
	c.era = s.era
	s.byUse.MoveToFront(s.copies[c.statement])
}

// inUse reports whether portals may depend on a copy. To close it would be to
// close them.
func (s *serverState) inUse(c *copied) bool { return c.era == s.era }

// add notes that a copy is being made, in place of any that was there.
func (s *serverState) add(st *statement, now moment, batch uint32) {
	if c := s.find(st); c != nil {
		*c = copied{statement: st, made: now, batch: batch}
		s.use(c)
		return
	}
	if s.copies == nil {
		s.copies = map[*statement]*list.Element{}
	}
	s.copies[st] = s.byUse.PushFront(&copied{statement: st, made: now, batch: batch, era: s.era})
}

// confirm notes that the server has made a copy, if it is still of interest.
func (s *serverState) confirm(st *statement) {
	if c := s.find(st); c != nil {
		c.confirmed = true
	}
}

// doubt notes that it can't be known whether a copy is there.
func (s *serverState) doubt(st *statement) {
	if c := s.find(st); c != nil {
		c.confirmed, c.batch = false, 0
	}
}

// evict drops the copy that was not used for longest where there are more than
// limit, and returns it.
func (s *serverState) evict(limit int) *statement {
	if s.byUse.Len() <= limit || s.inUse(s.byUse.Back().Value.(*copied)) {
		return nil
	}
	st := s.byUse.Remove(s.byUse.Back()).(*copied).statement
	delete(s.copies, st)
	return st
}

// forgetCopies notes that the server has no prepared statements any more.
func (s *serverState) forgetCopies() {
	clear(s.copies)
	s.byUse.Init()
	s.unnamed = 0
}

// afresh notes that RESET ALL is sent, and returns the settings that are left.
func (s *serverState) afresh() []wire.Parameter {
	s.unlisted = false
	s.settings = slices.DeleteFunc(s.settings, func(p wire.Parameter) bool { return p.Name != roleName })
	return s.settings
}

// wiped notes that DISCARD ALL was sent.
func (s *serverState) wiped() {
	s.forgetCopies()
	s.settings, s.unlisted = nil, false
}
