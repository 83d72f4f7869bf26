package backend

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/pgfake"
)

func TestEachHostOfAListHasItsAddress(t *testing.T) {
	got := map[string]Address{}
	for _, a := range Addresses("db.internal, ::1 ,10.0.0.1,/run/postgresql", 5433) {
		got[a.Host] = a
	}
	want := map[string]Address{
		"db.internal":     {"tcp", "db.internal:5433", "db.internal"},
		"::1":             {"tcp", "[::1]:5433", "::1"},
		"10.0.0.1":        {"tcp", "10.0.0.1:5433", "10.0.0.1"},
		"/run/postgresql": {"unix", "/run/postgresql/.s.PGSQL.5433", "/run/postgresql"},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhereThereIsNoLoginAServerIsOnlyVerified(t *testing.T) {
	pair := pgfake.Issued(t)
	f := pgfake.Listen(t, func(p *peer) {
		p.Secure(pair)
		p.Hold()
	})
	trust := verified(t, pgfake.Roots()[0], "verify-full")
	d := Dialer{Net: f.Dial}
	ok(t, d.Reach(t.Context(), target(t, func(s *setup) { trust(s); s.Login = Login{} })))
	if _, inside := f.Peer(0).Received(); inside != "" {
		t.Errorf("the server got %q", inside)
	}
	if open, _ := f.Limits(); open != 0 {
		t.Errorf("%d connections are still open", open)
	}
}

// A database is reachable as long as any of its hosts lets us in.
func TestReachTriesEachHostAndReturnsTheErrorOfTheLast(t *testing.T) {
	hosts := "a.internal,b.internal"
	refuse := func(p *peer) {
		p.Startup()
		p.Fail("FATAL", "57P03", "the database system is starting up")
	}
	for name, test := range map[string]struct {
		second func(*peer)
		says   string
	}{
		"the second lets us in": {hospitable, ""},
		"none does":             {refuse, "FATAL 57P03: the database system is starting up"},
	} {
		t.Run(name, func(t *testing.T) {
			scripts := make(chan func(*peer), 2)
			scripts <- refuse
			scripts <- test.second
			f := pgfake.New(t, func(p *peer) { (<-scripts)(p) })
			d := Dialer{Net: f.Dial}
			err := d.Reach(t.Context(), target(t, func(s *setup) { s.Host = hosts }))
			if len(f.Dialed()) != 2 || (err == nil) != (test.says == "") || err != nil && err.Error() != test.says {
				t.Errorf("it asked %v and says %v", f.Dialed(), err)
			}
		})
	}
}

func TestAnErrorOfDialTellsOfEachHost(t *testing.T) {
	f := pgfake.New(t, func(*peer) {})
	_, err := dial(t, f, func(s *setup) { s.Host = "a.internal,b.internal" })
	ours(t, err, "a.internal:5432: ", "b.internal:5432: ")
}

func TestReadyHasTheLastWordAndTheNextHostIsTried(t *testing.T) {
	f := pgfake.New(t, hospitable)
	d, to := Dialer{Net: f.Dial}, target(t, func(s *setup) { s.Host = "a.internal,b.internal" })
	to.Ready = func(c *Conn) error {
		if c.Host == "a.internal" {
			return errors.New("not this one")
		}
		return nil
	}
	c, err := d.Dial(t.Context(), to)
	ok(t, err)
	if c.Host != "b.internal" {
		t.Errorf("it is connected to %s", c.Host)
	}
	c.Close()
}

func TestADialEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pgfake.New(t, func(p *peer) { p.Hold() })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		d := Dialer{Net: f.Dial}
		_, err := d.Dial(ctx, target(t, nil))
		if ours(t, err, "timeout"); time.Since(began) != time.Second {
			t.Errorf("it took %v", time.Since(began))
		}
		f.Wait()
	})
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pgfake.New(t, func(p *peer) {
			p.Startup()
			p.Welcome()
			p.Hold()
		})
		c, err := dial(t, f, nil)
		ok(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Query(ctx, "SELECT pg_sleep(9)"); !errors.Is(err, context.DeadlineExceeded) || c.Err() == nil {
			t.Errorf("got %v; the connection is kept with %v", err, c.Err())
		}
		c.Close()
		f.Wait()
	})
}

// A server that ends a session may be slow to close the connection, or never do.
func TestNothingIsReadBehindAFatalError(t *testing.T) {
	for name, ask := range map[string]func(*Conn) error{
		"of connect_query": func(c *Conn) error { _, err := c.RunConnectQuery("SELECT 1"); return err },
		"of a query":       func(c *Conn) error { _, err := c.Query(context.Background(), "SELECT 1"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := pgfake.New(t, func(p *peer) {
					p.Startup()
					p.Welcome()
					p.Recv()
					p.Fail("FATAL", "57P01", "terminating connection due to administrator command")
					time.Sleep(time.Second)
					p.Send('Z', "I")
					p.Hold()
				})
				c, err := dial(t, f, nil)
				ok(t, err)
				began := time.Now()
				if code(t, ask(c), "57P01"); time.Since(began) != 0 {
					t.Errorf("it read on for %v", time.Since(began))
				}
				c.Close()
				f.Wait()
			})
		})
	}
}
