package engine

import (
	"testing"
	"time"
)

// keptWithin is how exact timeouts are.
const keptWithin = 100 * time.Millisecond

// punctual repeats a measurement that a busy machine may have spoilt. measure
// returns how late something was; early is never excused.
func punctual(t *testing.T, measure func() time.Duration) {
	t.Helper()
	var late time.Duration
	for range 5 {
		late = measure()
		if late < 0 {
			t.Fatalf("it came %v early", -late)
		}
		if late <= keptWithin {
			return
		}
	}
	t.Errorf("it came %v late, more than %v", late, keptWithin)
}

func TestATimeoutIsKept(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		fired := make(chan time.Time, 10)
		h.timedOut = func() { fired <- time.Now() }
		adopt(t, e, secure, h)
		punctual(t, func() time.Duration {
			due := time.Now().Add(30 * time.Millisecond)
			at(t, h.conn, func() { h.conn.SetTimeout(30 * time.Millisecond) })
			return receive(t, "the timeout", fired).Sub(due)
		})
	})
}

func TestATimeoutIsKeptWhilePaused(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h, _ := pausedPeer(t, e, secure)
		fired := make(chan time.Time, 10)
		at(t, h.conn, func() { h.timedOut = func() { fired <- time.Now() } })
		punctual(t, func() time.Duration {
			due := time.Now().Add(30 * time.Millisecond)
			at(t, h.conn, func() { h.conn.SetTimeout(30 * time.Millisecond) })
			return receive(t, "the timeout", fired).Sub(due)
		})
	})
}

func TestATimeoutIsReplacedAndCancelled(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		cancelled, replaced := newHandler(), newHandler()
		adopt(t, e, false, cancelled)
		adopt(t, e, false, replaced)
		cancelled.timedOut = func() { t.Error("a timeout that was cancelled fired") }
		fired := make(chan time.Time, 10)
		replaced.timedOut = func() { fired <- time.Now() }
		at(t, cancelled.conn, func() {
			cancelled.conn.SetTimeout(50 * time.Millisecond)
			cancelled.conn.SetTimeout(0)
		})
		var due time.Time
		at(t, replaced.conn, func() {
			replaced.conn.SetTimeout(time.Hour)
			replaced.conn.SetTimeout(20 * time.Millisecond)
			due = time.Now().Add(200 * time.Millisecond)
			replaced.conn.SetTimeout(200 * time.Millisecond)
		})
		if early := due.Sub(receive(t, "the timeout", fired)); early > 0 {
			t.Errorf("it came %v early", early)
		}
		at(t, cancelled.conn, func() {})
		if len(fired) > 0 {
			t.Error("TimedOut was called twice")
		}
	})
}

func TestAHandlerMaySetTheNextTimeoutInTimedOut(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		h := newHandler()
		fired := make(chan struct{}, 10)
		n := 0
		h.timedOut = func() {
			if n++; n < 3 {
				h.conn.SetTimeout(time.Nanosecond)
			}
			fired <- struct{}{}
		}
		adopt(t, e, false, h)
		at(t, h.conn, func() { h.conn.SetTimeout(time.Nanosecond) })
		for range 3 {
			receive(t, "a timeout", fired)
		}
	})
}
