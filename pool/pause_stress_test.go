package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// TestNothingIsLostWhateverAdministratorsDo has clients with servers lent and of
// their own work on two databases while administrators pause, kill, resume,
// reconnect, disable, watch and reload at random. Then everybody is served, and
// all counters are what a recount finds.
func TestNothingIsLostWhateverAdministratorsDo(t *testing.T) {
	for seed := range uint64(12) {
		inHouse(t, slowly(20*time.Millisecond), nil, func(t *testing.T, h *house) {
			limits := func(_ string, s *Spec) {
				s.PoolSize, s.ReservePoolSize = 3, new(1)
				s.Defaults.MaxUserConnections = 5
				s.Defaults.ReservePoolTimeout = 100 * time.Millisecond
				s.Defaults.ServerCheckDelay = 200 * time.Millisecond
				s.Defaults.ServerIdleTimeout = 3 * time.Second
			}
			app, other := both(h, limits)
			var stop atomic.Bool
			var people sync.WaitGroup
			served := map[*Pool]*atomic.Int64{app: {}, other: {}}
			for i := range 12 {
				p := []*Pool{app, other}[i%2]
				people.Go(func() { clientOf(t, p, rand.New(rand.NewPCG(seed, uint64(i))), &stop, served[p]) })
			}
			for i := range 3 {
				people.Go(func() {
					random := rand.New(rand.NewPCG(seed, 100+uint64(i)))
					for !stop.Load() {
						pass(time.Duration(random.IntN(40)) * time.Millisecond)
						administer(t, h, limits, random)
					}
				})
			}
			pass(20 * time.Second)
			stop.Store(true)
			// Whatever is paused now, or by who has not looked up yet, is resumed.
			released := make(chan struct{})
			go func() { people.Wait(); close(released) }()
			for done := false; !done; {
				h.manager.Resume("")
				h.manager.Enable("", true)
				select {
				case <-released:
					done = true
				case <-time.After(time.Second):
				}
			}
			h.manager.Resume("")
			for _, p := range []*Pool{app, other} {
				if served[p].Load() == 0 {
					t.Errorf("seed %d: no client of %s was served", seed, p.db.Name)
				}
				p.Release(ask(p).server(t))
			}
			pass(time.Minute) // all that is idle ends
			synctest.Wait()
			recount(t, h.manager, seed)
		})
	}
}

// clientOf takes servers and gives them back, gives up waiting, discards some,
// and has some of its own.
func clientOf(t *testing.T, p *Pool, random *rand.Rand, stop *atomic.Bool, served *atomic.Int64) {
	var s *Server
	for !stop.Load() {
		pass(time.Duration(random.IntN(20)) * time.Millisecond)
		last := s
		if random.IntN(8) == 0 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(300))*time.Millisecond)
			own, err := p.OpenDedicated(ctx, replication)
			cancel()
			if err != nil {
				tolerable(t, err)
				continue
			}
			s = own
		} else if s = lend(t, p, random, last); s == nil {
			continue
		}
		served.Add(1)
		link := newHolder()
		taken := s.SetLink(link)
		pass(time.Duration(random.IntN(10)) * time.Millisecond)
		switch {
		case !taken:
			p.Discard(s)
		case random.IntN(10) == 0:
			s.Break()
			<-link.closed
			p.Discard(s)
		default:
			p.Release(s)
		}
	}
}

// needAtRandom returns what a client may need: half of them any server.
func needAtRandom(random *rand.Rand, last *Server) *Need {
	n := &Need{Startup: settings([]string{"a=1", "a=1 b=2", "b=2", "c=3"}[random.IntN(4)]), Last: last}
	switch random.IntN(8) {
	case 0:
		n.Exact = true
	case 1:
		n.Fresh = true
	case 2:
		n.Exact, n.Fresh = true, true
	case 3:
	default:
		return nil
	}
	return n
}

// lend waits for a server, some time or as long as it takes.
func lend(t *testing.T, p *Pool, random *rand.Rand, last *Server) *Server {
	need := needAtRandom(random, last)
	a := askFor(p, need)
	if len(a.got) > 0 {
		g := <-a.got
		if s := g.server; s != nil && need.strict() && !slices.Equal(s.Startup, need.Startup) && need.Exact {
			t.Errorf("a client that needs %v got a server with %v", need.Startup, s.Startup)
		}
		a.got <- g
	}
	var impatient <-chan time.Time
	if random.IntN(3) == 0 {
		impatient = time.After(time.Duration(random.IntN(100)) * time.Millisecond)
	}
	select {
	case g := <-a.got:
		if g.err != nil {
			tolerable(t, g.err)
		}
		return g.server
	case <-impatient:
		if p.Leave(&a.w) {
			return nil
		}
		return (<-a.got).server
	}
}

func tolerable(t *testing.T, err error) {
	var told *wire.Error
	if !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &told) {
		t.Errorf("a client got %v", err)
	}
}

// administer gives one command at random.
func administer(t *testing.T, h *house, limits func(string, *Spec), random *rand.Rand) {
	m := h.manager
	name := []string{"", "app", "other"}[random.IntN(3)]
	patience, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(100))*time.Millisecond)
	defer cancel()
	switch random.IntN(10) {
	case 0:
		if m.Pause(patience, name) == nil {
			pass(time.Duration(random.IntN(50)) * time.Millisecond)
			m.Resume(name)
		}
	case 1, 2:
		m.Resume(name)
	case 3:
		m.PauseNow(name)
	case 4:
		m.Reconnect(name)
	case 5:
		m.WaitClose(patience, name)
	case 6:
		m.Enable(name, random.IntN(2) == 0)
	case 7:
		m.Apply(map[string]*Spec{
			"app":   newSpec(t, func(s *Spec) { limits("app", s); s.PoolSize = 1 + random.IntN(4) }),
			"other": newSpec(t, func(s *Spec) { limits("other", s); s.ServerLifetime = new(time.Duration(random.IntN(3)) * time.Second) }),
		})
	default:
		m.Servers()
		m.Databases()
		m.Users()
		m.Snapshots()
	}
}

// recount asserts that nothing is left, and that no counter says otherwise.
func recount(t *testing.T, m *Manager, seed uint64) {
	t.Helper()
	for _, p := range m.catalogue.everyPool() {
		p.mu.Lock()
		y, c := &p.policy, &p.policy.places
		if c.live != len(y.servers) || c.live != len(y.idle) || c.closing != 0 || len(y.asked) != 0 || y.logins != 0 || y.opening != nil || y.crowded != nil || c.specials != 0 || c.specialsClosing != 0 || c.blocked != nil || y.queue.length+y.dedicated.length != 0 {
			t.Errorf("seed %d: %s has %d servers (%d in the map, %d free), %d closing, %d asked, %d logins, opening %v, %d and %d wait",
				seed, p.db.Name, c.live, len(y.servers), len(y.idle), c.closing, len(y.asked), y.logins, y.opening != nil, y.queue.length, y.dedicated.length)
		}
		if n := p.db.budget.servers.Load(); n != int64(c.live) {
			t.Errorf("seed %d: the budget of %s has %d servers, the pool %d", seed, p.db.Name, n, c.live)
		}
		opened, closed := p.usage.opened.Load(), uint64(0)
		for _, n := range p.usage.closed.Read() {
			closed += n
		}
		if opened-closed != uint64(c.live) {
			t.Errorf("seed %d: %s has opened %d and closed %d servers, and has %d", seed, p.db.Name, opened, closed, c.live)
		}
		if p.db.budget.closing.Load() != 0 || p.db.budget.blocked.Load() != 0 || p.policy.places.ofRole.closing.Load() != 0 || p.policy.places.ofRole.blocked.Load() != 0 {
			t.Errorf("seed %d: budgets say that something is under way", seed)
		}
		p.mu.Unlock()
	}
}
