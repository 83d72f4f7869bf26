package pool

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

// both is a house with two databases on one fake, each with a pool of app.
func both(h *house, edit func(name string, s *Spec)) (app, other *Pool) {
	h.t.Helper()
	specs := map[string]*Spec{}
	for _, name := range []string{"app", "other"} {
		specs[name] = newSpec(h.t, func(s *Spec) { edit(name, s) })
	}
	h.manager.Apply(specs)
	other, _ = h.manager.Join(h.database("other"), Login{User: "app"})
	return h.pool, other
}

// count returns how many servers a pool has, once all has come to rest.
func count(p *Pool) int {
	synctest.Wait()
	n, _ := p.counts()
	return n
}

func TestTheLimitsOfARoleComeBeforeThoseOfTheDatabaseAndThoseBeforeTheDefaults(t *testing.T) {
	s := &Spec{DatabaseConfig: DefaultDatabaseConfig(), Defaults: DefaultConfig()}
	s.Defaults.ReservePoolSize, s.Defaults.MinPoolSize, s.Defaults.MaxDBConnections = 1, 2, 3
	s.Defaults.MaxUserConnections, s.Defaults.ServerLifetime = 4, time.Minute
	wants := func(mode string, size, reserve, least, ofDatabase, ofRole int, lifetime time.Duration) {
		t.Helper()
		if s.mode("app") != mode || s.size("app") != size || s.reserve("app") != reserve || s.least("app") != least ||
			s.maxDBConnections() != ofDatabase || s.maxUserConnections("app") != ofRole || s.lifetime() != lifetime {
			t.Errorf("got %s %d %d %d %d %d %v", s.mode("app"), s.size("app"), s.reserve("app"), s.least("app"),
				s.maxDBConnections(), s.maxUserConnections("app"), s.lifetime())
		}
	}
	wants(TransactionMode, 20, 1, 2, 3, 4, time.Minute)
	s.DatabaseLimits = DatabaseLimits{SessionMode, 7, new(5), new(0), new(0), new(0), new(time.Duration(0))}
	wants(SessionMode, 7, 0, 5, 0, 4, 0)
	var u UserConfig
	s.Users = map[string]UserConfig{"app": u}
	wants(SessionMode, 7, 0, 5, 0, 4, 0)
	u.PoolMode, u.PoolSize, u.ReservePoolSize, u.MaxUserConnections = StatementMode, 3, new(9), new(0)
	s.Users = map[string]UserConfig{"app": u}
	wants(StatementMode, 3, 9, 3, 0, 0, 0)
	if s.size("bob") != 7 {
		t.Error("another role got the limits of app")
	}
}

func TestTheTimeoutsOfARoleComeBeforeTheDefaultsAndMaySwitchThemOff(t *testing.T) {
	s := &Spec{Defaults: DefaultConfig()}
	s.Defaults.QueryTimeout, s.Defaults.ClientIdleTimeout = time.Second, time.Minute
	u := UserConfig{QueryTimeout: new(time.Duration(0)), TransactionTimeout: new(time.Hour)}
	s.Users = map[string]UserConfig{"app": u}
	d := new(catalogue).newDatabase("app", s, false)
	if got, want := d.Timeouts("app"), (Timeouts{ClientIdle: time.Minute, Transaction: time.Hour, WaitNotify: 5 * time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := d.Timeouts("bob").Query; got != time.Second {
		t.Errorf("another role has %v", got)
	}
}

func TestTheReserveServesWhoHasWaitedForReservePoolTimeout(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.PoolSize, s.ReservePoolSize = 1, new(1) }, func(t *testing.T, h *house) {
		first := h.take()
		waiting := askers(h.pool, 2)
		pass(5*time.Second - time.Millisecond)
		h.wants(1, 2)
		pass(time.Millisecond)
		h.wants(2, 1)
		second := waiting[0].server(t)
		pass(time.Minute)
		h.wants(2, 1) // and no more than the reserve
		h.pool.Release(second)
		h.pool.Release(waiting[1].server(t))
		h.pool.Release(first)
		pass(2 * sweepEvery)
		h.wants(2, 0) // as in PgBouncer it stays until it is idle for too long
	})
}

func TestMinPoolSizeIsKeptBeforeTheFirstClientWhereTheLoginIsFixed(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.PoolSize, s.MinPoolSize, s.User, s.Secret = 5, new(3), "fixed", "x"
		s.Defaults.ServerIdleTimeout, s.Defaults.ServerLifetime = 10*time.Second, 0
	}, func(t *testing.T, h *house) {
		h.leave()
		login, _ := h.database("app").FixedLogin()
		warm := h.database("app").pool(h.manager, login)
		if n := count(warm); n != 3 {
			t.Fatalf("%d servers are open before the first client", n)
		}
		pass(time.Minute)
		if n, dials := count(warm), len(h.fake.Dialed()); n != 3 || dials != 3 {
			t.Errorf("%d servers are left of %d that were opened, although min_pool_size is 3", n, dials)
		}
		if n := count(h.pool); n != 0 {
			t.Errorf("a pool that nobody uses has %d servers", n)
		}
	})
}

func TestMinPoolSizeIsKeptForALoginOnlyWhileItHasClients(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.MinPoolSize, s.Defaults.ServerLifetime = new(2), 30*time.Second }, func(t *testing.T, h *house) {
		pass(2 * sweepEvery)
		h.wants(2, 0)
		pass(time.Minute)
		h.wants(2, 0)
		h.leave()
		pass(time.Minute)
		h.wants(0, 0)
	})
}

func TestMaxDBConnectionsEvictsAnIdleServerOfAnotherPoolForWhoWaits(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.MaxDBConnections = new(2) }, func(t *testing.T, h *house) {
		bob, leave := h.manager.Join(h.database("app"), Login{User: "bob"})
		defer leave()
		old, young := h.take(), h.take()
		h.pool.Release(old)
		pass(time.Second)
		h.pool.Release(young)
		s := ask(bob).server(t)
		h.wants(1, 0)
		if old.Err() == nil || young.Err() != nil {
			t.Error("not the server that was idle for longest was evicted")
		}
		bob.Release(s)
		if _, most := h.fake.Limits(); most != 2 {
			t.Errorf("%d servers were open at once", most)
		}
	})
}

func TestAServerThatComesBackMakesRoomForAnotherPoolThatWaits(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.MaxDBConnections = new(1) }, func(t *testing.T, h *house) {
		bob, leave := h.manager.Join(h.database("app"), Login{User: "bob"})
		defer leave()
		s := h.take()
		waiting := ask(bob)
		pass(time.Minute)
		if waiting.answered() {
			t.Fatal("the limit was exceeded")
		}
		h.pool.Release(s)
		bob.Release(waiting.server(t))
		if _, most := h.fake.Limits(); most != 1 {
			t.Errorf("%d servers were open at once", most)
		}
	})
}

func TestMaxUserConnectionsHoldsAcrossDatabases(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		app, other := both(h, func(_ string, s *Spec) { s.Defaults.MaxUserConnections = 2 })
		a, b := ask(app).server(t), ask(app).server(t)
		waiting := ask(other)
		if n := count(other); n != 0 {
			t.Errorf("a third server of the role was opened")
		}
		app.Release(a)
		s := waiting.server(t)
		if n := count(app); n != 1 {
			t.Errorf("%d servers are left in the pool that made room", n)
		}
		other.Release(s)
		app.Release(b)
	})
}

func TestALowerMaxDBConnectionsHoldsAtOnceAndAHigherOneToo(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.MaxDBConnections = new(3) }, func(t *testing.T, h *house) {
		held := []*Server{h.take(), h.take(), h.take()}
		h.apply(func(s *Spec) { s.MaxDBConnections = new(1) })
		for _, s := range held {
			h.pool.Release(s)
		}
		pass(sweepEvery)
		h.wants(1, 0)
		h.apply(func(s *Spec) { s.MaxDBConnections = new(2) })
		a, b := h.take(), h.take()
		h.wants(2, 0)
		h.pool.Release(a)
		h.pool.Release(b)
	})
}

// min_pool_size asks for more than the limits allow: no pool may take from
// the other what that then takes back.
func TestMinPoolSizeBelowALowerLimitEvictsNobody(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		app, other := both(h, func(_ string, s *Spec) {
			s.MinPoolSize, s.Defaults.MaxUserConnections = new(5), 3
			s.Defaults.ServerLifetime, s.Defaults.ServerIdleTimeout = 0, 0
		})
		pass(10 * sweepEvery)
		dials := len(h.fake.Dialed())
		if n := count(app) + count(other); n != 3 || dials != 3 {
			t.Fatalf("%d servers are open and %d were opened, want three", n, dials)
		}
		pass(10 * time.Minute)
		if n := len(h.fake.Dialed()); n != dials {
			t.Errorf("%d servers more were opened while nobody did anything", n-dials)
		}
		for _, p := range []*Pool{app, other} { // and whoever comes is served
			p.Release(ask(p).server(t))
		}
		pass(10 * time.Minute)
		if n := len(h.fake.Dialed()); n > dials+1 {
			t.Errorf("%d servers were opened for one client that had none", n-dials)
		}
	})
}

func TestCountersReturnToZeroAfterFailures(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.MaxDBConnections, s.MaxDBClientConnections = new(2), new(2) }, func(t *testing.T, h *house) {
		h.fake.SetRefuse(errDown)
		db, role := h.database("app"), h.manager.roles.of("app")
		for range 3 {
			ask(h.pool).refusal(t)
			pass(DefaultConfig().ServerLoginRetry)
		}
		if db.budget.servers.Load() != 0 || role.servers.Load() != 0 {
			t.Errorf("%d and %d servers are counted", db.budget.servers.Load(), role.servers.Load())
		}
		_, leave, err := h.manager.Admit(db, "bob", Login{User: "app"})
		ok(t, err)
		for range 3 {
			_, _, err := h.manager.Admit(db, "carl", Login{User: "app"})
			says(t, code(t, err, wire.CodeTooManyConnections), "max_db_client_connections")
		}
		leave()
		h.leave()
		if n := db.budget.clients.Load() + h.manager.roles.of("bob").clients.Load() + h.manager.roles.of("carl").clients.Load(); n != 0 {
			t.Errorf("%d clients are counted", n)
		}
		h.fake.SetRefuse(nil)
	})
}

func TestMaxUserClientConnectionsCountsTheRoleOfTheClientAcrossDatabases(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		both(h, func(_ string, s *Spec) {
			s.Defaults.MaxUserClientConnections = 1
			s.Users = map[string]UserConfig{"bob": {MaxUserClientConnections: new(2)}}
		})
		for i, name := range []string{"app", "other"} {
			_, leave, err := h.manager.Admit(h.database(name), "bob", Login{User: "app"})
			ok(t, err)
			defer leave()
			_, leave, err = h.manager.Admit(h.database(name), "carl", Login{User: "app"})
			if i == 0 {
				ok(t, err)
				defer leave()
			} else {
				says(t, code(t, err, wire.CodeTooManyConnections), "max_user_client_connections")
			}
		}
		_, _, err := h.manager.Admit(h.database("app"), "bob", Login{User: "app"})
		code(t, err, wire.CodeTooManyConnections)
	})
}

func TestAnIdleServerIsAskedAfterServerCheckDelayAndLentWhenItAnswers(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.Defaults.ServerCheckQuery = "SELECT 42" }, func(t *testing.T, h *house) {
		first := h.take()
		h.pool.Release(first)
		pass(30*time.Second - time.Millisecond)
		if h.take() != first {
			t.Fatal("another server was lent")
		}
		h.pool.Release(first)
		pass(30 * time.Second)
		a := ask(h.pool)
		if a.answered() {
			t.Fatal("the server was lent unasked")
		}
		if a.server(t) != first {
			t.Fatal("another server was lent")
		}
		h.wants(1, 0)
		h.pool.Discard(first)
		if sent, _ := h.fake.Peer(0).Received(); strings.Count(sent, "SELECT 42") != 1 {
			t.Errorf("the server got %q", sent)
		}
	})
}

func TestAServerThatFailsItsCheckIsReplaced(t *testing.T) {
	for name, answer := range map[string]func(*peer){
		"silence": func(p *peer) { p.Hold() },
		"the end": func(*peer) {},
		"an error": func(p *peer) {
			p.Fail("ERROR", "57P03", "no")
			p.Send('Z', "I")
			p.Hold()
		},
		"a transaction": func(p *peer) {
			p.Send('Z', "T")
			p.Hold()
		},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			script := func(p *peer) {
				p.Startup()
				p.Welcome()
				if !first {
					p.Rest()
					return
				}
				first = false
				p.Recv()
				answer(p)
			}
			inHouse(t, script, size(1), func(t *testing.T, h *house) {
				s := h.take()
				h.pool.Release(s)
				pass(time.Minute)
				began := time.Now()
				next := ask(h.pool).server(t)
				if next == s || time.Since(began) > DefaultConfig().ServerConnectTimeout+2*backend.CloseWait {
					t.Errorf("after %v the client got server %d", time.Since(began), next.ID)
				}
				h.pool.Release(next)
				h.wants(1, 0)
			})
		})
	}
}

func TestWithoutACheckQueryAnIdleServerIsLentAtOnce(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.Defaults.ServerCheckQuery = "" }, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		pass(5 * time.Minute)
		s, err := h.pool.Acquire(&Waiter{})
		if s == nil || err != nil {
			t.Fatalf("no server at once: %v", err)
		}
		h.pool.Release(s)
	})
}

func TestConnectQueryRunsOnEachNewServerAndWhatItSetsIsKnown(t *testing.T) {
	script := func(p *peer) {
		p.Startup()
		p.Welcome()
		if _, body := p.Recv(); string(body) != "SET TimeZone = 'CET'\x00" {
			panic("the first query is " + string(body))
		}
		p.Send('S', "TimeZone\x00CET\x00")
		p.Send('C', "SET\x00")
		p.Send('Z', "I")
		p.Rest()
	}
	inHouse(t, script, func(s *Spec) { s.ConnectQuery = "SET TimeZone = 'CET'" }, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		list, _ := h.pool.Parameters()
		for _, p := range list {
			if p.Name == "TimeZone" && p.Value != "CET" {
				t.Errorf("the pool takes TimeZone for %s", p.Value)
			}
		}
	})
}

func TestAConnectQueryThatFailsIsLoggedAndOneThatLeavesATransactionRefused(t *testing.T) {
	status := "I"
	script := func(p *peer) {
		p.Startup()
		p.Welcome()
		p.Recv()
		p.Fail("ERROR", "42601", "syntax error")
		p.Send('Z', status)
		p.Rest()
	}
	inHouse(t, script, func(s *Spec) { s.ConnectQuery, s.Defaults.ServerLoginRetry = "nonsense", 0 }, func(t *testing.T, h *house) {
		h.pool.Discard(h.take())
		if n := h.logs.FilterMessage("connect_query failed").Len(); n != 1 {
			t.Errorf("%d lines tell of it", n)
		}
		synctest.Wait()
		status = "T"
		says(t, ask(h.pool).refusal(t), "connect_query", "transaction")
	})
}

func TestRoundRobinLendsTheServerThatWasIdleLongest(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.Defaults.ServerRoundRobin = true }, func(t *testing.T, h *house) {
		list := []*Server{h.take(), h.take(), h.take()}
		for _, s := range list {
			h.pool.Release(s)
		}
		for i := range 6 {
			s := h.take()
			if s != list[i%3] {
				t.Fatalf("at turn %d another server was lent", i)
			}
			h.pool.Release(s)
		}
	})
}

// Clients of four pools, of two databases and two roles, share few servers.
// Nobody may wait for ever, and no limit may be exceeded at any time.
func TestTheLimitsAcrossPoolsHoldUnderStress(t *testing.T) {
	const ofDatabase, ofRole, clients, rounds = 3, 4, 40, 40
	inHouse(t, slowly(time.Millisecond), nil, func(t *testing.T, h *house) {
		edit := func(_ string, s *Spec) {
			s.MaxDBConnections, s.Defaults.MaxUserConnections, s.Defaults.QueryWaitTimeout = new(ofDatabase), ofRole, 0
			s.MinPoolSize, s.Defaults.ServerLifetime = new(2), 20*time.Second
		}
		app, other := both(h, edit)
		bob, _ := h.manager.Join(h.database("app"), Login{User: "bob"})
		otherBob, _ := h.manager.Join(h.database("other"), Login{User: "bob"})
		pools := []*Pool{app, other, bob, otherBob}
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				random := rand.New(rand.NewPCG(2, uint64(i)))
				for range rounds {
					p := pools[random.IntN(len(pools))]
					a := ask(p)
					if random.IntN(8) == 0 && p.Leave(&a.w) {
						continue
					}
					s := a.server(t)
					pass(time.Duration(random.IntN(300)) * time.Millisecond)
					for _, q := range pools {
						if n := q.db.budget.servers.Load(); n > ofDatabase {
							t.Errorf("%d servers of a database", n)
						}
						if n := q.policy.places.ofRole.servers.Load(); n > ofRole {
							t.Errorf("%d servers of a role", n)
						}
					}
					if random.IntN(10) == 0 {
						p.Discard(s)
					} else {
						p.Release(s)
					}
				}
			})
		}
		all.Wait()
		pass(2 * sweepEvery)
		synctest.Wait()
		for _, q := range pools {
			if q.db.budget.blocked.Load() != 0 || q.policy.places.ofRole.blocked.Load() != 0 || q.db.budget.closing.Load() != 0 {
				t.Error("a pool is still counted as waiting, or a server as closing")
			}
		}
		if _, most := h.fake.Limits(); most > 2*ofDatabase {
			t.Errorf("%d servers were open at once", most)
		}
	})
}
