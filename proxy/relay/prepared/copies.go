package prepared

import (
	"bytes"
	"container/list"
	"sync/atomic"
)

// Copy is a statement on a server.
type Copy struct {
	Statement *Statement
	Name      string // empty: it is the unnamed statement
	Number    uint64 // of that
	Confirmed bool   // the server said that it is there
	Batch     uint32 // that makes it
	Sent      uint64 // when its Parse was sent, by Now
}

// Copies are the statements that one server has, but for the unnamed one. The
// zero value is that of a server without any.
type Copies struct {
	byStatement map[*Statement]*list.Element
	byUse       list.List // of *Copy, the last used first
	toClose     []string  // names of statements to be closed when something is sent
	changes     uint64    // counts what ended statements
	count       atomic.Int32
}

// Len returns how many there are. It may be called from any goroutine.
func (s *Copies) Len() int { return int(s.count.Load()) }

// Changes counts what has ended statements of the server.
func (s *Copies) Changes() uint64 { return s.changes }

// Find returns the copy of a statement, or nil.
func (s *Copies) Find(st *Statement) *Copy {
	if e := s.byStatement[st]; e != nil {
		return e.Value.(*Copy)
	}
	return nil
}

// Use notes that a copy is used now.
func (s *Copies) Use(c *Copy) { s.byUse.MoveToFront(s.byStatement[c.Statement]) }

// Add notes a copy in place of any that was there, which is to be closed, as are
// the least recently used beyond limit.
func (s *Copies) Add(c *Copy, limit int) {
	if s.byStatement == nil {
		s.byStatement = map[*Statement]*list.Element{}
	}
	if old := s.Find(c.Statement); old != nil {
		s.Drop(old)
	}
	s.byStatement[c.Statement] = s.byUse.PushFront(c)
	for s.byUse.Len() > limit {
		s.Drop(s.byUse.Back().Value.(*Copy))
	}
	s.noteLen()
}

// Drop forgets a copy, and has it closed.
func (s *Copies) Drop(c *Copy) {
	s.Forget(c)
	s.CloseLater(c.Name)
}

// Forget forgets a copy that is not there.
func (s *Copies) Forget(c *Copy) {
	s.changes++
	if e := s.byStatement[c.Statement]; e != nil && e.Value == c {
		s.byUse.Remove(e)
		delete(s.byStatement, c.Statement)
		s.noteLen()
	}
}

// ForgetName forgets the copy of that name, if there is one.
func (s *Copies) ForgetName(name string) {
	for e := s.byUse.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*Copy); c.Name == name {
			s.Forget(c)
			return
		}
	}
}

// Clear notes that the server no longer has any prepared statements.
func (s *Copies) Clear() {
	s.changes++
	clear(s.byStatement)
	s.byUse.Init()
	s.toClose = nil
	s.noteLen()
}

func (s *Copies) noteLen() { s.count.Store(int32(s.byUse.Len())) }

// CloseLater has the statement of that name closed when something is sent.
func (s *Copies) CloseLater(name string) { s.toClose = append(s.toClose, name) }

// ToClose returns the names of the statements that are to be closed.
func (s *Copies) ToClose() []string { return s.toClose }

// Closing notes that those of ToClose are being closed.
func (s *Copies) Closing() {
	if len(s.toClose) > 0 {
		s.changes++
	}
	s.toClose = s.toClose[:0]
}

// CloseLast notes that the last of ToClose is being closed, if it has that name.
func (s *Copies) CloseLast(name string) bool {
	last := len(s.toClose) - 1
	if last < 0 || s.toClose[last] != name {
		return false
	}
	s.toClose = s.toClose[:last]
	s.changes++
	return true
}

// BeginsWithOne reports whether a text begins with the name of a copy.
func (s *Copies) BeginsWithOne(text []byte) bool {
	for e := s.byUse.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*Copy); c.Name != "" && bytes.HasPrefix(text, []byte(c.Name)) {
			return true
		}
	}
	return false
}
