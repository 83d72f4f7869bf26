package pool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

// apply makes spec, with edit, the database "app".
func (h *house) apply(edit func(*Spec)) {
	h.t.Helper()
	h.manager.Apply(map[string]*Spec{"app": newSpec(h.t, edit)})
}

func TestAnUnchangedConfigurationKeepsItsServers(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		idle, held := h.take(), h.take()
		h.pool.Release(idle)
		h.apply(func(*Spec) {})
		pass(2 * sweepEvery)
		h.wants(2, 0)
		if h.take() != idle {
			t.Error("the idle server was not lent again")
		}
		h.pool.Release(held)
		h.pool.Release(idle)
		h.wants(2, 0)
	})
}

func TestANewModeOrResetQueryHoldsAtOnceAndKeepsServers(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		db := h.pool.Database()
		if h.pool.Mode() != TransactionMode || db.ResetQuery() != "DISCARD ALL" {
			t.Errorf("at first the mode is %s and the reset query %q", h.pool.Mode(), db.ResetQuery())
		}
		h.pool.Release(h.take())
		h.apply(func(s *Spec) { s.Defaults.PoolMode, s.Defaults.ServerResetQuery = SessionMode, "" })
		if h.pool.Mode() != SessionMode || db.ResetQuery() != "" {
			t.Errorf("now the mode is %s and the reset query %q", h.pool.Mode(), db.ResetQuery())
		}
		h.apply(func(s *Spec) { s.PoolMode, s.Defaults.PoolMode = TransactionMode, SessionMode })
		if h.pool.Mode() != TransactionMode {
			t.Errorf("the database's own mode does not come first: %s", h.pool.Mode())
		}
		h.wants(1, 0)
	})
}

func TestChangedSettingsOfTheServerInvalidateIt(t *testing.T) {
	for name, edit := range map[string]func(*Spec){
		"host":                     func(s *Spec) { s.Host = "new.internal" },
		"port":                     func(s *Spec) { s.Port = 5433 },
		"dbname":                   func(s *Spec) { s.DBName = "other" },
		"password_file":            func(s *Spec) { s.User, s.PasswordFile = "", "/new" },
		"ssl_min_protocol_version": func(s *Spec) { s.MinVersion = "TLSv1.3" },
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, nil, nil, func(t *testing.T, h *house) {
				idle, held := h.take(), h.take()
				h.pool.Release(idle)
				h.apply(edit)
				h.pool.Release(held)
				pass(2 * sweepEvery) // new TLS settings replace servers one by one
				fresh := h.take()
				if fresh == idle || fresh == held {
					t.Error("a server with the old settings was lent")
				}
				h.pool.Release(fresh)
				pass(rotationLimit)
				if idle.Err() == nil || held.Err() == nil {
					t.Error("a server with the old settings is left")
				}
			})
		})
	}
}

func TestAServerIsOpenedWithTheSettingsAsTheyAreNow(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		h.apply(func(s *Spec) { s.Host, s.Port, s.DBName = "new.internal", 6000, "other" })
		h.pool.Release(h.take())
		if got := h.fake.Dialed()[1]; got != "new.internal:6000" {
			t.Errorf("dialed %s", got)
		}
		first, second := h.fake.Peer(0).StartedWith(), h.fake.Peer(1).StartedWith()
		if first["database"] != "app" || second["database"] != "other" || second["user"] != "app" || len(first) != 2 {
			t.Errorf("the startup packets say %v and %v", first, second)
		}
	})
}

func TestAChangedLoginFailsWhoWaitsForTheOldOne(t *testing.T) {
	for name, edit := range map[string]func(*Spec){
		"user":     func(s *Spec) { s.PoolSize, s.User, s.Secret = 1, "other", "old" },
		"password": func(s *Spec) { s.PoolSize, s.User, s.Secret = 1, "app", "new" },
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, nil, func(s *Spec) { s.PoolSize, s.User, s.Secret = 1, "app", "old" }, func(t *testing.T, h *house) {
				db := h.pool.Database()
				held := h.take()
				waiting := ask(h.pool)
				h.apply(edit)
				code(t, waiting.refusal(t), wire.CodeAdminShutdown)
				code(t, ask(h.pool).refusal(t), wire.CodeAdminShutdown)
				login, fixed := db.FixedLogin()
				if !fixed || login.Equal(Login{User: "app", Password: "old"}) {
					t.Errorf("the login is %v, fixed %v", login, fixed)
				}
				p, leave := h.manager.Join(db, login)
				defer leave()
				if p == h.pool {
					t.Fatal("clients that come now get the old pool")
				}
				s := ask(p).server(t)
				if got := h.fake.Peer(1).StartedWith()["user"]; got != login.User {
					t.Errorf("the new server's user is %s", got)
				}
				p.Release(s)
				h.pool.Release(held)
				h.wants(0, 0)
			})
		})
	}
}

func TestAShrunkenPoolKeepsAsManyServersAsItMay(t *testing.T) {
	for name, held := range map[string]bool{"idle": false, "in use": true} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, nil, size(10), func(t *testing.T, h *house) {
				var list []*Server
				for range 10 {
					list = append(list, h.take())
				}
				if held {
					h.apply(size(3))
				}
				for _, s := range list {
					h.pool.Release(s)
				}
				if !held {
					h.apply(size(3))
					pass(sweepEvery)
				}
				h.wants(3, 0)
				last := h.take()
				if last != list[9] {
					t.Error("the server used last is not among those that stayed")
				}
				h.pool.Release(last)
			})
		})
	}
}

func TestAGrownPoolServesWhoWaits(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		waiting := askers(h.pool, 6)
		h.wants(2, 4)
		h.apply(size(5))
		pass(2 * sweepEvery)
		h.wants(5, 1)
		h.apply(size(1))
		for _, a := range waiting[:5] {
			h.pool.Release(a.server(t))
		}
		h.pool.Release(waiting[5].server(t))
		h.wants(1, 0)
	})
}

func TestThePoolSizeOfADatabaseComesBeforeTheDefault(t *testing.T) {
	s := &Spec{Defaults: DefaultConfig()}
	if got := s.size("app"); got != 20 {
		t.Errorf("by default %d", got)
	}
	s.PoolSize = 7
	if got := s.size("app"); got != 7 {
		t.Errorf("of its own %d", got)
	}
}

func TestARemovedDatabaseFailsWhoWaitsAndEndsItsServers(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		db := h.pool.Database()
		idle, held := h.take(), h.take()
		waiting := ask(h.pool)
		h.pool.Release(idle)
		idle = waiting.server(t)
		waiting = ask(h.pool)
		h.manager.Apply(map[string]*Spec{"other": newSpec(t)})
		code(t, waiting.refusal(t), wire.CodeUndefinedDatabase)
		code(t, ask(h.pool).refusal(t), wire.CodeUndefinedDatabase)
		if _, found := h.manager.Database("app"); found {
			t.Error("the database can still be found")
		}
		late, leave := h.manager.Join(db, Login{User: "somebody"})
		defer leave()
		code(t, ask(late).refusal(t), wire.CodeUndefinedDatabase)
		h.wants(2, 0)
		h.pool.Release(held)
		h.pool.Release(idle)
		h.wants(0, 0)
	})
}

func TestAServerOpenedForADatabaseThatWasRemovedMeanwhileEnds(t *testing.T) {
	inHouse(t, slowly(time.Second), nil, func(t *testing.T, h *house) {
		a := ask(h.pool)
		pass(time.Second / 2)
		h.manager.Apply(map[string]*Spec{})
		code(t, a.refusal(t), wire.CodeUndefinedDatabase)
		pass(time.Second)
		h.wants(0, 0)
		if len(h.fake.Dialed()) != 1 {
			t.Error("the server was not even opened")
		}
	})
}

func TestANewTrustRenewsOnlyTheDatabasesThatRestOnIt(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		other := newSpec(t)
		app := h.pool.Database().spec.Load()
		h.manager.Apply(map[string]*Spec{"app": app, "other": other})
		old := h.take()
		h.pool.Release(old)
		h.manager.RotateTrust(other.Trust)
		pass(2 * sweepEvery)
		h.wants(1, 0)
		if old.Err() != nil {
			t.Error("the server rests on another trust and was ended")
		}
		h.manager.RotateTrust(app.Trust)
		pass(3 * sweepEvery)
		h.wants(1, 0)
		if old.Err() == nil {
			t.Error("the server of the old trust is left")
		}
	})
}

func TestEachRoleOfADatabaseHasAPoolOfItsOwn(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		db := h.pool.Database()
		alice, leave := h.manager.Join(db, Login{User: "alice", Password: "a"})
		defer leave()
		again, leave := h.manager.Join(db, Login{User: "alice", Password: "a"})
		defer leave()
		if alice == h.pool || alice != again {
			t.Fatal("pools are not shared by role")
		}
		s := h.take()
		other := ask(alice).server(t)
		if got := h.fake.Peer(1).StartedWith()["user"]; got != "alice" {
			t.Errorf("alice's server was logged in as %s", got)
		}
		alice.Release(other)
		h.pool.Release(s)
	})
}

func TestANewPasswordOfARoleEndsItsOldPool(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		db := h.pool.Database()
		old, leave := h.manager.Join(db, Login{User: "alice", Password: "old"})
		defer leave()
		held := ask(old).server(t)
		waiting := ask(old)
		fresh, leave := h.manager.Join(db, Login{User: "alice", Password: "new"})
		defer leave()
		code(t, waiting.refusal(t), wire.CodeInvalidPassword)
		if fresh == old {
			t.Fatal("the new password leads to servers that were opened with the old one")
		}
		old.Release(held)
		synctest.Wait()
		if servers, _ := old.counts(); servers != 0 {
			t.Error("a server with the old password is left")
		}
	})
}

func TestLoginsAreTheSameOnlyInAllThatTheyProve(t *testing.T) {
	login := Login{User: "alice", Password: "sesame", MD5: auth.NewMD5Secret("sesame", "alice")}
	if same := login; !login.Equal(same) || !(Login{}).Equal(Login{}) {
		t.Error("a login is not itself")
	}
	for name, edit := range map[string]func(*Login){
		"role":       func(l *Login) { l.User = "Alice" },
		"password":   func(l *Login) { l.Password = "sesamE" },
		"a longer":   func(l *Login) { l.Password += "e" },
		"none":       func(l *Login) { l.Password = "" },
		"md5 secret": func(l *Login) { l.MD5 = auth.NewMD5Secret("sesame", "bob") },
		"keys":       func(l *Login) { l.Keys = keysOf(t, "sesame") },
	} {
		other := login
		if edit(&other); login.Equal(other) || other.Equal(login) {
			t.Errorf("%s: the login is the same", name)
		}
	}
}

// keysOf returns what a login by SCRAM with a password reveals.
func keysOf(t *testing.T, password string) auth.Keys {
	t.Helper()
	secret, err := auth.NewSecret(password, 64)
	ok(t, err)
	client, server := auth.NewClientExchange(password), auth.NewServerExchange(secret, true)
	first, err := server.First(client.First())
	ok(t, err)
	final, err := client.Respond(first)
	ok(t, err)
	_, err = server.Final(final)
	ok(t, err)
	return server.Keys()
}

func TestAClientsOwnLoginIsUsedWhereTheDatabaseHasNone(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		if login, fixed := h.pool.Database().FixedLogin(); fixed {
			t.Errorf("the login %v is fixed", login)
		}
	})
}

func TestAPasswordIsNeverFormatted(t *testing.T) {
	login := Login{User: "app", Password: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(verb, login); got != "app" && got != `"app"` {
			t.Errorf("%s gives %s", verb, got)
		}
	}
}

// anyHouse makes "*" stand for all databases, beside "app".
func anyHouse(h *house) {
	spec := newSpec(h.t)
	h.manager.Apply(map[string]*Spec{"app": h.pool.Database().spec.Load(), AnyDatabase: spec})
}

func TestADatabaseThatIsNotListedDoesNotExist(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		for _, name := range []string{"", "other", "APP", AnyDatabase} {
			if _, found := h.manager.Database(name); found {
				t.Errorf("there is a database %q", name)
			}
		}
	})
}

func TestTheAnyDatabaseEntryStandsForDatabasesThatHaveNone(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		anyHouse(h)
		db := h.database("shop")
		if db.Name != "shop" || h.database("shop") != db || h.database("app") != h.pool.Database() {
			t.Error("not each name has one database")
		}
		p, leave := h.manager.Join(db, Login{User: "app"})
		s := ask(p).server(t)
		if got := h.fake.Peer(0).StartedWith()["database"]; got != "shop" {
			t.Errorf("the server was asked for database %s", got)
		}
		p.Release(s)
		leave()
	})
}

// A client that asks for the database "*" must not get at the entry itself:
// it would be forgotten with that client.
func TestTheNameOfTheAnyDatabaseEntryIsNoDatabase(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		anyHouse(h)
		if _, found := h.manager.Database(AnyDatabase); found {
			t.Error("a client reached the entry itself")
		}
		pass(3 * sweepEvery)
		h.database("shop")
	})
}

func TestAutomaticDatabasesAreBounded(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		anyHouse(h)
		for i := range maxAutoDatabases {
			h.database(fmt.Sprint("db", i))
		}
		if _, found := h.manager.Database("one more"); found {
			t.Error("there is no bound")
		}
		h.database("db7")
		h.database("app")
		pass(2 * sweepEvery)
		h.database("one more")
	})
}

func TestAnAutomaticDatabaseIsForgottenWhenNobodyUsesIt(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		anyHouse(h)
		db := h.database("shop")
		p, leave := h.manager.Join(db, Login{User: "app"})
		pass(2 * sweepEvery)
		if h.database("shop") != db {
			t.Fatal("it was forgotten while a client was there")
		}
		p.Release(ask(p).server(t))
		leave()
		pass(2 * sweepEvery)
		if h.database("shop") != db {
			t.Fatal("it was forgotten while it had a server")
		}
		pass(DefaultConfig().ServerIdleTimeout + sweepEvery)
		if h.database("shop") == db {
			t.Error("it was not forgotten")
		}
		if h.database("app") != h.pool.Database() {
			t.Error("a database of the configuration was forgotten")
		}
	})
}

func TestAnAutomaticDatabaseFollowsTheConfiguration(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		anyHouse(h)
		app := h.pool.Database().spec.Load()
		db := h.database("shop")
		p, leave := h.manager.Join(db, Login{User: "app"})
		p.Release(ask(p).server(t))

		changed := newSpec(t, func(s *Spec) { s.Host = "new.internal" })
		h.manager.Apply(map[string]*Spec{"app": app, AnyDatabase: changed})
		p.Release(ask(p).server(t))
		if got := h.fake.Dialed()[1]; got != "new.internal:5432" {
			t.Errorf("after the entry changed its servers are at %s", got)
		}

		h.manager.Apply(map[string]*Spec{"app": app, AnyDatabase: changed, "shop": newSpec(t)})
		leave()
		pass(DefaultConfig().ServerIdleTimeout + 2*sweepEvery)
		if h.database("shop") != db {
			t.Error("a database that has an entry of its own now was forgotten")
		}

		other := h.database("other")
		h.manager.Apply(map[string]*Spec{"app": app})
		if _, found := h.manager.Database("other"); found {
			t.Error("an automatic database outlived the entry it came from")
		}
		q, leave := h.manager.Join(other, Login{User: "app"})
		defer leave()
		synctest.Wait()
		code(t, ask(q).refusal(t), wire.CodeUndefinedDatabase)
	})
}

func TestCloseFailsWhoWaitsAndWaitsForTheServers(t *testing.T) {
	const farewell = backend.CloseWait / 2
	script := func(p *peer) {
		hospitable(p)
		pass(farewell) // a backend takes a while to go
	}
	inHouse(t, script, size(2), func(t *testing.T, h *house) {
		first, second := h.take(), h.take()
		waiting := ask(h.pool)
		ended := make(chan time.Time)
		go func() {
			ok(t, h.manager.Close(t.Context()))
			ended <- time.Now()
		}()
		code(t, waiting.refusal(t), wire.CodeAdminShutdown)
		code(t, ask(h.pool).refusal(t), wire.CodeAdminShutdown)
		pass(time.Minute)
		h.wants(2, 0)
		h.pool.Release(first)
		pass(time.Minute)
		h.wants(1, 0)
		released := time.Now()
		h.pool.Release(second)
		if waited := (<-ended).Sub(released); waited != farewell {
			t.Errorf("Close returned %v after the last server was given back, want %v", waited, farewell)
		}
	})
}

func TestCloseGivesUpWhenItsContextEnds(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		held := h.take()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.manager.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v while a server was in use", err)
		}
		h.pool.Release(held)
	})
}

func TestCloseEndsAServerThatWasBeingOpened(t *testing.T) {
	inHouse(t, slowly(time.Second), nil, func(t *testing.T, h *house) {
		a := ask(h.pool)
		pass(time.Second / 2)
		ok(t, h.manager.Close(t.Context()))
		code(t, a.refusal(t), wire.CodeAdminShutdown)
		h.wants(0, 0)
	})
}

func TestAfterCloseNothingIsOpened(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		anyHouse(h)
		db := h.database("app")
		ok(t, h.manager.Close(t.Context()))
		p, leave := h.manager.Join(db, Login{User: "late"})
		defer leave()
		code(t, ask(p).refusal(t), wire.CodeAdminShutdown)
		if _, found := h.manager.Database("shop"); found {
			t.Error("a database came to life")
		}
		h.manager.Apply(map[string]*Spec{"new": newSpec(t)})
		if _, found := h.manager.Database("new"); found {
			t.Error("a configuration was applied")
		}
		if len(h.fake.Dialed()) != 0 {
			t.Error("a server was opened")
		}
	})
}
