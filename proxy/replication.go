package proxy

import (
	"context"
	"errors"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

// parseReplication reads the parameter that asks for a replication
// connection, with PostgreSQL's rules: "database", or what reads as a boolean.
func parseReplication(v string) (bool, *login.Refusal) {
	if v == "database" {
		return true, nil
	}
	if b, ok := parseBool(v); ok {
		return b, nil
	}
	return false, login.Refuse(login.Protocol, wire.Fatal(wire.CodeInvalidParameter, `invalid value for parameter "replication": "`+v+`"`).
		WithHint(`Valid values are: "false", 0, "true", 1, "database".`))
}

// parseBool reads a boolean as PostgreSQL does: any beginning of true, false,
// yes, no, on and off that is not ambiguous, or a digit.
func parseBool(v string) (value, ok bool) {
	v = strings.ToLower(v)
	begins := func(word string, least int) bool { return len(v) >= least && strings.HasPrefix(word, v) }
	switch {
	case v == "1", begins("true", 1), begins("yes", 1), begins("on", 2):
		return true, true
	case v == "0", begins("false", 1), begins("no", 1), begins("off", 2):
		return false, true
	}
	return false, false
}

// replicationStartup returns what goes from a client's startup packet into
// that of its own server: all but what names the role, the database, and
// options of the protocol.
func replicationStartup(list []wire.Parameter) []wire.Parameter {
	var startup []wire.Parameter
	for _, p := range list {
		if p.Name != "user" && p.Name != "database" && !wire.IsProtocolOption(p.Name) {
			startup = append(startup, p)
		}
	}
	return startup
}

// replicate opens the server that a replication connection has to itself, and
// keeps until the client leaves. It runs on the goroutine of the login.
func (s *session) replicate(startup []wire.Parameter) error {
	ctx, cancel := context.WithDeadline(context.Background(), s.deadline)
	defer cancel()
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	server, err := s.pool.OpenOwn(ctx, startup)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return login.ErrTimeout
	case ctx.Err() != nil:
		return login.ErrShutdown
	default:
		return refusedByPool(err)
	}
	s.mu.Lock()
	s.replication = true
	s.newRelay(nil)
	s.mu.Unlock()
	if !s.attach(server) {
		return refusedByPool(errServerLost)
	}
	return nil
}

// dropOwn ends the server of a replication connection whose login failed at
// the last moment.
func (s *session) dropOwn() {
	s.mu.Lock()
	server := s.server
	if !s.replication || server == nil {
		s.mu.Unlock()
		return
	}
	s.server = nil
	s.relay.Detach()
	s.mu.Unlock()
	s.pool.Release(server)
}
