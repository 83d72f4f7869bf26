package pool

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/pool/backend"
)

func TestServersMakeWayOneByOneAfterAChangeOfTrust(t *testing.T) {
	inHouse(t, nil, size(5), func(t *testing.T, h *house) {
		var old []*Server
		for range 5 {
			old = append(old, h.take())
		}
		for _, s := range old[:4] {
			h.pool.Release(s)
		}
		h.manager.RotateTrust(h.pool.Database().spec.Load().Trust)

		first := h.take() // the first makes way at once, the others later
		kept := 0
		for _, s := range old[:4] {
			if s == first {
				kept++
			}
		}
		if kept != 1 {
			t.Error("more than one server made way at once")
		}
		h.pool.Release(first)
		for _, s := range old {
			if s != old[4] && s != first && s.Err() == nil && !s.usable() {
				t.Error("a server ended that nobody replaced")
			}
		}
		if !old[4].SetLink(newHolder()) {
			t.Error("a server ended while it was in use")
		}
		pass(2 * sweepEvery)
		h.pool.Release(old[4])
		pass(rotationLimit + backend.CloseWait)
		for _, s := range old {
			if s.Err() == nil {
				t.Error("a server of the old trust is left")
			}
		}
		if s := h.take(); s.origin.epoch != h.pool.Database().epoch() {
			t.Error("a new server counts as an old one")
		} else {
			h.pool.Release(s)
		}
	})
}

func TestNoMoreServersMakeWayThanThePaceAllows(t *testing.T) {
	inHouse(t, nil, size(5), func(t *testing.T, h *house) {
		var old []*Server
		for range 5 {
			old = append(old, h.take())
		}
		h.leave() // so that none is opened ahead
		h.pool.Database().Rotate()
		for _, s := range old {
			h.pool.Release(s)
		}
		if n := madeWay(h.pool); n != 1 {
			t.Errorf("%d servers made way at once", n)
		}
		pass(rotationPause)
		h.pool.sweep()
		if n := madeWay(h.pool); n != 2 {
			t.Errorf("%d servers made way after a pause", n)
		}
		pass(rotationLimit)
		h.wants(0, 0)
	})
}

func TestANewServerIsThereBeforeTheOldOneMakesWay(t *testing.T) {
	const login = 5 * time.Millisecond
	inHouse(t, slowly(login), size(5), func(t *testing.T, h *house) {
		first := h.take()
		h.pool.Release(first)
		h.pool.Database().Rotate()
		s := first
		for s == first { // nobody waits for a login
			if s = h.pool.TryAcquire(nil); s == nil {
				t.Fatal("the only server made way before the new one had come")
			}
			pass(login)
			h.pool.Release(s)
		}
		pass(sweepEvery + backend.CloseWait)
		h.wants(1, 0)
		if first.Err() == nil {
			t.Error("the server of the old trust is left")
		}
	})
}

func TestNoMoreServersThanPoolSizeAreOpenedAhead(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		a, b := h.take(), h.take()
		h.pool.Database().Rotate()
		h.pool.Release(a)
		h.pool.Release(b)
		pass(rotationLimit)
		if _, most := h.fake.Limits(); most > 2 {
			t.Errorf("there were %d servers at once, pool_size is 2", most)
		}
		if a.Err() == nil || b.Err() == nil {
			t.Error("a server of the old trust is left")
		}
	})
}

func TestServersMakeWayAlthoughNoNewOneCanBeOpened(t *testing.T) {
	inHouse(t, nil, size(5), func(t *testing.T, h *house) {
		s := h.take()
		h.fake.SetRefuse(errDown)
		h.pool.Database().Rotate()
		h.pool.Release(s)
		pass(2*sweepEvery + backend.CloseWait)
		h.wants(0, 0)
	})
}

func madeWay(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.policy.rotation.done
}

func TestALargePoolIsRenewedInBoundedTime(t *testing.T) {
	now := time.Now()
	r := rotation{number: 1, since: now.Add(-rotationLimit)}
	for range 10_000 {
		if !r.due(10_000, now) || r.waits(now) {
			t.Fatalf("%d of 10000 servers made way in time", r.done)
		}
		r.replaced(false)
	}
}

func TestAServerThatWasBeingOpenedDuringAChangeOfTrustIsNotLent(t *testing.T) {
	inHouse(t, slowly(time.Second), size(5), func(t *testing.T, h *house) {
		a := ask(h.pool)
		pass(time.Second / 2)
		h.manager.RotateTrust(h.pool.Database().spec.Load().Trust)
		s := a.server(t)
		if n := len(h.fake.Dialed()); n != 2 || s.origin.epoch != h.pool.Database().epoch() {
			t.Errorf("the client got the first of %d servers", n)
		}
		if n := h.logs.FilterMessage("server closed").FilterField(zap.String("reason", ClosedTrust)).Len(); n != 1 {
			t.Errorf("%d log lines tell why the other was closed", n)
		}
		h.pool.Release(s)
		h.wants(1, 0)
	})
}
