package proxy

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
)

// How a client's wait for a server ended.
const (
	waitGranted  = "granted"
	waitTimeout  = "timeout"  // query_wait_timeout, or the login's
	waitCanceled = "canceled" // by a CancelRequest
	waitLeft     = "left"     // the client left, or had to
	waitFailed   = "failed"   // no server could be had
)

// totals is what a session has had done, for its last line in the log.
type totals struct {
	transactions, queries uint64
	received, sent        uint64        // bytes from and to the client
	waited                time.Duration // for servers
}

// add adds what the pool is about to be told.
func (t *totals) add(w *pool.Work) {
	t.transactions += w.Transactions
	t.queries += w.Queries
	t.received += w.Received
	t.sent += w.Sent
}

// fields tells the totals in a log line.
func (t totals) fields() []zap.Field {
	return []zap.Field{
		zap.Uint64("transactions", t.transactions), zap.Uint64("queries", t.queries),
		zap.Uint64("received", t.received), zap.Uint64("sent", t.sent), zap.Duration("waited", t.waited),
	}
}

// endWait notes that the session waits for a server no more, and reports whether
// it did. mu is held.
func (s *session) endWait() bool {
	waited := s.waiting
	if s.waiting = false; waited {
		s.totals.waited += s.waiter.Waited
	}
	return waited
}

// tellWait tells the log of a wait that took long, once it is over. err is what
// it ended with, nil for a server.
func (s *session) tellWait(w *pool.Waiter, outcome string, err error) {
	limit := s.proxy.settings.Load().SlowWait
	if limit == 0 || w.Waited < limit {
		return
	}
	reason := zap.Skip()
	if err != nil {
		reason = zap.NamedError("reason", err)
	}
	s.proxy.log.Warn("client waited long for a server", append(s.fields(),
		zap.Duration("waited", w.Waited), zap.Int("ahead", w.Ahead), zap.String("outcome", outcome), reason)...)
}

// waitOutcome sorts what a wait ended with.
func waitOutcome(err error) string {
	switch {
	case err == nil:
		return waitGranted
	case errors.Is(err, pool.ErrWaitTimeout), err == login.ErrTimeout:
		return waitTimeout
	case err == errCanceled:
		return waitCanceled
	}
	return waitFailed
}
