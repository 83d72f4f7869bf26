package proxy

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
)

// limits sets how failed logins are met.
func (h *house) limits(c login.Config) {
	settings := *h.proxy.settings.Load()
	settings.Auth = c
	h.proxy.Configure(settings)
}

// counted asserts what became of proofs so far.
func (h *house) counted(want guard.FailedLoginCounts) {
	h.t.Helper()
	got := h.proxy.FailedLogins()
	for _, reason := range []string{guard.WrongPassword, guard.UnknownRole, guard.WrongCertificate, guard.WrongPeer} {
		if n, there := got.Reasons[reason]; !there || n != want.Reasons[reason] {
			h.t.Errorf("%d proofs failed for %s, want %d", n, reason, want.Reasons[reason])
		}
	}
	if got.SourceCapped != want.SourceCapped || got.RoleCapped != want.RoleCapped {
		h.t.Errorf("%d and %d were capped, want %d and %d", got.SourceCapped, got.RoleCapped, want.SourceCapped, want.RoleCapped)
	}
}

// lonely is a pooler without servers and engine, for logins that are refused.
func lonely(t *testing.T, c login.Config) (*Server, *Listener) {
	t.Helper()
	users, err := auth.ParseUsers("users", []byte(`"alice" "`+password+`"`), testMocker, nil)
	ok(t, err)
	settings := Settings{Settings: login.Settings{Users: users, Mocker: testMocker, Auth: c}}
	settings.Pool.ClientLoginTimeout, settings.Pool.MaxClientConn = time.Hour, 10
	p := New(zap.NewNop(), nil, pool.NewManager(zap.NewNop(), nil, NewServerState), settings)
	l := &Listener{server: p}
	l.Configure("disable", nil)
	return p, l
}

func TestARefusalComesAtAFixedTimeAfterTheClientsLastMessage(t *testing.T) {
	const delay = 700 * time.Millisecond
	for _, role := range []string{"alice", "mario"} {
		synctest.Test(t, func(t *testing.T) {
			p, l := lonely(t, login.Config{AuthDelay: delay})
			ours, theirs := net.Pipe()
			go p.serve(l, ours, false)
			c := &client{Conn: theirs, raw: theirs, t: t}
			c.write(packet(version3, "user", role, "database", "app"))
			x := c.beginSCRAM("wrong")
			final, err := x.Respond([]byte(c.want('R')[4:]))
			ok(t, err)
			<-time.After(5 * time.Second) // a client that thinks about it
			began := time.Now()
			c.write(msg('p', string(final)))
			c.wantError("28P01")
			if took := time.Since(began); took != delay {
				t.Errorf("%s was answered after %v, want %v", role, took, delay)
			}
			theirs.Close()
			synctest.Wait()
		})
	}
}

func TestASuccessfulLoginDoesNotWait(t *testing.T) {
	h := open(t)
	h.limits(login.Config{AuthDelay: patience})
	h.login("app") // would not come in before its deadline
}

func TestTheDelayOfAFailedLoginEndsWithTheServer(t *testing.T) {
	h := open(t)
	h.limits(login.Config{AuthDelay: patience})
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate("wrong")
	eventually(t, "the login has failed", func() bool { return h.proxy.FailedLogins().Reasons[guard.WrongPassword] == 1 })
	began := time.Now()
	h.shutDown()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the end took %v", took)
	}
}

func TestASourceThatFailsTooOftenIsNotToldWhetherThePasswordIsRight(t *testing.T) {
	h := open(t)
	h.limits(login.Config{MaxFailedPerSource: 3})
	early := h.dialTLS() // asked for its proof before the others failed
	early.write(packet(version3, "user", "alice", "database", "app"))
	x := early.beginSCRAM(password)
	final, err := x.Respond([]byte(early.want('R')[4:]))
	ok(t, err)
	wrong := h.attempt("alice", "app", "wrong")
	for _, role := range []string{"mario", "luigi"} {
		h.attempt(role, "app", "wrong")
	}
	early.write(msg('p', string(final)))
	early.refused("28P01")
	for name, got := range map[string]string{
		"the right password": h.attempt("alice", "app", password), "a wrong one": h.attempt("alice", "app", "wrong"),
		"a stranger": h.attempt("peach", "app", "wrong"), "a right one elsewhere": h.attempt("alice", "nowhere", password),
	} {
		if got != wrong {
			t.Errorf("beyond the limit %s is answered by\n%q, before it a wrong password by\n%q", name, got, wrong)
		}
	}
	h.counted(guard.FailedLoginCounts{Reasons: map[string]uint64{guard.WrongPassword: 1, guard.UnknownRole: 2}, SourceCapped: 5})
}

func TestARoleThatIsGuessedAtIsClosedAndOthersAreNot(t *testing.T) {
	for _, role := range []string{"bob", "mario"} { // one that there is, and one that there is not
		h := open(t)
		h.limits(login.Config{MaxFailedPerRole: 3})
		var wrong string
		for range 3 {
			wrong = h.attempt(role, "app", "wrong")
		}
		if got := h.attempt(role, "app", password); got != wrong {
			t.Errorf("beyond the limit %s is told %q, before it %q", role, got, wrong)
		}
		h.login("app")
		if got := h.proxy.FailedLogins(); got.RoleCapped != 1 || got.SourceCapped != 0 {
			t.Errorf("counted %+v", got)
		}
	}
}

func TestWhoCameInFromThereIsNotLockedOutByGuesses(t *testing.T) {
	h := open(t)
	h.limits(login.Config{MaxFailedPerSource: 3, MaxFailedPerRole: 3})
	h.login("app").leave()
	for range 5 {
		h.attempt("alice", "app", "wrong")
		h.attempt("bob", "app", "wrong")
	}
	h.login("app").leave()
	c := h.dialTLS() // bob did not come in before
	c.write(packet(version3, "user", "bob", "database", "app"))
	c.authenticate(password)
	c.refused("28P01")
	// What alice fails at is heeded, and counts for others.
	if got := h.proxy.FailedLogins(); got.Reasons[guard.WrongPassword] != 6 || got.SourceCapped != 5 {
		t.Errorf("counted %+v", got)
	}
}

// With auth_query a role of another database, whose password is known to who
// guesses, may have the same name.
func TestWhoCameInToOneDatabaseCanNotGuessAtAnotherWithoutALimit(t *testing.T) {
	h := open(t)
	h.limits(login.Config{MaxFailedPerSource: 3})
	h.login("app").leave()
	c := h.dialTLS() // a right password, and no database
	c.write(packet(version3, "user", "alice", "database", "nowhere"))
	c.authenticate(password)
	c.want('R') // he has proved who he is
	c.refused("3D000")
	for range 5 {
		h.attempt("alice", "nowhere", "wrong")
	}
	h.login("app")
	h.counted(guard.FailedLoginCounts{Reasons: map[string]uint64{guard.WrongPassword: 3}, SourceCapped: 2})
}

func TestClientsThatLeaveBeforeTheirProofAreNoFailures(t *testing.T) {
	h := open(t)
	h.limits(login.Config{MaxFailedPerSource: 1, MaxFailedPerRole: 1})
	for range 3 { // as psql does, to ask its user for the password
		c := h.dialTLS()
		c.write(packet(version3, "user", "alice", "database", "app"))
		c.want('R')
		c.raw.Close()
	}
	eventually(t, "they have left", func() bool { return h.proxy.Clients() == 0 })
	h.login("app")
	h.counted(guard.FailedLoginCounts{})
}

func TestACertificateForAnotherRoleIsAGuessAndNoneAtAllIsNot(t *testing.T) {
	h := open(t)
	h.askForCertificates()
	h.rules("hostssl all all all cert")
	h.limits(login.Config{MaxFailedPerRole: 2})
	h.asks(h.dialTLS(), "app").refused("28000")
	for range 2 {
		h.asks(h.dialCertificate(devca.Request{CommonName: "bob"}), "app").refused("28000")
	}
	e := h.asks(h.dialCertificate(devca.Request{CommonName: "alice"}), "app").refused("28000")
	if e['M'] != `certificate authentication failed for user "alice"` {
		t.Errorf("beyond the limit the right certificate is told %q", e['M'])
	}
	h.counted(guard.FailedLoginCounts{Reasons: map[string]uint64{guard.WrongCertificate: 2}, RoleCapped: 1})
}

func TestAPasswordInTheClearIsAGuessToo(t *testing.T) {
	h := open(t)
	h.rules("host all all all password")
	h.limits(login.Config{MaxFailedPerSource: 2})
	for _, told := range []string{"wrong", "", password} {
		c := h.asks(h.dialTLS(), "app")
		c.tell(told)
		c.refused("28P01")
	}
	h.counted(guard.FailedLoginCounts{Reasons: map[string]uint64{guard.WrongPassword: 2}, SourceCapped: 1})
}
