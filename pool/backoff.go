package pool

import (
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

// backoff keeps a pool for a while from opening what could not be opened.
type backoff struct {
	until time.Time
	err   error // why the last server could not be opened
}

// failing returns why waiting for a server would be useless now, or nil.
func (p *policy) failing() error {
	if p.places.live == 0 && p.backoff.active(time.Now()) {
		return p.backoff.err
	}
	return nil
}

func (b *backoff) active(now time.Time) bool { return now.Before(b.until) }

// tryAgain is openMore for when room may have been made meanwhile.
func (p *policy) tryAgain() {
	p.places.block(nil)
	p.openMore()
}

// openFailed returns the waiters that fail: all of them, at once and together,
// unless other servers live, one of which will come back. If the server refused
// the startup values of one client, that concerns nobody else.
func (p *policy) openFailed(o *opening, failure *wire.Error) (failed []*Waiter) {
	p.opening = nil
	p.usage.failed.Add(1)
	p.places.release(o.special())
	if o.special() && refuses(failure) {
		if w := o.waiter; w.queued && slices.Equal(w.Need.opens(), o.startup) { // it did not leave meanwhile
			p.queue.remove(w)
			w.Waited = time.Since(w.since)
			failed = append(failed, w)
			p.clearBlocked()
		}
		p.openMore()
		return failed
	}
	p.backoff = backoff{time.Now().Add(p.db.spec.Load().Defaults.ServerLoginRetry), failure}
	if p.places.live == 0 {
		failed = p.queue.popAll()
		p.clearBlocked()
	}
	return failed
}

// refuses reports whether a server that refused a login may have done so for a
// startup value, and not for the role, the database or its own state (the
// classes of SQLSTATE in PostgreSQL's appendix A).
func refuses(e *wire.Error) bool {
	return !slices.ContainsFunc([]string{"08", "28", "3D", "53", "57"}, func(class string) bool { return strings.HasPrefix(e.Code, class) })
}

func (p *Pool) openFailed(o *opening, err error) {
	failure := wire.AsError(err)
	p.mu.Lock()
	failed := p.policy.openFailed(o, failure)
	p.unlock()
	database, user := zap.String("database", p.db.Name), zap.String("user", p.login.User)
	if o.special() && refuses(failure) {
		p.manager.log.Warn("server rejected a client's startup parameter", database, user, zap.String("sqlstate", failure.Code))
	} else {
		p.manager.log.Error("server connection could not be opened", database, user, zap.NamedError("error", unwrapCause(err)), p.db.advice(p.login, failure))
	}
	for _, w := range failed {
		w.Ready(nil, failure)
	}
	p.manager.gone.notify()
	p.capacityFreed()
}

// LastError returns why no server can be opened now, or nil. It is
// what a client that logs in should get instead of being made to wait.
func (p *Pool) LastError() error {
	p.mu.Lock()
	defer p.unlock()
	return p.policy.failing()
}

// clearBackoff lets a server be opened at once although the last could not be:
// what stood in its way may have changed.
func (p *Pool) clearBackoff() {
	p.mu.Lock()
	defer p.unlock()
	p.policy.backoff = backoff{}
	p.policy.openMore()
}

// retry opens a server if one is needed and there is room now.
func (p *Pool) retry() {
	p.mu.Lock()
	defer p.unlock()
	p.policy.tryAgain()
}
