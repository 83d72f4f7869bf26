package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errWrong = &FailedProof{WrongPassword, errors.New("wrong")}

// as is a login of a role from somewhere.
func as(role string) Login { return Login{Role: role, Database: "app"} }

// capped reports whether a right proof would not be heeded.
func capped(l *FailedLoginLimiter, who Login) bool { return l.Decide(who, nil) != nil }

// fail has who fail n times, each of which is to be heeded.
func fail(t *testing.T, l *FailedLoginLimiter, who Login, n int) {
	t.Helper()
	for i := range n {
		if why := l.Decide(who, errWrong); why != errWrong {
			t.Fatalf("failure %d of %v is refused for %v", i+1, who, why)
		}
	}
}

// flood has n other roles fail once each.
func flood(l *FailedLoginLimiter, n int) {
	for i := range n {
		l.Decide(as(fmt.Sprintf("name %d", i)), errWrong)
	}
}

func limited(perSource, perRole int) *FailedLoginLimiter {
	l := NewFailedLoginLimiter()
	l.SetLimits(perSource, perRole)
	return l
}

func TestFailuresRunOutInAMinute(t *testing.T) {
	a, b := Login{Source: source("10.0.0.1"), Role: "a"}, Login{Source: source("10.0.0.2"), Role: "b"}
	for _, limits := range [][2]int{{60, 0}, {0, 60}} { // per source, and per role
		synctest.Test(t, func(t *testing.T) {
			l := limited(limits[0], limits[1])
			fail(t, l, a, 60)
			if !capped(l, a) || capped(l, b) {
				t.Fatal("not full after 60, or for somebody else")
			}
			time.Sleep(time.Second)
			if capped(l, a) {
				t.Error("none ran out in a second")
			}
			fail(t, l, a, 1)
			if !capped(l, a) {
				t.Error("more than one ran out in a second")
			}
			l.SetLimits(0, 0)
			if capped(l, a) {
				t.Error("full without a limit")
			}
			l.SetLimits(limits[0], limits[1])
			time.Sleep(time.Minute)
			fail(t, l, a, 60)
		})
	}
}

func TestAFloodOfNamesNeitherHidesANameNorFillsOthers(t *testing.T) {
	for _, n := range []int{10_000, maxEntries - 1} { // as many as are kept beside it
		synctest.Test(t, func(t *testing.T) { // no time passes
			l := limited(0, 60)
			fail(t, l, as("guessed"), 60)
			flood(l, n)
			if !capped(l, as("guessed")) {
				t.Error("the flood hid the name")
			}
			if capped(l, as("innocent")) {
				t.Error("the flood filled another name")
			}
		})
	}
}

// Beyond what is kept a name counts as the fullest that was pushed out: it can't
// be made to be forgotten, and it runs out as if it were kept.
func TestAFloodThatPushesANameOutGivesItNoMoreTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limited(0, 60)
		fail(t, l, as("guessed"), 60)
		flood(l, 2*maxEntries)
		if !capped(l, as("guessed")) {
			t.Error("the flood hid the name")
		}
		time.Sleep(time.Second)
		if capped(l, as("innocent")) {
			t.Error("a name that did not fail is closed for longer than a sixtieth of a minute")
		}
		fail(t, l, as("guessed"), 1)
		if !capped(l, as("guessed")) {
			t.Error("the flood gave the name more than what ran out")
		}
		time.Sleep(time.Minute)
		fail(t, l, as("guessed"), 60)
		fail(t, l, as("innocent"), 60)
	})
}

func TestAFloodLeavesOthersWhatTheFullestPushedOutHasRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limited(0, 60)
		fail(t, l, as("guessed"), 60)
		const parts = 64
		for part := range parts { // in half a minute
			time.Sleep(30 * time.Second / parts)
			for n := range maxEntries / parts {
				l.Decide(as(fmt.Sprint(part, n)), errWrong)
			}
		}
		flood(l, 1)
		fail(t, l, as("guessed"), 30)
		fail(t, l, as("innocent"), 30)
		if !capped(l, as("guessed")) || !capped(l, as("innocent")) {
			t.Error("a name that was pushed out has more left than before")
		}
	})
}

func TestTheFailuresOfManyNamesAreBoundedInMemory(t *testing.T) {
	l := limited(0, 60)
	flood(l, 2*maxEntries)
	if n := l.roles.byName.Len(); n != maxEntries {
		t.Errorf("%d names are kept, want %d", n, maxEntries)
	}
}

func TestALoginExemptsForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limited(0, 1)
		here, there := source("10.0.0.1"), source("10.0.0.2")
		alice := Login{here, "alice", "app"}
		for _, role := range []string{"alice", "bob"} {
			l.Decide(as(role), errWrong)
		}
		l.Succeeded(alice)
		exempt := func(want bool) {
			t.Helper()
			l.Decide(Login{there, "alice", "app"}, errWrong) // so that the role stays closed
			if capped(l, alice) == want {
				t.Errorf("it is exempt: %t", !want)
			}
		}
		exempt(true)
		for _, who := range []Login{{there, "alice", "app"}, {here, "bob", "app"}, {here, "alice", "other"}} {
			if !capped(l, who) {
				t.Errorf("%v did not come in and is exempt", who)
			}
		}
		time.Sleep(time.Hour - 1)
		exempt(true)
		time.Sleep(time.Nanosecond)
		exempt(false)
		l.Succeeded(alice)
		time.Sleep(time.Hour / 2)
		l.Succeeded(alice)
		time.Sleep(time.Hour / 2)
		exempt(true) // a second login counts
	})
}

func TestTheMemoryOfLoginsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limited(1, 0)
		name := func(n int) Login { return as(fmt.Sprintf("role %d", n)) }
		for n := range 2 * maxEntries {
			l.Succeeded(name(n))
			l.Succeeded(name(0)) // comes in all the time
		}
		if n := l.succeeded.Len(); n != maxEntries {
			t.Errorf("%d logins are remembered, want %d", n, maxEntries)
		}
		l.Decide(as("guessed"), errWrong)
		for n := range maxEntries - 1 {
			if capped(l, name(2*maxEntries-1-n)) {
				t.Fatalf("the last login but %d is forgotten", n)
			}
		}
		if capped(l, name(0)) || !capped(l, name(1)) {
			t.Error("who comes in all the time is forgotten, or who does not is not")
		}
	})
}

func TestProofsThatComeTogetherAreCappedLikeOthers(t *testing.T) {
	l := limited(10, 0)
	var wrong [100]*FailedProof
	var all sync.WaitGroup
	for i := range wrong {
		all.Go(func() { wrong[i] = l.Decide(as("alice"), errWrong) })
	}
	all.Wait()
	heeded := 0
	for _, why := range wrong {
		if why == errWrong {
			heeded++
		}
	}
	if heeded < 10 || heeded > 11 { // one may run out while they come
		t.Errorf("%d guesses were heeded, want 10", heeded)
	}
	counts := l.Counts()
	if counts.Reasons[WrongPassword] != uint64(heeded) || counts.SourceCapped != uint64(len(wrong)-heeded) {
		t.Errorf("counted %+v", counts)
	}
}

func TestWhatIsNotHeededCountsNoMore(t *testing.T) {
	l := limited(2, 3)
	many := Login{Source: netip.MustParsePrefix("10.0.0.1/32"), Role: "alice"}
	for range 10 {
		l.Decide(many, errWrong)
	}
	fail(t, l, Login{Source: netip.MustParsePrefix("10.0.0.2/32"), Role: "alice"}, 1)
	if why := l.Decide(Login{Source: netip.MustParsePrefix("10.0.0.3/32"), Role: "alice"}, nil); why != ErrRoleCapped {
		t.Errorf("after three of the role: %v", why)
	}
}

func TestTheAnswerComesAtAMultipleOfTheDelay(t *testing.T) {
	const delay = 100 * time.Millisecond
	heard := time.Now()
	for took, want := range map[time.Duration]time.Duration{
		-time.Second: delay, 0: delay, 99 * time.Millisecond: delay, delay: 2 * delay, 950 * time.Millisecond: 10 * delay,
	} {
		if at := AnswerTime(heard, heard.Add(took), delay); at.Sub(heard) != want {
			t.Errorf("after %v it comes after %v, want %v", took, at.Sub(heard), want)
		}
	}
	if now := time.Now(); AnswerTime(now.Add(-time.Second), now, 0) != now {
		t.Error("without auth_delay the answer waits")
	}
}
