package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// Server is what is known of a server connection beyond its bytes, for whoever
// is lent it next. It belongs to whoever holds the connection.
type Server struct {
	reported   []wire.Parameter // what it reports now; is replaced, never changed
	startup    []wire.Parameter // what it was opened with
	set        settled          // what was set in its session and not taken back
	unlisted   bool             // more may have been set, under names that nobody read
	holder     uint64           // the session that held it last
	unnamed    uint64           // the unnamed statement it has, by its number; 0: none of a client that is known
	copies     prepared.Copies
	seeded     bool   // its random numbers may be those of a seed
	unverified bool   // a function may have ended statements
	probe      string // a statement that is there as long as nothing ends all; empty: none was made
}

// NewServer returns the state of a connection that nobody was lent, and that was
// opened with these parameters.
func NewServer(startup []wire.Parameter) *Server { return &Server{startup: startup} }

// SetReported says what the server reports of its session. The list must not be
// changed any more.
func (s *Server) SetReported(list []wire.Parameter) { s.reported = list }

// grants reports whether the server may grant parameters to roles: PostgreSQL 15
// or later.
func (s *Server) grants() bool {
	i := find(s.reported, "server_version")
	if i < 0 {
		return false
	}
	major := 0
	for _, c := range s.reported[i].Value {
		if c < '0' || c > '9' {
			break
		}
		major = 10*major + int(c-'0')
	}
	return major >= 15
}

// Prepared returns how many prepared statements the server has. It may be called
// from any goroutine.
func (s *Server) Prepared() int { return s.copies.Len() }

// settled is a list of parameters that are set in a session. It is replaced,
// never changed, and compared by its address first.
type settled struct{ list []wire.Parameter }

// findFor returns the copy of what a name stands for, unless that is older than
// the client's own Parse: DDL may lie between them, which PostgreSQL does not
// tell of a statement that can be analysed in two ways.
func (s *Server) findFor(nm *name) *prepared.Copy {
	if c := s.copies.Find(nm.st); c != nil && (c.Sent == nm.sent || c.Sent > nm.since) {
		return c
	}
	return nil
}

// forgetCopies notes that the server has no prepared statements any more.
func (s *Server) forgetCopies() {
	s.copies.Clear()
	s.probe, s.unverified = "", false
}

// wiped notes that DISCARD ALL was run.
func (s *Server) wiped() {
	s.forgetCopies()
	s.set, s.unlisted = settled{}, false
}

// find returns the place of a name in a list, or -1.
func find(list []wire.Parameter, name string) int {
	for i := range list {
		if list[i].Name == name {
			return i
		}
	}
	return -1
}

// maxReported bounds what a server may report. PostgreSQL has fifteen.
const maxReported = 200

// replace returns a list with p in it, in a copy.
func replace(list []wire.Parameter, p wire.Parameter) []wire.Parameter {
	i := find(list, p.Name)
	switch {
	case i >= 0 && list[i] == p, i < 0 && len(list) >= maxReported:
		return list
	case i < 0:
		return append(list[:len(list):len(list)], p)
	}
	list = append([]wire.Parameter(nil), list...)
	list[i] = p
	return list
}
