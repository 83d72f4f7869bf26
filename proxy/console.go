package proxy

import (
	"context"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

// maxConsoles bounds the sessions of the console. They do not count against
// max_client_conn, so that who has to see to a full pooler gets in.
const maxConsoles = 32

var (
	errTooManyClients = login.Refuse(login.Limit, wire.Fatal(wire.CodeTooManyConnections, "sorry, too many clients already (max_client_conn)").
				WithHint("Raise max_client_conn of the connection pooler."))
	errTooManyConsoles  = login.Refuse(login.Limit, wire.Fatal(wire.CodeTooManyConnections, "too many sessions of the console are open"))
	errConsoleForeign   = login.Refuse(login.Protocol, wire.Fatal(wire.CodeFeatureNotSupported, "the console has no replication"))
	errKilled           = wire.Fatal(wire.CodeAdminShutdown, "terminating connection due to administrator command").WithHint("An administrator of the connection pooler ended it.")
	errConsoleNotServed = wire.Fatal(wire.CodeInternal, "the console ended unexpectedly")
)

// Console serves the clients of databases that are its own, instead of a
// server: *console.Console. Its methods may be called from any goroutine.
type Console interface {
	// Owns reports whether clients that ask for the database are the console's.
	Owns(database string) bool
	// Admits returns why a client that has proved to be user may not come in,
	// or nil.
	Admits(user string) *wire.Error
	// Parameters is what a client is told when it comes in.
	Parameters() []wire.Parameter
	// Serve talks to a client that was greeted, until it leaves or ctx ends. It
	// blocks, and writes nothing once it has returned.
	Serve(ctx context.Context, c console.Client)
}

// seat is what a session has that is the console's.
type seat struct {
	conn     net.Conn
	told     []wire.Parameter // what the client was told of its parameters
	ctx      context.Context  // ends when its client has to leave
	stop     context.CancelFunc
	canceled chan struct{}
}

// UseConsole sets who serves the console. It is called before Listen.
func (p *Server) UseConsole(c Console) { p.console = c }

// toConsole reports whether the session is for the console.
func (p *Server) toConsole(s *session) bool { return p.console != nil && p.console.Owns(s.database) }

// openConsole lets a client that has proved who it is in to the console.
func (p *Server) openConsole(s *session, ask login.Startup) error {
	if err := p.console.Admits(s.user); err != nil {
		return login.Refuse(login.NotAdmin, err)
	}
	if ask.Replication != nil {
		return errConsoleForeign
	}
	if p.consoles.Add(1) > maxConsoles {
		p.consoles.Add(-1)
		return errTooManyConsoles
	}
	s.seated = true // exit gives the place back
	told := p.console.Parameters()
	for _, param := range ask.Params {
		if param.Name == "application_name" {
			told = append(told, param)
		}
	}
	if err := s.greet(told); err != nil {
		return err
	}
	s.mu.Lock()
	s.seat = &seat{conn: s.login.Conn(), told: told, canceled: make(chan struct{}, 1)}
	s.seat.ctx, s.seat.stop = context.WithCancel(context.Background())
	s.phase, s.login = phaseConsole, nil
	s.raw.SetDeadline(time.Time{})
	if s.ending() != nil || s.muted { // since it was asked for
		s.breakOff()
	}
	s.mu.Unlock()
	return nil
}

// attend runs a session of the console to its end. Whatever that is, exit runs.
func (p *Server) attend(s *session) {
	p.clients.Add(-1) // it takes nobody's place
	defer func() {
		if r := recover(); r != nil { // on taking leave
			p.consolePanic(s, r)
		}
		s.raw.Close()
		p.clients.Add(1) // exit takes it off
		p.exit(s)
		p.log.Info("client disconnected", append(s.fields(), zap.Duration("duration", time.Since(s.since)))...)
	}()
	defer s.seat.stop()
	defer func() {
		last := s.lastOfConsole()
		if r := recover(); r != nil {
			p.consolePanic(s, r)
			last = errConsoleNotServed
		}
		s.farewell(func() {
			if last != nil {
				s.seat.conn.Write(last.Append(nil))
			}
		})
		s.linger()
	}()
	p.console.Serve(s.seat.ctx, console.Client{Conn: s.seat.conn, ID: s.id, User: s.user, Database: s.database, PID: s.key.PID, Canceled: s.seat.canceled,
		Audit: func(command, object string, err error) { p.Audit().Command(s, command, object, err) }})
}

func (p *Server) consolePanic(s *session, r any) {
	p.panics.Add(1)
	p.log.Error("panic in the console", append(s.fields(), zap.Any("panic", r), zap.Stack("stack"))...)
}

// lastOfConsole returns what a client of the console is told at its end, nil
// where it left by itself.
func (s *session) lastOfConsole() *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.muted:
		return nil
	case s.killed != nil:
		return s.killed
	case s.draining:
		return errShutdown
	case s.cert.invalid:
		return errCertificate
	}
	return nil
}

// cancelConsole passes a CancelRequest on to the console, and reports false
// where the session is none of its.
func (s *session) cancelConsole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseConsole {
		return false
	}
	select {
	case s.seat.canceled <- struct{}{}:
	default:
	}
	return true
}

// kill ends the session whatever it does; what runs for it is cancelled. It
// reports false for one that ends anyway, or whose login is not over.
func (s *session) kill() bool {
	s.mu.Lock()
	alive := s.phase != phaseLogin && s.end == nil && s.killed == nil
	if alive {
		s.killed = errKilled
		s.breakOff()
	}
	s.mu.Unlock()
	if alive {
		s.poke()
	}
	return alive
}

// Kill ends the session with this number and reports whether there is one.
func (p *Server) Kill(id uint64) bool {
	for _, s := range p.list() {
		if s.id == id {
			return s.kill()
		}
	}
	return false
}

// KillAll ends all sessions with the database, or with any where the name is
// empty. Those of the console stay.
func (p *Server) KillAll(database string) {
	for _, s := range p.list() {
		if !s.atConsole() && s.uses(database) {
			s.kill()
		}
	}
}

// atConsole reports whether the session is one of the console.
func (s *session) atConsole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == phaseConsole
}

// uses reports whether the session is logged in to the database, or to any
// where the name is empty.
func (s *session) uses(database string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase >= phaseReady && (database == "" || s.database == database)
}

// list returns the sessions that there are, logins among them.
func (p *Server) list() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*session, 0, len(p.sessions))
	for s := range p.sessions {
		all = append(all, s)
	}
	return all
}

// StopAccepting closes all listeners. Clients that are there stay.
func (p *Server) StopAccepting() {
	p.Unsuspend() // or nobody could leave
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.listeners {
		l.net.Close()
	}
}

// leaveConsoles ends the sessions of the console.
func (p *Server) leaveConsoles() {
	for _, s := range p.list() {
		s.drain()
	}
	p.attended.Wait()
}
