package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

func size(n int) func(*Spec) { return func(s *Spec) { s.PoolSize = n } }

// slowly is the script of a hospitable server that takes a time to log in.
func slowly(d time.Duration) func(*peer) {
	return func(p *peer) {
		p.Startup()
		pass(d)
		p.Welcome()
		p.Rest()
	}
}

var errDown = errors.New("connection refused, says the test")

func TestAnIdleServerIsLentAtOnce(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		first := h.take()
		h.pool.Release(first)
		s, err := h.pool.Acquire(&Waiter{})
		if err != nil || s != first {
			t.Fatalf("got %v and %v, want the idle server", s, err)
		}
		h.pool.Release(s)
		h.wants(1, 0)
	})
}

func TestWaitersAreServedInTheOrderTheyCame(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		s := h.take()
		waiting := askers(h.pool, 6)
		if !h.pool.Leave(&waiting[2].w) {
			t.Error("a waiter could not leave")
		}
		for i, a := range waiting {
			if i == 2 {
				continue
			}
			h.pool.Release(s)
			for j, other := range waiting {
				if other.answered() != (i == j) {
					t.Fatalf("at turn %d waiter %d: answered is %v", i, j, other.answered())
				}
			}
			if got := a.server(t); got != s {
				t.Fatalf("waiter %d got another server", i)
			}
		}
		h.pool.Release(s)
		if waiting[2].answered() {
			t.Error("the waiter that left got something")
		}
		if h.pool.Leave(&waiting[0].w) {
			t.Error("a waiter left after it was served")
		}
		h.wants(1, 0)
	})
}

func TestAReleasedServerGoesToTheHeadOfTheQueueAndNotToANewcomer(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		s := h.take()
		head := ask(h.pool)
		h.pool.Release(s)
		if !head.answered() {
			t.Fatal("the head of the queue was not served by Release itself")
		}
		newcomer := ask(h.pool)
		if newcomer.answered() {
			t.Fatal("a newcomer got a server while none was free")
		}
		h.pool.Release(head.server(t))
		h.pool.Release(newcomer.server(t))
	})
}

func TestTheServerUsedLastIsLentFirst(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		var list []*Server
		for range 4 {
			list = append(list, h.take())
		}
		for _, i := range []int{2, 0, 3, 1} {
			h.pool.Release(list[i])
		}
		pass(5 * sweepEvery) // the janitor must keep the order
		for _, i := range []int{1, 3, 0, 2} {
			if h.take() != list[i] {
				t.Fatalf("server %d was not next", i)
			}
		}
		for _, s := range list {
			h.pool.Release(s)
		}
	})
}

func TestAColdBurstOpensFewServers(t *testing.T) {
	inHouse(t, slowly(10*time.Millisecond), size(20), func(t *testing.T, h *house) {
		var clients sync.WaitGroup
		for range 20 {
			a := ask(h.pool)
			clients.Go(func() {
				s := a.server(t)
				pass(time.Millisecond)
				h.pool.Release(s)
			})
		}
		clients.Wait()
		if n := len(h.fake.Dialed()); n > 3 {
			t.Errorf("%d servers were opened for 20 clients of 1 ms each, while one was opened every 10 ms", n)
		}
	})
}

func TestServersAreOpenedOneAtATime(t *testing.T) {
	var at, most atomic.Int32
	script := func(p *peer) {
		p.Startup()
		most.Store(max(most.Load(), at.Add(1)))
		pass(10 * time.Millisecond)
		at.Add(-1)
		p.Welcome()
		p.Rest()
	}
	inHouse(t, script, size(5), func(t *testing.T, h *house) {
		for _, a := range askers(h.pool, 5) {
			defer h.pool.Release(a.server(t))
		}
		if most.Load() != 1 {
			t.Errorf("%d logins ran at once", most.Load())
		}
	})
}

func TestABurstOpensNoMoreServersThanPoolSize(t *testing.T) {
	inHouse(t, nil, size(3), func(t *testing.T, h *house) {
		waiting := askers(h.pool, 50)
		h.wants(3, 47)
		pass(30 * time.Second)
		h.wants(3, 47)
		for _, a := range waiting {
			h.pool.Release(a.server(t))
		}
		if n := len(h.fake.Dialed()); n != 3 {
			t.Errorf("%d servers were opened, pool_size is 3", n)
		}
	})
}

func TestNoServerIsOpenedWhereNobodyWaits(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		pass(time.Minute)
		if n := len(h.fake.Dialed()); n != 0 {
			t.Errorf("%d servers were opened for nobody", n)
		}
	})
}

func TestAServerOpenedForAClientThatLeftServesTheNext(t *testing.T) {
	inHouse(t, slowly(10*time.Millisecond), nil, func(t *testing.T, h *house) {
		a := ask(h.pool)
		if !h.pool.Leave(&a.w) {
			t.Fatal("the client could not leave")
		}
		pass(20 * time.Millisecond)
		h.wants(1, 0)
		h.pool.Release(h.take())
		if n := len(h.fake.Dialed()); n != 1 || a.answered() {
			t.Errorf("%d servers were opened, and the client that left was answered: %v", n, a.answered())
		}
	})
}

// 64 clients do all that clients do, and servers all that servers do, at the
// same time. Nobody may wait for ever, get a server twice or see more servers
// than pool_size.
func TestTheLimitHoldsUnderStress(t *testing.T) {
	const limit, clients, rounds = 5, 64, 60
	inHouse(t, slowly(time.Millisecond), func(s *Spec) {
		s.PoolSize = limit
		s.Defaults.ServerLifetime, s.Defaults.ServerIdleTimeout = 20*time.Second, 3*time.Second
	}, func(t *testing.T, h *house) {
		var held sync.Map
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for range rounds {
					a := ask(h.pool)
					if random.IntN(8) == 0 && h.pool.Leave(&a.w) {
						continue
					}
					s := a.server(t)
					if _, twice := held.LoadOrStore(s, i); twice {
						t.Errorf("server %d is held twice", s.ID)
					}
					pass(time.Duration(random.IntN(400)) * time.Millisecond)
					held.Delete(s)
					switch random.IntN(20) {
					case 0:
						s.Break()
						h.pool.Release(s)
					case 1:
						h.pool.Discard(s)
					case 2:
						h.pool.Database().Invalidate()
						h.pool.Release(s)
					default:
						h.pool.Release(s)
					}
				}
			})
		}
		all.Wait()
		if _, most := h.fake.Limits(); most != limit {
			t.Errorf("at most %d servers were open at once, want the limit of %d", most, limit)
		}
	})
}

func TestADeadServerIsTriedOnceForAllWhoWait(t *testing.T) {
	inHouse(t, nil, size(4), func(t *testing.T, h *house) {
		h.fake.SetRefuse(errDown)
		for _, a := range askers(h.pool, 40) {
			e := code(t, a.refusal(t), wire.CodeConnectionFailure)
			if !errors.Is(e, errDown) || strings.Contains(e.Message+e.Hint+e.Detail, "refused") {
				t.Errorf("the cause %v must stand in the log and not in %q", e.Cause, e.Message)
			}
		}
		if n := len(h.fake.Dialed()); n != 1 {
			t.Errorf("the server was tried %d times", n)
		}
		h.wants(0, 0)
		if n := h.logs.FilterMessage("server connection could not be opened").Len(); n != 1 {
			t.Errorf("%d log lines tell of it", n)
		}
	})
}

func TestNewClientsFailAtOnceUntilServerLoginRetryHasPassed(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		if h.pool.LastError() != nil {
			t.Error("an error is known before anything was tried")
		}
		h.fake.SetRefuse(errDown)
		ask(h.pool).refusal(t)
		for range 14 {
			pass(time.Second)
			s, err := h.pool.Acquire(&Waiter{})
			if s != nil || !errors.Is(err, errDown) || !errors.Is(h.pool.LastError(), errDown) {
				t.Fatalf("got %v, want the error of the last attempt at once", err)
			}
		}
		if n := len(h.fake.Dialed()); n != 1 {
			t.Errorf("the server was tried %d times within server_login_retry", n)
		}
		pass(time.Second)
		if err := h.pool.LastError(); err != nil {
			t.Errorf("after server_login_retry clients are still told %v", err)
		}
		ask(h.pool).refusal(t)
		if n := len(h.fake.Dialed()); n != 2 {
			t.Errorf("the server was tried %d times, want a second one", n)
		}
		pass(15 * time.Second)
		h.fake.SetRefuse(nil)
		h.pool.Release(h.take())
		if err := h.pool.LastError(); err != nil {
			t.Errorf("with a server at hand clients are told %v", err)
		}
	})
}

func TestWithoutServerLoginRetryEachClientTriesAgain(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.Defaults.ServerLoginRetry = 0 }, func(t *testing.T, h *house) {
		h.fake.SetRefuse(errDown)
		ask(h.pool).refusal(t)
		h.fake.SetRefuse(nil)
		h.pool.Release(h.take())
	})
}

func TestWhoWaitsStaysWhileAnotherServerLives(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		s := h.take()
		h.fake.SetRefuse(errDown)
		first, second := ask(h.pool), ask(h.pool)
		h.wants(1, 2)
		if first.answered() {
			t.Fatal("a waiter failed although a server may come back")
		}
		if err := h.pool.LastError(); err != nil {
			t.Errorf("newcomers are told %v although a server may come back", err)
		}
		h.pool.Release(s)
		first.server(t)
		h.fake.SetRefuse(nil)
		pass(DefaultConfig().ServerLoginRetry + sweepEvery)
		other := second.server(t)
		if other == s || len(h.fake.Dialed()) != 3 {
			t.Errorf("after server_login_retry no second server was opened")
		}
		h.pool.Release(s)
		h.pool.Release(other)
	})
}

func TestTheServersRefusalReachesAllWhoWait(t *testing.T) {
	script := func(p *peer) {
		p.Startup()
		p.Fail("FATAL", "53300", "sorry, too many clients already")
	}
	inHouse(t, script, nil, func(t *testing.T, h *house) {
		for _, a := range askers(h.pool, 3) {
			e := code(t, a.refusal(t), "53300")
			if e.Severity != "FATAL" || e.Message != "sorry, too many clients already" {
				t.Errorf("got %+v", e)
			}
		}
		code(t, h.pool.LastError(), "53300")
	})
}

func TestAPanicWhileAServerIsOpenedFailsOnlyWhoWaits(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		h.manager.dialer.Net = func(context.Context, string, string) (net.Conn, error) { panic("no dialer") }
		code(t, ask(h.pool).refusal(t), wire.CodeInternal)
		h.manager.dialer.Net = h.fake.Dial
		pass(DefaultConfig().ServerLoginRetry)
		h.pool.Release(h.take())
		if n := h.logs.FilterMessage("panic while opening a server connection").Len(); n != 1 {
			t.Errorf("%d log lines tell of the panic", n)
		}
	})
}

func TestEachWaiterIsToldWhenQueryWaitTimeoutHasPassed(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.PoolSize, s.Defaults.QueryWaitTimeout = 1, 10*time.Second
	}, func(t *testing.T, h *house) {
		s := h.take()
		began := time.Now()
		type told struct {
			who   int
			err   error
			after time.Duration
		}
		heard := make(chan told, 6)
		var list [6]Waiter
		for i := range list {
			list[i].Ready = func(_ *Server, err error) { heard <- told{i, err, time.Since(began)} }
			if got, err := h.pool.Acquire(&list[i]); got != nil || err != nil {
				t.Fatalf("waiter %d did not have to wait: %v", i, err)
			}
			if i == 3 {
				h.pool.Leave(&list[0])
			}
			pass(time.Second)
		}
		pass(time.Minute)
		for i := 1; i < len(list); i++ {
			got := <-heard
			code(t, got.err, wire.CodeTooManyConnections)
			if want := time.Duration(10+i) * time.Second; got.who != i || got.after != want {
				t.Errorf("waiter %d was told after %v, want waiter %d after %v", got.who, got.after, i, want)
			}
		}
		if len(heard) != 0 {
			t.Errorf("waiter %d was told, who should not have been", (<-heard).who)
		}
		h.wants(1, 0)
		h.pool.Release(s)
	})
}

func TestAWaiterServedInTimeIsNotToldLater(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.PoolSize, s.Defaults.QueryWaitTimeout = 1, 10*time.Second
	}, func(t *testing.T, h *house) {
		s := h.take()
		first := ask(h.pool)
		pass(9 * time.Second)
		second := ask(h.pool)
		h.pool.Release(s)
		first.server(t)
		pass(9 * time.Second)
		if first.answered() || second.answered() {
			t.Fatal("a waiter heard of a timeout that was not its own")
		}
		pass(2 * time.Second)
		code(t, second.refusal(t), wire.CodeTooManyConnections)
		h.pool.Release(s)
	})
}

func TestWithoutQueryWaitTimeoutClientsWaitOn(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.PoolSize, s.Defaults.QueryWaitTimeout = 1, 0
	}, func(t *testing.T, h *house) {
		s := h.take()
		a := ask(h.pool)
		pass(time.Hour)
		h.wants(1, 1)
		h.pool.Release(s)
		h.pool.Release(a.server(t))
	})
}

func TestAServerThatHangsAtLoginIsGivenUpAfterServerConnectTimeout(t *testing.T) {
	silent := func(p *peer) { p.Hold() }
	inHouse(t, silent, nil, func(t *testing.T, h *house) {
		began := time.Now()
		code(t, ask(h.pool).refusal(t), wire.CodeConnectionFailure)
		if took := time.Since(began); took != DefaultConfig().ServerConnectTimeout {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
		if open, _ := h.fake.Limits(); open != 0 {
			t.Error("the connection was left open")
		}
	})
}

func TestEachHostOfAListHasServerConnectTimeoutOfItsOwn(t *testing.T) {
	var calls atomic.Int32
	script := func(p *peer) {
		if calls.Add(1) == 1 {
			p.Hold()
		}
		hospitable(p)
	}
	inHouse(t, script, func(s *Spec) { s.Host = "a.internal, b.internal" }, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		if want := []string{"a.internal:5432", "b.internal:5432"}; !slices.Equal(h.fake.Dialed(), want) {
			t.Errorf("dialed %v, want %v", h.fake.Dialed(), want)
		}
	})
}

func TestTheErrorOfEachHostOfAListIsKeptForTheLog(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.Host, s.Port = "a.internal,::1,/run/pg", 5433 }, func(t *testing.T, h *house) {
		h.fake.SetRefuse(errDown)
		e := code(t, ask(h.pool).refusal(t), wire.CodeConnectionFailure)
		says(t, e.Cause, "a.internal:5433", "[::1]:5433", "/run/pg/.s.PGSQL.5433")
	})
}

func TestAReloadThatMayHaveCuredTheServerEndsThePauseAfterItsFailure(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		h.fake.SetRefuse(errDown)
		ask(h.pool).refusal(t)
		h.fake.SetRefuse(nil)
		h.database("app").Invalidate()
		if err := h.pool.LastError(); err != nil {
			t.Errorf("clients are still told %v", err)
		}
		h.pool.Release(ask(h.pool).server(t))
	})
}

func TestClientsAreToldLittleOfWhyAServerCannotBeUsed(t *testing.T) {
	inHouse(t, func(p *peer) { p.Startup() }, nil, func(t *testing.T, h *house) {
		e := code(t, ask(h.pool).refusal(t), "08006")
		says(t, e.Cause, "db.internal:5432: EOF")
		if strings.Contains(e.Message+e.Hint, "internal:") || strings.Contains(e.Message, "EOF") {
			t.Errorf("clients are told %q, %q", e.Message, e.Hint)
		}
	})
}

func TestAServersRefusalOfALoginSaysWhoseLoginItWas(t *testing.T) {
	for name, test := range map[string]struct{ code, hint, want string }{
		"a wrong password":        {"28P01", "", refusalHint},
		"no line in pg_hba.conf":  {"28000", "", refusalHint},
		"with a hint of its own":  {"28000", "peut-\u00eatre", "peut-\u00eatre"},
		"no database of the name": {"3D000", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			script := func(p *peer) {
				p.Startup()
				p.Send('E', "SFATAL\x00C", test.code, "\x00Mno\x00H", test.hint, "\x00\x00")
			}
			inHouse(t, script, nil, func(t *testing.T, h *house) {
				if e := code(t, ask(h.pool).refusal(t), test.code); e.Hint != test.want || e.Message != "no" {
					t.Errorf("got %+v", e)
				}
			})
		})
	}
}
