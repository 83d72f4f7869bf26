package engine

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
)

func TestAPulseTellsOfALoopThatComesToNothing(t *testing.T) {
	e, err := NewLoops(zap.NewNop(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := NewPulse(e)
	answered := func(n uint64) func() bool {
		return func() bool {
			loops := p.Stats()
			return loops[0].Lag.Count() == n && loops[1].Lag.Count() == n
		}
	}
	wait := func(what string, condition func() bool) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !condition() {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("it did not come about that %s", what)
			}
		}
	}
	p.probe()
	wait("both loops answer", answered(1))
	if late := p.Late(); late != 0 {
		t.Errorf("a loop that has answered is late by %v", late)
	}
	busy, free := make(chan struct{}), make(chan struct{})
	e.loops[1].post(func() { close(busy); <-free })
	<-busy
	p.probe()
	p.probe()
	wait("one loop is late", func() bool { return p.Late() > 20*time.Millisecond })
	close(free)
	slow := func() *stats.Distribution { return &p.Stats()[1].Lag }
	wait("it has answered once", func() bool { return p.Late() == 0 && slow().Count() == 2 })
	if lag := slow(); lag.Sum < 20*time.Millisecond {
		t.Errorf("its lag is %v", lag.Sum)
	}
}

func TestAPanicOfAHandlerIsCounted(t *testing.T) {
	e, err := NewLoops(zap.NewNop(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := &loopConn{loop: e.loops[0], dueAt: -1, closed: true}
	done := make(chan struct{})
	e.loops[0].post(func() {
		c.protect(func() { panic("boo") })
		close(done)
	})
	<-done
	if s := e.Stats(); len(s) != 1 || s[0].Panics != 1 || s[0].Connections != 0 {
		t.Errorf("the engine tells %+v", s)
	}
}
