package pool

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

// settings reads a list such as "DateStyle=German TimeZone=UTC".
func settings(text string) (list []wire.Parameter) {
	for word := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(word, "=")
		list = append(list, wire.Parameter{Name: name, Value: value})
	}
	return list
}

func exactly(text string) *Need { return &Need{Startup: settings(text), Exact: true} }

// askFor asks for a server that fits the need.
func askFor(p *Pool, n *Need) *asker {
	a := &asker{got: make(chan grant, 1)}
	a.w.Need = n
	a.w.Ready = func(s *Server, err error) { a.got <- grant{s, err} }
	if s, err := p.Acquire(&a.w); s != nil || err != nil {
		a.got <- grant{s, err}
	}
	return a
}

// takeFor gets a server that fits the need.
func (h *house) takeFor(n *Need) *Server {
	h.t.Helper()
	s := askFor(h.pool, n).server(h.t)
	if !slices.Equal(s.Startup, n.opens()) && n.strict() {
		h.t.Errorf("got a server that was opened with %v, want %v", s.Startup, n.Startup)
	}
	return s
}

func TestWhichServersANeedFits(t *testing.T) {
	for _, test := range []struct {
		need   *Need
		server string
		used   bool
		want   bool
	}{
		{nil, "", true, true},
		{nil, "a=1", false, false},
		{&Need{}, "", true, true},
		{&Need{}, "a=1", false, false},
		{&Need{Startup: settings("a=1 b=2 c=3")}, "", true, true},
		{&Need{Startup: settings("a=1 b=2 c=3")}, "a=1 b=2 c=3", true, true},
		{&Need{Startup: settings("a=1 b=2 c=3")}, "a=1 c=3", true, true},
		{&Need{Startup: settings("a=1 B=2 c=3")}, "b=2", true, true},
		{&Need{Startup: settings("a=1 b=2 c=3")}, "b=3", true, false},
		{&Need{Startup: settings("a=1 b=2 c=x")}, "c=X", true, false},
		{&Need{Startup: settings("a=1 b=2 c=3")}, "a=1 d=4", true, false},
		{&Need{Startup: settings("a=1")}, "a=1 b=2", true, false},
		{exactly("a=1 b=2"), "a=1 b=2", true, true},
		{exactly("a=1 b=2"), "A=1 b=2", true, true},
		{exactly("a=1 b=2"), "a=1", true, false},
		{exactly("a=1 b=2"), "", true, false},
		{exactly("a=1"), "a=1 b=2", true, false},
		{exactly(""), "", true, true},
		{exactly(""), "a=1", false, false},
		{&Need{Fresh: true}, "", false, true},
		{&Need{Fresh: true}, "", true, false},
		{&Need{Startup: settings("a=1"), Fresh: true}, "a=1", false, true},
		{&Need{Startup: settings("a=1"), Fresh: true}, "", false, true},
		{&Need{Startup: settings("a=1"), Fresh: true, Exact: true}, "", false, false},
		{&Need{Startup: settings("a=1"), Fresh: true, Exact: true}, "a=1", true, false},
	} {
		if got := test.need.fits(&Server{Startup: settings(test.server), used: test.used}); got != test.want {
			t.Errorf("need %+v fits a server of %q (used: %v): %v", test.need, test.server, test.used, got)
		}
	}
}

func TestAServerIsOpenedWithTheClientsOwnStartupValues(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		plain := h.take()
		h.pool.Release(plain)
		s := h.takeFor(exactly("DateStyle=German TimeZone=CET"))
		if got := h.fake.Peer(1).StartedWith(); got["DateStyle"] != "German" || got["TimeZone"] != "CET" || got["user"] != "app" {
			t.Errorf("the startup packet bears %v", got)
		}
		if plain.Startup != nil {
			t.Errorf("a plain server was opened with %v", plain.Startup)
		}
		h.pool.Release(s)
		if h.take() != plain {
			t.Error("a client that set nothing got the server of one that did")
		}
		if got := h.pool.TryAcquire(&Need{Startup: settings("DateStyle=German TimeZone=CET x=y")}); got != s {
			t.Error("a server that bears what a client set does not fit it")
		}
		if h.pool.TryAcquire(&Need{Startup: settings("DateStyle=ISO TimeZone=CET")}) != nil {
			t.Error("a server is held twice")
		}
		h.pool.Release(s)
		if h.pool.TryAcquire(&Need{Startup: settings("DateStyle=ISO TimeZone=CET")}) != nil {
			t.Error("a client got a server that bears another value than it set")
		}
		h.pool.Release(plain)
		h.wants(2, 0)
	})
}

func TestAFreshServerWasLentToNobodyBefore(t *testing.T) {
	inHouse(t, nil, size(3), func(t *testing.T, h *house) {
		used := h.take()
		h.pool.Release(used)
		pass(time.Millisecond)
		first := h.takeFor(&Need{Fresh: true})
		h.pool.Release(first)
		second := h.takeFor(&Need{Fresh: true})
		h.pool.Release(second)
		if first == used || second == first || second == used || len(h.fake.Dialed()) != 3 {
			t.Error("a server was taken for fresh that was lent before")
		}
		pass(sweepEvery)
		third := h.takeFor(&Need{Fresh: true}) // at the limit one makes way
		if _, most := h.fake.Limits(); most > 3 {
			t.Errorf("there were %d servers at once", most)
		}
		if used.Err() == nil || first.Err() != nil || second.Err() != nil {
			t.Error("another server made way than that which was idle for longest")
		}
		h.pool.Release(third)
	})
}

func TestAServerThatWasOnlyAskedWhetherItLivesIsStillFresh(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.MinPoolSize = new(1)
		s.Defaults.ServerIdleTimeout = 0
	}, func(t *testing.T, h *house) {
		pass(2*sweepEvery + DefaultConfig().ServerCheckDelay)
		h.pool.Release(h.takeFor(&Need{Fresh: true}))
		if n := len(h.fake.Dialed()); n != 1 {
			t.Errorf("%d servers were opened", n)
		}
	})
}

func TestAClientGetsTheServerThatItHeldLast(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		list := []*Server{h.take(), h.take(), h.take(), h.takeFor(exactly("a=1"))}
		for _, s := range list {
			h.pool.Release(s)
		}
		for i, s := range list[:3] {
			if h.pool.TryAcquire(&Need{Last: s}) != s {
				t.Errorf("not the server that the client held last, number %d", i)
			}
			h.pool.Release(s)
		}
		// The order of the others is kept: that which was used last comes first.
		order := []*Server{list[2], list[1], list[0]}
		if got := h.pool.TryAcquire(&Need{Last: list[1]}); got != list[1] {
			t.Error("not the server that the client held last")
		}
		for _, want := range []*Server{order[0], order[2]} {
			if got := h.pool.TryAcquire(&Need{Last: list[1]}); got != want {
				t.Errorf("got server %v of %v", got, list)
			}
		}
		if h.pool.TryAcquire(&Need{Last: list[3]}) != nil {
			t.Error("the server held last was lent although it does not fit")
		}
		if h.pool.TryAcquire(&Need{Startup: settings("a=1 b=2"), Last: list[0]}) != list[3] {
			t.Error("a server that fits was not lent")
		}
		for _, s := range list {
			h.pool.Release(s)
		}
	})
}

// At the limit a server that comes back ends for the client at the head that it
// does not fit, once; those behind are served meanwhile.
func TestASpecialNeedIsNeitherStarvedNorDoesItStarveOthers(t *testing.T) {
	inHouse(t, slowly(10*time.Millisecond), size(4), func(t *testing.T, h *house) {
		held := []*Server{h.take(), h.take(), h.take(), h.take()}
		special := askFor(h.pool, exactly("a=1"))
		plain := askers(h.pool, 3)
		for _, s := range held {
			h.pool.Release(s)
		}
		for i, a := range plain {
			if !a.answered() {
				t.Errorf("plain client %d waits for a server that came back", i)
			}
		}
		if special.answered() {
			t.Error("a plain server was lent to who needs a special one")
		}
		s := special.server(t)
		if held[0].Err() == nil {
			t.Error("the first server that came back did not make way")
		}
		// And the other way round: special servers make way for plain clients.
		last := ask(h.pool)
		again := askFor(h.pool, exactly("a=1"))
		h.pool.Release(s)
		if got := last.server(t); got.special() {
			t.Error("a special server was lent to a plain client")
		} else {
			h.pool.Release(got)
		}
		for _, a := range plain {
			h.pool.Release(a.server(t))
		}
		h.pool.Release(again.server(t))
		if _, most := h.fake.Limits(); most > 4 {
			t.Errorf("there were %d servers at once", most)
		}
	})
}

func TestAtTheLimitAnIdleServerThatDoesNotFitMakesWay(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		for range 3 {
			h.pool.Release(h.takeFor(exactly("a=1")))
			h.pool.Release(h.takeFor(exactly("b=2")))
			h.pool.Release(h.takeFor(nil))
		}
		if _, most := h.fake.Limits(); most != 1 {
			t.Errorf("there were %d servers at once", most)
		}
	})
}

func TestAnIdleServerOfTheSamePoolMakesRoomInItsShares(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.DatabaseLimits.MaxDBConnections = new(2) }, func(t *testing.T, h *house) {
		a, b := h.take(), h.take()
		h.pool.Release(a)
		s := h.takeFor(exactly("a=1"))
		waiting := askFor(h.pool, exactly("b=2"))
		behind := ask(h.pool)
		h.wants(2, 2)
		h.pool.Release(b)
		h.pool.Release(waiting.server(t))
		h.pool.Release(s)
		h.pool.Release(behind.server(t))
		if _, most := h.fake.Limits(); most != 2 {
			t.Errorf("there were %d servers at once", most)
		}
	})
}

func TestSpecialServersAreBoundedToHalfOfAPool(t *testing.T) {
	inHouse(t, nil, size(4), func(t *testing.T, h *house) {
		a, b := h.takeFor(exactly("a=1")), h.takeFor(exactly("b=2"))
		c, again := askFor(h.pool, exactly("c=3")), askFor(h.pool, exactly("b=2"))
		h.wants(2, 2)
		h.pool.Release(h.takeFor(nil)) // who is bounded holds up nobody
		h.wants(3, 2)
		h.pool.Release(b) // it makes way for who has waited longer
		s := c.server(t)
		if b.Err() == nil || again.answered() {
			t.Error("a special server did not make way for another")
		}
		h.pool.Release(a)
		h.pool.Release(again.server(t))
		h.pool.Release(s)
		// Of those that are idle that which was idle for longest makes way.
		pass(time.Second)
		d := h.takeFor(exactly("d=4"))
		h.wants(3, 0)
		h.pool.Release(d)
	})
}

func TestInSessionModeSpecialServersAreNotBounded(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.PoolSize, s.DatabaseLimits.PoolMode = 4, SessionMode
	}, func(t *testing.T, h *house) {
		var list []*Server
		for _, text := range []string{"a=1", "b=2", "c=3", "d=4"} {
			list = append(list, h.takeFor(exactly(text)))
		}
		waiting := ask(h.pool)
		h.wants(4, 1)
		h.pool.Release(list[0])
		h.pool.Release(waiting.server(t))
		for _, s := range list[1:] {
			h.pool.Release(s)
		}
	})
}

func TestAValueThatTheServerRefusesFailsItsClientAlone(t *testing.T) {
	picky := func(p *peer) {
		switch p.Startup()["DateStyle"] {
		case "wrong":
			p.Fail("FATAL", "22023", `invalid value for parameter "DateStyle": "wrong"`)
		case "crowded":
			p.Fail("FATAL", "53300", "sorry, too many clients already")
		default:
			p.Welcome()
			p.Rest()
		}
	}
	inHouse(t, picky, nil, func(t *testing.T, h *house) {
		wrong, plain, right := askFor(h.pool, exactly("DateStyle=wrong")), ask(h.pool), askFor(h.pool, exactly("DateStyle=ISO"))
		code(t, wrong.refusal(t), "22023")
		if err := h.pool.LastError(); err != nil {
			t.Errorf("others would be told %v", err)
		}
		h.pool.Release(plain.server(t))
		h.pool.Release(right.server(t))
		h.wants(2, 0)
		left := askFor(h.pool, exactly("DateStyle=wrong"))
		h.pool.Leave(&left.w)
		h.wants(2, 0)
		if left.answered() {
			t.Error("a client that left was told")
		}
		h.manager.Reconnect("app")
		h.wants(0, 0)
		code(t, askFor(h.pool, exactly("DateStyle=crowded")).refusal(t), "53300")
		code(t, h.pool.LastError(), "53300")
	})
}

func TestMinPoolSizeCountsPlainServersOnly(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.MinPoolSize, s.PoolSize = new(2), 6
	}, func(t *testing.T, h *house) {
		a, b := h.takeFor(exactly("a=1")), h.takeFor(exactly("b=2"))
		h.pool.Release(a)
		h.pool.Release(b)
		pass(2 * sweepEvery)
		h.wants(4, 0)
		pass(DefaultConfig().ServerIdleTimeout + 2*sweepEvery + backend.CloseWait)
		h.wants(2, 0)
		if a.Err() == nil || b.Err() == nil {
			t.Error("special servers were kept although they were idle for long")
		}
	})
}

// mute is the script of a server that answers no query.
func mute(p *peer) {
	p.Startup()
	p.Welcome()
	p.Hold()
}

func TestNobodyWaitsInVainForAServerThatIsAskedAndDoesNotFit(t *testing.T) {
	for name, need := range map[string]*Need{"special": exactly("a=1"), "fresh": {Fresh: true}} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, mute, nil, func(t *testing.T, h *house) {
				h.pool.Release(h.take())
				pass(DefaultConfig().ServerCheckDelay)
				plain := ask(h.pool) // waits for the answer
				strict := askFor(h.pool, need)
				synctest.Wait()
				if plain.answered() || !strict.answered() {
					t.Error("no server was opened beside one that is being asked, for who needs it")
				}
				h.pool.Release(strict.server(t))
				h.pool.Release(plain.server(t))
			})
		})
	}
}

func TestANewServerGoesToWhoHasWaitedLongestWhereItFitsBoth(t *testing.T) {
	inHouse(t, mute, nil, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		pass(DefaultConfig().ServerCheckDelay)
		first, second := ask(h.pool), ask(h.pool)
		synctest.Wait()
		if !first.answered() || second.answered() {
			t.Error("a new server went past the head of the queue")
		}
		h.pool.Release(first.server(t))
		h.pool.Release(second.server(t))
	})
}

func TestANewcomerTakesNoIdleServerFromWhoWaits(t *testing.T) {
	inHouse(t, mute, func(s *Spec) { s.Defaults.ServerRoundRobin = true }, func(t *testing.T, h *house) {
		old, idle := h.take(), h.take()
		h.pool.Release(old)
		pass(DefaultConfig().ServerCheckDelay)
		h.pool.Release(idle)
		first := ask(h.pool) // waits for the answer of the one that was used first
		if h.pool.TryAcquire(nil) != nil {
			t.Error("a newcomer went past who waits")
		}
		h.pool.Release(first.server(t))
	})
}

func TestTheServerHeldLastIsNotWaitedForWhereAnotherIsReady(t *testing.T) {
	inHouse(t, mute, nil, func(t *testing.T, h *house) {
		last, other := h.take(), h.take()
		h.pool.Release(last)
		pass(DefaultConfig().ServerCheckDelay)
		h.pool.Release(other)
		if h.pool.TryAcquire(&Need{Last: last}) != other {
			t.Error("a server that has to be asked first was preferred")
		}
		h.pool.Release(other)
	})
}

func TestNoSecondServerMakesWayWhileOneIsOpened(t *testing.T) {
	inHouse(t, slowly(time.Second), size(3), func(t *testing.T, h *house) {
		held := []*Server{h.take(), h.take(), h.take()}
		first, second := askFor(h.pool, &Need{Fresh: true}), askFor(h.pool, &Need{Fresh: true})
		behind := ask(h.pool)
		h.pool.Release(held[0])
		pass(time.Second / 2) // it has gone, and the first is served soon
		h.pool.Release(held[1])
		if !behind.answered() {
			t.Error("two servers made way for two clients, while one was opened")
		}
		h.pool.Release(first.server(t))
		h.pool.Release(second.server(t))
		h.pool.Release(behind.server(t))
		h.pool.Release(held[2])
	})
}

func TestWhoHasAPlaceForHisOwnToWaitForIsNotHeldUpByWhoIsBounded(t *testing.T) {
	inHouse(t, nil, size(3), func(t *testing.T, h *house) {
		a := h.takeFor(exactly("a=1"))
		bounded := askFor(h.pool, exactly("b=2"))
		pass(time.Millisecond)
		own := askDedicated(t.Context(), h.pool)
		h.pool.Release(own.server(t))
		h.pool.Release(a)
		h.pool.Release(bounded.server(t))
	})
}

// Whatever others need, everybody is served in time, with what he needs, and
// neither bound is ever passed.
func TestNobodyStarvesWhateverOthersNeed(t *testing.T) {
	for seed := range uint64(6) {
		const limit, clients, rounds = 4, 24, 30
		inHouse(t, slowly(5*time.Millisecond), func(s *Spec) {
			s.PoolSize = limit
			s.Defaults.ServerCheckDelay = 20 * time.Millisecond
		}, func(t *testing.T, h *house) {
			var all sync.WaitGroup
			var longest atomic.Int64
			for i := range clients {
				all.Go(func() {
					random := rand.New(rand.NewPCG(seed, uint64(i)))
					var last *Server
					for range rounds {
						n := needAtRandom(random, last)
						if i == 0 { // all others are served before, if order is not kept
							n = exactly("d=4")
						}
						a := askFor(h.pool, n)
						last = a.server(t)
						longest.Store(max(longest.Load(), int64(a.w.Waited)))
						h.pool.mu.Lock()
						if special := h.pool.policy.places.specials; special > limit/2 {
							t.Errorf("there are %d special servers of %d", special, limit)
						}
						h.pool.mu.Unlock()
						if n.strict() && n.Exact && !slices.Equal(last.Startup, n.Startup) || n == nil && last.special() {
							t.Errorf("who needs %+v got a server with %v", n, last.Startup)
						}
						pass(time.Duration(random.IntN(10)) * time.Millisecond)
						h.pool.Release(last)
						pass(time.Duration(random.IntN(30)) * time.Millisecond)
					}
				})
			}
			all.Wait()
			if waited := time.Duration(longest.Load()); waited > time.Second {
				t.Errorf("seed %d: somebody waited for %v", seed, waited)
			}
			if _, most := h.fake.Limits(); most > limit {
				t.Errorf("there were %d servers at once", most)
			}
		})
	}
}
