package proxy

import (
	"context"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

// desk is a console that only alice and dave may use.
type desk struct{}

func (d *desk) Owns(database string) bool { return database == "pgseal" }

func (d *desk) Admits(user string) *wire.Error {
	if user == "alice" || user == "dave" {
		return nil
	}
	return wire.Fatal(wire.CodeInsufficientPrivilege, "not you")
}

func (d *desk) Parameters() []wire.Parameter {
	return []wire.Parameter{{Name: "server_version", Value: "15.0"}}
}

func (d *desk) Serve(ctx context.Context, c console.Client) {
	for ctx.Err() == nil {
		typ, body, err := wire.ReadMessage(c, nil, 100)
		if err != nil || typ == wire.Terminate {
			return
		}
		switch string(body) {
		case "wait\x00":
			<-c.Canceled
		case "panic\x00":
			panic("a mistake in the console")
		}
		if _, err := c.Write(wire.AppendReadyForQuery(nil, wire.StatusIdle)); err != nil {
			return
		}
	}
}

// withDesk gives the house a console.
func withDesk(p *plan) { p.desk = &desk{} }

func (c *client) hello() {
	c.t.Helper()
	c.write(query("hello"))
	c.wants(ready("I"))
}

func TestAClientOfTheConsoleLogsInLikeEverybody(t *testing.T) {
	h := open(t, withDesk)
	c := h.login("pgseal", "application_name", "psql")
	if c.params["server_version"] != "15.0" {
		t.Errorf("the client is told %v", c.params)
	}
	c.hello()
	list, logins := h.proxy.ClientList()
	if len(list) != 1 || logins != 0 {
		t.Fatalf("the clients are %+v and %d", list, logins)
	}
	v := list[0]
	if !v.Console || v.User != "alice" || v.Database != "pgseal" || v.Application != "psql" || v.Identity != "scram-sha-256:alice" ||
		v.Negotiation != stats.NegotiatedSSLRequest || v.TLS == nil || v.TLS.ServerName != "localhost" || v.State != stats.StateActive {
		t.Errorf("the client is shown as %+v", v)
	}
	if h.proxy.Clients() != 0 {
		t.Error("the console's session counts as a client")
	}
	c.leave()
	wrong := h.dialTLS()
	wrong.write(packet(version3, "user", "alice", "database", "pgseal"))
	wrong.authenticate("not the password")
	wrong.refused("28P01")
	bob := h.dialTLS()
	bob.write(packet(version3, "user", "bob", "database", "pgseal"))
	bob.authenticate(password)
	bob.authenticated()
	bob.refused("42501")
	eventually(t, "both refusals are in the audit stream", func() bool { return h.logs.FilterMessage("refusal").Len() == 2 })
	var reasons []string // each is told after the answer, so in any order
	for _, line := range h.logs.FilterMessage("refusal").All() {
		reasons = append(reasons, fmt.Sprint(line.ContextMap()["reason"]))
	}
	if slices.Sort(reasons); !slices.Equal(reasons, []string{"console", "wrong_password"}) {
		t.Errorf("the reasons are %v", reasons)
	}
	walsender := h.dialTLS()
	walsender.write(packet(version3, "user", "alice", "database", "pgseal", "replication", "database"))
	walsender.authenticate(password)
	walsender.authenticated()
	walsender.refused("0A000")
}

// consoleMethod is a method of authentication, and how clients go about it.
type consoleMethod struct {
	rule  string
	dial  func(h *house, with string) *client
	prove func(c *client, role, with string)
	want  map[[2]string]string // SQLSTATE by role and by what it proves itself with
}

func consoleMethods(t *testing.T) []consoleMethod {
	_, closed := listening(t)
	secured := func(h *house, _ string) *client { return h.dialTLS() }
	certified := func(h *house, name string) *client { return h.dialCertificate(devca.Request{CommonName: name}) }
	onSocket := func(h *house, _ string) *client { return h.dialUnix() }
	bySCRAM := func(c *client, _, password string) { c.authenticate(password) }
	byPassword := func(c *client, _, password string) { c.tell(password) }
	unasked := func(*client, string, string) {}
	list := []consoleMethod{
		{"host all all all scram-sha-256", secured, bySCRAM, map[[2]string]string{{"alice", password}: "", {"alice", "wrong"}: "28P01",
			{"bob", password}: "42501", {"bob", "wrong"}: "28P01", {"mario", password}: "28P01", {"Alice", password}: "28P01"}},
		{"host all all all password", secured, byPassword, map[[2]string]string{{"alice", password}: "", {"alice", ""}: "28P01", {"alice", "wrong"}: "28P01",
			{"bob", password}: "42501", {"mario", password}: "28P01"}},
		{ldapRule(closed), secured, byPassword, map[[2]string]string{{"alice", password}: "28000", {"alice", ""}: "28000", {"bob", password}: "28000"}},
		{"hostssl all all all cert", certified, unasked, map[[2]string]string{{"alice", "alice"}: "", {"alice", "bob"}: "28000", {"bob", "bob"}: "42501", {"bob", "alice"}: "28000"}},
		{"local all all peer map=os", onSocket, unasked, map[[2]string]string{{"alice", ""}: "", {"bob", ""}: "42501", {"dave", ""}: "28000"}},
		{"host all all 127.0.0.1/32 trust", secured, unasked, map[[2]string]string{{"alice", ""}: "", {"bob", ""}: "42501", {"mario", ""}: "42501"}},
		{"host all all all reject", secured, unasked, map[[2]string]string{{"alice", ""}: "28000"}},
		{"host app all all trust", secured, unasked, map[[2]string]string{{"alice", ""}: "28000"}}, // none for the console
	}
	if noMD5(t) {
		return list
	}
	byMD5 := func(c *client, role, password string) {
		salt := strings.TrimPrefix(c.want('R'), "\x00\x00\x00\x05")
		c.write(msg('p', auth.NewMD5Secret(password, role).Respond([auth.MD5SaltLen]byte([]byte(salt))), "\x00"))
	}
	return append(list, consoleMethod{"host all all all md5", secured, byMD5, map[[2]string]string{{"dave", password}: "", {"dave", "wrong"}: "28P01"}},
		consoleMethod{"host all all all md5", secured, bySCRAM, map[[2]string]string{{"alice", password}: "", {"alice", "wrong"}: "28P01", {"bob", password}: "42501"}})
}

func TestTheConsoleIsGuardedByEachMethodAsDatabasesAre(t *testing.T) {
	me, err := user.Current()
	ok(t, err)
	ident := filepath.Join(t.TempDir(), "ident")
	write(t, ident, "os "+me.Username+" alice\nos "+me.Username+" bob\n")
	for _, g := range consoleMethods(t) {
		h := open(t, withDesk)
		h.askForCertificates()
		file := fmt.Sprintf("\"alice\" %q\n\"bob\" %q\n", password, password)
		if strings.HasSuffix(g.rule, "md5") {
			file += fmt.Sprintf("\"dave\" %q\n", daveSecret)
		}
		settings := *h.proxy.settings.Load()
		settings.Users, err = auth.ParseUsers("users", []byte(file), testMocker, nil)
		ok(t, err)
		h.proxy.Configure(settings)
		h.configure(login.Config{Rules: []string{g.rule}, IdentFile: ident})
		for who, want := range g.want {
			c := g.dial(h, who[1])
			c.write(packet(version3, "user", who[0], "database", "pgseal"))
			g.prove(c, who[0], who[1])
			if got := c.verdict(); got != want {
				t.Errorf("%s: %s with %q gets %q, want %q", g.rule, who[0], who[1], got, want)
			}
		}
	}
}

func TestWhoProvesToBeAnAdministratorByALookupUsesTheConsole(t *testing.T) {
	h := open(t, withDesk)
	d := h.directory(func(c *login.Config) { c.AuthDBName = "app" })
	d.set(func() { d.rows["dave"] = []string{rowOf("dave", h.server.secret.Encode())} })
	for who, want := range map[[2]string]string{{"dave", password}: "", {"dave", "wrong"}: "28P01", {"carol", password}: "42501", {"mario", password}: "28P01"} {
		c := h.dialTLS()
		c.write(packet(version3, "user", who[0], "database", "pgseal"))
		c.authenticate(who[1])
		if got := c.verdict(); got != want {
			t.Errorf("%s with %q gets %q, want %q", who[0], who[1], got, want)
		}
	}
}

// verdict reads to the end of a login, and returns the SQLSTATE of its refusal
// or nothing where the client is let in.
func (c *client) verdict() string {
	c.t.Helper()
	for {
		typ, body, err := readMsg(c)
		ok(c.t, err)
		switch typ {
		case 'Z':
			return ""
		case 'E':
			_, code, _ := strings.Cut(body, "\x00C")
			return code[:5]
		}
	}
}

func TestTheConsoleHasRoomWhenThePoolerIsFull(t *testing.T) {
	h := open(t, withDesk, func(p *plan) { p.pool.MaxClientConn = 1 })
	first := h.login("app")
	second := h.dialTLS()
	second.write(packet(version3, "user", "alice", "database", "app"))
	second.refused("53300")
	var consoles []*client
	for range maxConsoles {
		c := h.login("pgseal")
		c.hello()
		consoles = append(consoles, c)
	}
	extra := h.dialTLS()
	extra.write(packet(version3, "user", "alice", "database", "pgseal"))
	extra.authenticate(password)
	extra.authenticated()
	extra.refused("53300")
	first.ask("SELECT pid")
	for _, c := range append(consoles, first) {
		c.leave()
	}
}

func TestACancelRequestReachesTheConsole(t *testing.T) {
	h := open(t, withDesk)
	c := h.login("pgseal")
	c.write(query("wait"))
	h.cancel(c.key, true)
	c.wants(ready("I"))
}

func TestAnAdministratorEndsSessionsAndTheyAreToldSo(t *testing.T) {
	h := open(t, withDesk)
	console, busy, idle := h.login("pgseal"), h.login("app"), h.login("sess")
	console.hello()
	busy.do("BEGIN", "T")
	eventually(t, "all are known", func() bool { list, _ := h.proxy.ClientList(); return len(list) == 3 })
	list, _ := h.proxy.ClientList()
	if list[1].State != stats.StateActive || list[1].Server == 0 || list[2].State != stats.StateIdle {
		t.Fatalf("the clients are %+v", list)
	}
	if !h.proxy.Kill(list[1].ID) || h.proxy.Kill(12345) {
		t.Error("Kill does not tell whether there is such a client")
	}
	busy.refused("57P01")
	h.proxy.KillAll("app") // nobody is left there
	h.proxy.KillAll("sess")
	idle.refused("57P01")
	console.hello()
	if !h.proxy.Kill(list[0].ID) {
		t.Error("the console's session can't be ended")
	}
	console.refused("57P01")
	h.login("app").leave()
}

func TestAPanicInTheConsoleEndsOneSession(t *testing.T) {
	h := open(t, withDesk, func(p *plan) { p.panics = true })
	c, other := h.login("pgseal"), h.login("pgseal")
	c.write(query("panic"))
	c.refused("XX000")
	h.logged("panic in the console", 1)
	other.hello()
	other.leave()
}

func TestWhoAcceptsNobodyAnyMoreDoesNotListen(t *testing.T) {
	h := open(t)
	c := h.login("app")
	if !h.proxy.Listening() {
		t.Error("a server with a listener does not listen")
	}
	h.proxy.StopAccepting()
	if h.proxy.Listening() {
		t.Error("a server whose listeners are closed says that clients can connect")
	}
	c.ask("SELECT pid") // who is there stays
	c.leave()
}

func TestAConsoleWatchesTheEndOfAllOthers(t *testing.T) {
	h := open(t, withDesk)
	console, busy := h.login("pgseal"), h.login("app")
	busy.do("BEGIN", "T")
	done := make(chan error, 1)
	go func() { done <- h.proxy.Shutdown(context.Background()) }()
	console.hello()
	busy.do("COMMIT", "I")
	busy.refused("57P01")
	console.refused("57P01")
	ok(t, <-done)
}
