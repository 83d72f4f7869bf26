package proxy

import (
	"context"

	"github.com/pgseal/pgseal/internal/wire"
)

// replicate opens the server that a replication connection has to itself, and
// keeps until the client leaves. It runs on the goroutine of the login.
func (a *arrival) replicate(startup []wire.Parameter) error {
	ctx, link := a.login.Context(), &a.session.link
	server, err := a.session.talk.pool.OpenDedicated(ctx, startup)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	a.follow(nil, true)
	if !link.attach(server) {
		return errServerLost
	}
	a.dedicated = server
	return nil
}

// dropDedicated ends the server of a replication connection whose login failed at
// the last moment.
func (a *arrival) dropDedicated() {
	if a.dedicated != nil && a.session.talk.drop(a.dedicated, false) {
		a.session.talk.pool.Release(a.dedicated)
	}
}
