package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

// maxConsoles bounds the sessions of the console. They do not count against
// max_client_conn, so that administrators can log in to a full pooler.
const maxConsoles = 32

var (
	errTooManyConsoles  = login.Refuse(login.Limit, wire.Fatal(wire.CodeTooManyConnections, "too many console sessions"))
	errConsoleForeign   = login.Refuse(login.Protocol, wire.Fatal(wire.CodeFeatureNotSupported, "the console does not support replication"))
	errConsoleNotServed = wire.Fatal(wire.CodeInternal, "internal error in the console")
)

// Console serves the clients of databases that are its own, instead of a
// server: *console.Console. Its methods may be called from any goroutine.
type Console interface {
	// Owns reports whether clients that ask for the database are the console's.
	Owns(database string) bool
	// Admits returns why a client that has proved to be user may not come in,
	// or nil.
	Admits(user string) *wire.Error
	// Parameters are those reported to a client when it logs in.
	Parameters() []wire.Parameter
	// Serve talks to a client that was greeted, until it leaves or ctx ends. It
	// blocks, and writes nothing once it has returned.
	Serve(ctx context.Context, c console.Client)
}

// consoles are the sessions of the console.
type consoles struct {
	console  Console // nil: there is none
	taken    atomic.Int64
	attended sync.WaitGroup
}

// UseConsole sets what serves the console. It is called before Listen.
func (p *Server) UseConsole(c Console) { p.consoles.console = c }

// owns reports whether clients that ask for the database are the console's.
func (c *consoles) owns(database string) bool { return c.console != nil && c.console.Owns(database) }

// enter takes a place, and reports false if none is free. leave gives it back.
func (c *consoles) enter() bool {
	if c.taken.Add(1) > maxConsoles {
		c.leave()
		return false
	}
	return true
}

func (c *consoles) leave() { c.taken.Add(-1) }

// consoleSession is what a session of the console has of its own.
type consoleSession struct {
	conn     net.Conn
	reported []wire.Parameter // parameters reported to the client
	ctx      context.Context  // ends when its client has to leave
	stop     context.CancelFunc
	canceled chan struct{}
}

func newConsoleSession(conn net.Conn, told []wire.Parameter) *consoleSession {
	t := &consoleSession{conn: conn, reported: told, canceled: make(chan struct{}, 1)}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// cancel passes a CancelRequest on to the console.
func (t *consoleSession) cancel() {
	select {
	case t.canceled <- struct{}{}:
	default:
	}
}

// openConsole opens a console session for an authenticated client.
func (a *arrival) openConsole(ask login.Startup) error {
	s, c := a.session, &a.proxy.consoles
	if err := c.console.Admits(s.conn.user); err != nil {
		return login.Refuse(login.NotAdmin, err)
	}
	if ask.Replication != nil {
		return errConsoleForeign
	}
	if s.inConsoles = c.enter(); !s.inConsoles {
		return errTooManyConsoles
	}
	told := c.console.Parameters()
	for _, param := range ask.Params {
		if param.Name == "application_name" {
			told = append(told, param)
		}
	}
	if err := a.greet(told); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.login, s.console = phaseConsole, nil, newConsoleSession(a.login.Conn(), told)
	s.conn.raw.SetDeadline(time.Time{})
	if s.ends.soon() != nil { // since it was asked for
		s.notify()
	}
	return nil
}

// attend runs a session of the console to its end. Whatever that is, exit runs.
func (s *session) attend() {
	p := s.proxy
	p.sessions.connected.Add(-1) // it does not count against max_client_conn
	defer func() {
		if r := recover(); r != nil { // on taking leave
			s.consolePanic(r)
		}
		s.conn.raw.Close()
		p.sessions.connected.Add(1) // exit takes it off
		p.exit(s)
		p.log.Info("client disconnected", append(s.conn.fields(), zap.Duration("duration", time.Since(s.conn.since)))...)
	}()
	defer s.console.stop()
	defer func() {
		last := s.ends.soon() // nil if the client left by itself
		if r := recover(); r != nil {
			s.consolePanic(r)
			last = errConsoleNotServed
		}
		s.conn.sendFinal(func() {
			if last != nil {
				s.console.conn.Write(last.Append(nil))
			}
		})
		s.conn.drainAndClose()
	}()
	p.consoles.console.Serve(s.console.ctx, console.Client{
		Conn: s.console.conn, ID: s.conn.id, User: s.conn.user, Database: s.conn.database, PID: s.conn.key.PID, Canceled: s.console.canceled,
		Audit: func(command, object string, err error) { p.Audit().Command(&s.conn, command, object, err) },
	})
}

func (s *session) consolePanic(r any) {
	s.proxy.counters.panics.Add(1)
	s.proxy.log.Error("panic in the console", append(s.conn.fields(), zap.Any("panic", r), zap.Stack("stack"))...)
}

// Kill ends the session with this number and reports whether there is one.
func (p *Server) Kill(id uint64) bool {
	for _, s := range p.sessions.list() {
		if s.conn.id == id {
			return s.kill()
		}
	}
	return false
}

// KillAll ends all sessions with the database, or with any if the name is
// empty. Those of the console stay.
func (p *Server) KillAll(database string) {
	for _, s := range p.sessions.list() {
		if !s.atConsole() && s.uses(database) {
			s.kill()
		}
	}
}

// StopAccepting closes all listeners. Clients that are there stay.
func (p *Server) StopAccepting() {
	p.Unsuspend() // or nobody could leave
	p.listeners.close(false)
}
