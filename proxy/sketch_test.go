package proxy

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailuresRunOutInAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := newSketch()
		for n := range 60 {
			if counts.full("a", 60, time.Now()) {
				t.Fatalf("full after %d", n)
			}
			counts.add("a", 60, time.Now())
		}
		if !counts.full("a", 60, time.Now()) || counts.full("b", 60, time.Now()) || counts.full("a", 0, time.Now()) {
			t.Fatal("not full after 60, or for somebody else, or without a limit")
		}
		<-time.After(time.Second)
		if counts.full("a", 60, time.Now()) {
			t.Error("none ran out in a second")
		}
		counts.add("a", 60, time.Now())
		if !counts.full("a", 60, time.Now()) {
			t.Error("more than one ran out in a second")
		}
		<-time.After(time.Minute)
		for n := range 60 {
			if counts.full("a", 60, time.Now()) {
				t.Fatalf("full after a minute and %d", n)
			}
			counts.add("a", 60, time.Now())
		}
	})
}

func TestAFloodOfNamesNeitherHidesANameNorFillsOthers(t *testing.T) {
	counts, now := newSketch(), time.Now() // no time passes
	for range 60 {
		counts.add("guessed", 60, now)
	}
	for n := range 10_000 {
		counts.add(fmt.Sprintf("name %d", n), 60, now)
	}
	if !counts.full("guessed", 60, now) {
		t.Error("the flood hid the name")
	}
	if counts.full("innocent", 60, now) {
		t.Error("the flood filled another name")
	}
}

func TestALoginIsRememberedForAnHour(t *testing.T) {
	var r recent
	began := time.Now()
	here, there := netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.2/32")
	r.add(login{here, "alice", "app"}, began)
	for l, want := range map[login]bool{{here, "alice", "app"}: true, {there, "alice", "app"}: false, {here, "bob", "app"}: false, {here, "alice", "other"}: false} {
		if r.has(l, began.Add(recentTime-1)) != want {
			t.Errorf("%v: want %t", l, want)
		}
	}
	if r.has(login{here, "alice", "app"}, began.Add(recentTime)) {
		t.Error("it is remembered for longer")
	}
	r.add(login{here, "alice", "app"}, began.Add(recentTime/2))
	if !r.has(login{here, "alice", "app"}, began.Add(recentTime)) {
		t.Error("a second login does not count")
	}
}

func TestTheMemoryOfLoginsIsBounded(t *testing.T) {
	var r recent
	now := time.Now()
	name := func(n int) login { return login{role: fmt.Sprintf("role %d", n)} }
	for n := range 3 * recentHalf {
		r.add(name(n), now)
		r.add(name(0), now) // comes in all the time
	}
	if n := len(r.young) + len(r.old); n > 2*recentHalf {
		t.Errorf("%d logins are remembered, more than %d", n, 2*recentHalf)
	}
	for n := range recentHalf - 1 {
		if !r.has(name(3*recentHalf-1-n), now) {
			t.Fatalf("the last login but %d is forgotten", n)
		}
	}
	if !r.has(name(0), now) || r.has(name(1), now) {
		t.Error("who comes in all the time is forgotten, or who does not is not")
	}
}
