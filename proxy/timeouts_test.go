package proxy

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
)

// watched drives a watch as a session and an engine do, within a bubble.
type watched struct {
	t        *testing.T
	w        watch
	answered uint
	fired    int // times that the timer went off
	notices  int
}

func inTime(t *testing.T, limits pool.Timeouts, test func(*watched)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(&watched{t: t, w: watch{limits: limits, since: time.Now()}})
	})
}

// does has the client do something for a time, with its first moment at the
// client's home. It returns what ended the session, and after how long.
func (x *watched) does(a activity, d time.Duration) (end *wire.Error, after time.Duration) {
	x.w.note(a, x.answered)
	return x.goesOn(d)
}

// goesOn lets time pass. The timer is set as the session sets it.
func (x *watched) goesOn(d time.Duration) (end *wire.Error, after time.Duration) {
	began := time.Now()
	stop := began.Add(d)
	x.w.arm()
	for !x.w.due.IsZero() && !x.w.due.After(stop) {
		<-time.After(time.Until(x.w.due))
		x.fired++
		x.w.due = time.Time{}
		end, notify := x.w.expired(time.Now())
		if end != nil {
			return end, time.Since(began)
		}
		if notify {
			x.w.notified = true
			x.notices++
		}
		x.w.arm()
	}
	<-time.After(time.Until(stop))
	return nil, d
}

// elsewhere is does for what begins at the server's home, where no timer can
// be set.
func (x *watched) elsewhere(a activity, d time.Duration) (*wire.Error, time.Duration) {
	x.w.note(a, x.answered)
	began, due := time.Now(), x.w.due
	if due.IsZero() || time.Until(due) > d {
		<-time.After(d)
		return nil, d
	}
	end, _ := x.goesOn(d)
	return end, time.Since(began)
}

func (x *watched) lives(end *wire.Error, _ time.Duration) {
	x.t.Helper()
	if end != nil {
		x.t.Fatalf("the session ended: %v", end)
	}
}

func TestEachTimeoutEndsTheClientAtItsTimeWithItsCodeAndName(t *testing.T) {
	for name, c := range map[string]struct {
		limits pool.Timeouts
		doing  activity
		code   string
	}{
		"client_idle_timeout":      {pool.Timeouts{ClientIdle: time.Minute}, idle, "57P05"},
		"query_timeout":            {pool.Timeouts{Query: time.Minute}, running, "57014"},
		"idle_transaction_timeout": {pool.Timeouts{IdleTransaction: time.Minute}, idleInTransaction, "25P03"},
		"transaction_timeout":      {pool.Timeouts{Transaction: time.Minute}, running, "25P04"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, c.limits, func(x *watched) {
				x.lives(x.does(running, time.Second))
				if c.doing == running {
					x.lives(x.does(idle, time.Hour))
				}
				x.w.note(c.doing, x.answered)
				want := time.Minute
				end, after := x.goesOn(time.Hour)
				if end == nil || end.Code != c.code || !strings.Contains(end.Message, name) || after != want {
					x.t.Errorf("after %v the session ended with %v", after, end)
				}
			})
		})
	}
}

func TestNoTimeoutEndsAClientThatKeepsWithinItForDays(t *testing.T) {
	inTime(t, pool.Timeouts{ClientIdle: 10 * time.Second, Query: 5 * time.Second, IdleTransaction: 3 * time.Second, Transaction: 12 * time.Second}, func(x *watched) {
		for range 1000 {
			x.lives(x.does(running, 4900*time.Millisecond))
			x.lives(x.elsewhere(idleInTransaction, 2*time.Second))
			x.lives(x.does(running, 4900*time.Millisecond))
			x.lives(x.elsewhere(idle, 9900*time.Millisecond))
		}
		if most := 1000 * 12; x.fired > most {
			x.t.Errorf("the timer fired %d times", x.fired)
		}
	})
}

// PgBouncer once ended clients that were idle in a transaction (its issue 1395).
func TestQueryTimeoutLeavesAClientAloneWhoseQueryIsAnswered(t *testing.T) {
	inTime(t, pool.Timeouts{Query: time.Second}, func(x *watched) {
		x.lives(x.does(running, 900*time.Millisecond))
		x.lives(x.elsewhere(idleInTransaction, time.Hour))
		x.lives(x.does(running, 900*time.Millisecond))
		x.lives(x.elsewhere(idle, time.Hour))
	})
}

func TestEachAnswerInAPipelineBeginsAnotherQuery(t *testing.T) {
	inTime(t, pool.Timeouts{Query: time.Second}, func(x *watched) {
		for range 10 {
			x.lives(x.does(running, 900*time.Millisecond))
			x.answered++
		}
		if end, _ := x.does(running, time.Hour); end != errQueryTime {
			x.t.Errorf("the session ended with %v", end)
		}
	})
}

func TestATransactionsTimeRunsFromItsFirstQueryToItsEnd(t *testing.T) {
	inTime(t, pool.Timeouts{Transaction: 10 * time.Second}, func(x *watched) {
		x.lives(x.does(running, 6*time.Second))
		x.lives(x.does(idle, time.Millisecond))
		x.lives(x.does(running, 6*time.Second))
		end, after := x.does(idleInTransaction, time.Hour)
		if end != errTransactionTime || after != 4*time.Second {
			x.t.Errorf("after %v the session ended with %v", after, end)
		}
	})
}

func TestAPauseThatBeginsAtTheServersHomeEndsInTime(t *testing.T) {
	inTime(t, pool.Timeouts{IdleTransaction: 10 * time.Second}, func(x *watched) {
		x.lives(x.does(running, 7*time.Second))
		end, after := x.elsewhere(idleInTransaction, time.Hour)
		if end != errIdleTransaction || after != 10*time.Second {
			x.t.Errorf("after %v the session ended with %v", after, end)
		}
	})
}

func TestAClientIsToldOnceThatItWaits(t *testing.T) {
	inTime(t, pool.Timeouts{WaitNotify: 5 * time.Second}, func(x *watched) {
		x.lives(x.does(waiting, 4900*time.Millisecond))
		if x.notices != 0 {
			x.t.Error("the client was told too early")
		}
		x.lives(x.goesOn(time.Hour))
		x.lives(x.does(idle, time.Second))
		x.lives(x.does(waiting, 5*time.Second))
		if x.notices != 2 {
			x.t.Errorf("%d notices in two waits", x.notices)
		}
	})
}

func TestAnIdleClientWithoutClientIdleTimeoutOwnsNoTimer(t *testing.T) {
	for _, limits := range []pool.Timeouts{
		{}, {WaitNotify: time.Second}, {Query: time.Second, IdleTransaction: time.Second, Transaction: time.Second},
	} {
		inTime(t, limits, func(x *watched) {
			x.lives(x.does(idle, time.Hour))
			x.lives(x.does(running, time.Millisecond))
			x.lives(x.elsewhere(idle, 2*time.Second))
			before := x.fired
			x.lives(x.goesOn(time.Hour))
			if !x.w.due.IsZero() || x.fired != before {
				x.t.Errorf("with %+v a timer is set for %v and fired %d times", limits, x.w.due, x.fired-before)
			}
		})
	}
}

func TestNotingWhatAClientDoesAllocatesNothing(t *testing.T) {
	w := watch{limits: pool.Timeouts{Query: time.Minute, ClientIdle: time.Hour}}
	if n := testing.AllocsPerRun(1000, func() {
		w.note(running, 1)
		w.arm()
		w.note(idle, 2)
		w.arm()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func limits(edit func(*pool.Config)) func(*plan) { return func(p *plan) { edit(&p.pool) } }

func TestASessionEndsByEachTimeoutAndItsServerGoesBackClean(t *testing.T) {
	const short = 100 * time.Millisecond
	for name, c := range map[string]struct {
		edit  func(*pool.Config)
		spend func(*client)
		code  string
	}{
		"client_idle_timeout":      {func(c *pool.Config) { c.ClientIdleTimeout = short }, func(c *client) { c.do("INSERT", "I") }, "57P05"},
		"query_timeout":            {func(c *pool.Config) { c.QueryTimeout = short }, func(c *client) { c.write(query("SLEEP")) }, "57014"},
		"idle_transaction_timeout": {func(c *pool.Config) { c.IdleTransactionTimeout = short }, func(c *client) { c.do("BEGIN", "T") }, "25P03"},
		"transaction_timeout": {func(c *pool.Config) { c.TransactionTimeout = short }, func(c *client) {
			c.do("BEGIN", "T")
			c.write(query("SLEEP"))
		}, "25P04"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, servers(1), limits(c.edit))
			h.server.hangs("SLEEP")
			a := h.login("app")
			c.spend(a)
			if fields := a.refused(c.code); !strings.Contains(fields['M'], name) {
				t.Errorf("the client was told %q", fields['M'])
			}
			b := h.login("app")
			if pid := b.ask("SELECT pid"); pid != "1" {
				t.Errorf("the next client got server %s: the first was not brought to rest", pid)
			}
		})
	}
}

func TestATimeoutThatComesWithAReloadHoldsForClientsThatAreIdle(t *testing.T) {
	h := open(t)
	a := h.login("app")
	a.do("INSERT", "I")
	p := plan{pool: pool.DefaultConfig(), port: h.server.port()}
	p.pool.ClientIdleTimeout = 50 * time.Millisecond
	h.manager.Apply(h.specs(p))
	h.proxy.Configure(Settings{Pool: p.pool, Settings: login.Settings{Users: h.proxy.settings.Load().Users}})
	a.refused("57P05")
}

func TestAClientThatWaitsHearsOfItAndThenGetsItsAnswer(t *testing.T) {
	h := open(t, servers(1), limits(func(c *pool.Config) { c.QueryWaitNotify = 50 * time.Millisecond }))
	a, b := h.login("app"), h.login("app")
	a.do("BEGIN", "T")
	b.write(query("SELECT pid"))
	if text := b.want('N'); !strings.Contains(text, "SNOTICE\x00VNOTICE\x00C00000\x00") || !strings.Contains(text, "query_wait_notify") {
		t.Errorf("the client was told %q", text)
	}
	a.do("COMMIT", "I")
	if b.answer() != "1" {
		t.Error("the client got another server")
	}
}

func TestStatementModeLendsAServerForOneStatementAndRefusesTransactionBlocks(t *testing.T) {
	h := open(t, servers(1))
	h.mode(pool.StatementMode)
	a, b := h.login("app"), h.login("app")
	for range 3 {
		a.do("INSERT", "I")
		b.do("INSERT", "I")
	}
	a.write(query("BEGIN") + query("INSERT") + query("COMMIT")) // also where all comes at once
	a.want('C')
	if fields := a.refused("0A000"); fields['M'] != "transaction blocks not allowed in statement pooling mode" {
		t.Errorf("the client was told %q", fields['M'])
	}
	b.do("INSERT", "I")
}

// mode gives all databases this mode.
func (h *house) mode(mode string) {
	specs := h.specs(plan{pool: func() pool.Config {
		c := pool.DefaultConfig()
		c.DefaultPoolSize = 1
		return c
	}(), port: h.server.port()})
	for _, s := range specs {
		s.PoolMode = mode
	}
	h.manager.Apply(specs)
}

func TestARolesModeComesBeforeThatOfTheDatabase(t *testing.T) {
	h := open(t, servers(2))
	specs := h.specs(plan{pool: pool.DefaultConfig(), port: h.server.port()})
	specs["app"].Users = map[string]pool.UserConfig{"alice": {PoolMode: pool.SessionMode}}
	h.manager.Apply(specs)
	a, b := h.login("app"), h.login("app")
	if mine := a.ask("SELECT pid"); mine == b.ask("SELECT pid") || mine != a.ask("SELECT pid") {
		t.Error("the clients did not keep their servers")
	}
}

func TestClientsBeyondALimitAreToldWhichAndOneThatLeavesMakesRoom(t *testing.T) {
	for name, edit := range map[string]func(*pool.Config){
		"max_client_conn":             func(c *pool.Config) { c.MaxClientConn = 1 },
		"max_db_client_connections":   func(c *pool.Config) { c.MaxDBClientConnections = 1 },
		"max_user_client_connections": func(c *pool.Config) { c.MaxUserClientConnections = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, limits(edit))
			a := h.login("app")
			b := h.dialTLS()
			b.write(packet(version3, "user", "alice", "database", "app"))
			if name != "max_client_conn" {
				b.authenticate(password)
				b.authenticated()
			}
			if fields := b.refused("53300"); !strings.Contains(fields['M'], name) {
				t.Errorf("the client was told %q", fields['M'])
			}
			a.leave()
			eventually(t, "the client is gone", func() bool { return h.proxy.Clients() == 0 })
			h.login("app").do("INSERT", "I")
		})
	}
}
