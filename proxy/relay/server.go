package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/params"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// Server is what is known of a server connection beyond its bytes, for the session
// that is lent it next. It belongs to the holder of the connection.
type Server struct {
	params     params.Server
	holder     uint64 // the session that held it last
	unnamed    uint64 // the unnamed statement it has, by its number; 0: none of a client that is known
	copies     prepared.Copies
	seeded     bool   // its random numbers may be those of a seed
	unverified bool   // a function may have ended statements
	sentinel   string // a statement that is there as long as nothing ends all; empty: none was made
}

// NewServer returns the state of a connection that was never lent, and that was
// opened with these parameters.
func NewServer(startup []wire.Parameter) *Server {
	return &Server{params: params.Server{Startup: startup}}
}

// SetReported says what the server reports of its session. The list must not be
// changed afterwards.
func (s *Server) SetReported(list []wire.Parameter) { s.params.Reported = list }

// Prepared returns how many prepared statements the server has. It may be called
// from any goroutine.
func (s *Server) Prepared() int { return s.copies.Len() }

// findFor returns the copy of what a name stands for, unless that is older than
// the client's own Parse: DDL may lie between them, which PostgreSQL does not
// tell of a statement that can be analysed in two ways.
func (s *Server) findFor(nm *names.Name) *prepared.Copy {
	if c := s.copies.Find(nm.Statement); c != nil && (c.Sent == nm.Sent || c.Sent > nm.Since) {
		return c
	}
	return nil
}

// forgetCopies notes that the server no longer has any prepared statements.
func (s *Server) forgetCopies() {
	s.copies.Clear()
	s.sentinel, s.unverified = "", false
}

// discardedAll notes that DISCARD ALL was run.
func (s *Server) discardedAll() {
	s.forgetCopies()
	s.params.Set, s.params.Unlisted = nil, false
}
