package proxy

import (
	"context"

	"github.com/pgseal/pgseal/internal/wire"
)

// replicate opens the server that a replication connection has to itself, and
// keeps until the client leaves. It runs on the goroutine of the login.
func (s *session) replicate(startup []wire.Parameter) error {
	ctx := s.login.Context()
	server, err := s.pool.OpenDedicated(ctx, startup)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	s.mu.Lock()
	s.replication = true
	s.newRelay(nil)
	s.mu.Unlock()
	if !s.attach(server) {
		return errServerLost
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
