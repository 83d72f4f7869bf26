package login

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/proxy/guard"
)

// begin begins the login of one end of a pipe, and returns the other.
func begin(t *testing.T, c Config) (*Login, net.Conn) {
	t.Helper()
	p := New(zap.NewNop(), nil, guard.NewHandshakeLimiter(), guard.NewFailedLoginLimiter())
	p.Configure(Settings{Auth: c})
	ours, theirs := net.Pipe()
	l := p.Begin(engine.NewTransport(ours), time.Hour)
	t.Cleanup(func() {
		l.End()
		p.Stop()
		ours.Close()
		theirs.Close()
	})
	return l, theirs
}

// Time that passes between the message and the pause is that of computing.
func TestTheTimeOfARefusalDoesNotTellWhatWasComputed(t *testing.T) {
	const delay = 100 * time.Millisecond
	for computed, want := range map[time.Duration]time.Duration{
		0: delay, time.Millisecond: delay, 99 * time.Millisecond: delay,
		101 * time.Millisecond: 2 * delay, 199 * time.Millisecond: 2 * delay, 950 * time.Millisecond: 10 * delay,
	} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := begin(t, Config{AuthDelay: delay})
			for _, reason := range []Reason{WrongPassword, LDAPError} { // which tells of an entry that is there
				l.heard = time.Now()
				<-time.After(computed)
				l.AwaitAnswer(&Refusal{Reason: reason})
				if took := time.Since(l.heard); took != want {
					t.Errorf("%v: after %v of computing the answer comes after %v, want %v", reason, computed, took, want)
				}
			}
			began := time.Now()
			l.AwaitAnswer(Violation("malformed"))
			if took := time.Since(began); took != 0 {
				t.Errorf("what is no guess waits for %v", took)
			}
		})
	}
}

func TestTheMomentOfAnAnswerHoldsBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := begin(t, Config{AuthDelay: 3 * time.Second})
		<-time.After(time.Hour - time.Second)
		l.heard = time.Now()
		if l.AwaitAnswer(&Refusal{Reason: WrongPassword}); time.Since(l.heard) != 3*time.Second {
			t.Errorf("it was answered after %v", time.Since(l.heard))
		}
	})
}

func TestALoginEndsAtItsDeadlineOrWhenItIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := begin(t, Config{})
		began := time.Now()
		if _, err := l.Negotiate(Policy{}); err != ErrTimeout || time.Since(began) != time.Hour {
			t.Errorf("after %v it ended with %v", time.Since(began), err)
		}
		synctest.Wait()
		if cause := context.Cause(l.Context()); cause != ErrTimeout {
			t.Errorf("its context ends with %v", cause)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l, _ := begin(t, Config{AuthDelay: time.Minute})
		l.heard = time.Now()
		time.AfterFunc(time.Second, l.BreakOff)
		if l.AwaitAnswer(&Refusal{Reason: UnknownRole}); time.Since(l.heard) != time.Second {
			t.Errorf("it was answered after %v", time.Since(l.heard))
		}
	})
}
