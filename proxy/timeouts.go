package proxy

import (
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// What a client is sent if it took longer than it may, and the notice that it
// gets if it has to wait.
var (
	errClientIdle      = wire.Fatal(wire.CodeIdleSession, "terminating connection due to client_idle_timeout")
	errQueryTime       = wire.Fatal(wire.CodeQueryCanceled, "canceling statement and terminating connection due to query_timeout")
	errIdleTransaction = wire.Fatal(wire.CodeIdleInTransaction, "terminating connection due to idle_transaction_timeout")
	errTransactionTime = wire.Fatal(wire.CodeTransactionTimeout, "terminating connection due to transaction_timeout")
)

// activity is what a client spends its time with.
type activity byte

const (
	idle              activity = iota // between transactions
	waiting                           // for a server
	running                           // a query, or sending one
	idleInTransaction                 // between the queries of a transaction
)

// watch follows for how long a client has been at what it does. It is told of
// events and notes times only; one timer, which is never set back while events
// come, has it look at them. Its conversation's lock guards it.
type watch struct {
	limits   pool.Timeouts
	doing    activity
	since    time.Time // doing that; for running: of the query under way
	begun    time.Time // of the transaction; zero if there is none
	answered uint      // ReadyForQuery messages when since was set
	notified bool      // the client knows that it waits
	due      time.Time // when the timer fires; zero if it is not set
}

// note tells what the client does now. answered counts the ReadyForQuery
// messages of its session: each begins another query.
func (w *watch) note(a activity, answered uint) {
	if a == w.doing && (a != running || answered == w.answered) {
		return
	}
	if a != waiting && !w.limits.Bound() {
		w.doing = a // nothing of it is timed
		return
	}
	now := time.Now()
	switch {
	case a == idle || a == waiting:
		w.begun = time.Time{}
	case w.begun.IsZero():
		w.begun = now
	}
	if a == waiting {
		w.notified = false
	}
	w.doing, w.since, w.answered = a, now, answered
}

// expired returns the end of the session if something took too long, and
// whether the client is to be told that it waits.
func (w *watch) expired(now time.Time) (end *wire.Error, notify bool) {
	over := func(limit time.Duration, since time.Time) bool { return limit > 0 && now.Sub(since) >= limit }
	switch {
	case w.doing == idle && over(w.limits.ClientIdle, w.since):
		return errClientIdle, false
	case w.doing == running && over(w.limits.Query, w.since):
		return errQueryTime, false
	case w.doing == idleInTransaction && over(w.limits.IdleTransaction, w.since):
		return errIdleTransaction, false
	case !w.begun.IsZero() && over(w.limits.Transaction, w.begun):
		return errTransactionTime, false
	}
	return nil, w.doing == waiting && !w.notified && over(w.limits.WaitNotify, w.since)
}

// next returns the earliest time at which something can have taken too long,
// or zero. What has not begun yet counts from now, because it may begin without
// a look at the timer; but a client that is idle begins nothing without one.
func (w *watch) next(now time.Time) (due time.Time) {
	from := func(limit time.Duration, begun bool, since time.Time) {
		if limit == 0 {
			return
		}
		at := now.Add(limit)
		if begun {
			at = since.Add(limit)
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	from(w.limits.ClientIdle, w.doing == idle, w.since)
	if w.doing == idle {
		return due
	}
	from(w.limits.Query, w.doing == running, w.since)
	from(w.limits.IdleTransaction, w.doing == idleInTransaction, w.since)
	from(w.limits.Transaction, !w.begun.IsZero(), w.begun)
	if w.doing == waiting && !w.notified {
		from(w.limits.WaitNotify, true, w.since)
	}
	return due
}

// arm returns for how long to set the timer, if it has to be set.
func (w *watch) arm() (d time.Duration, set bool) {
	if w.doing == idle && w.limits.ClientIdle == 0 || w.doing != waiting && !w.limits.Bound() {
		return 0, false
	}
	now := time.Now()
	due := w.next(now)
	if due.IsZero() || !w.due.IsZero() && !w.due.After(due) {
		return 0, false // it fires early enough, and looks again
	}
	w.due = due
	return max(due.Sub(now), 1), true
}

// limit has these limits hold from now on. doing is what the client does; what
// was not watched until now counts from now.
func (w *watch) limit(limits pool.Timeouts, doing activity, answered uint) {
	if w.limits == limits {
		return
	}
	w.since, w.limits, w.due = time.Now(), limits, time.Time{}
	w.doing, w.answered = doing, answered
	if doing >= running && w.begun.IsZero() {
		w.begun = w.since
	}
}

// applyTimeouts applies the timeouts that are configured now. It runs at the
// client's home.
func (s *session) applyTimeouts() {
	limits := s.talk.pool.Database().Timeouts(s.conn.user)
	s.timed = limits.Bound()
	s.talk.limit(limits)
	s.arm()
}

// arm sets the timer if that is needed. It runs at the client's home.
func (s *session) arm() {
	if d, set := s.talk.arm(); set {
		s.link.conn.SetTimeout(d)
	}
}
