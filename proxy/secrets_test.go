package proxy

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/proxy/login"
)

// null stands for NULL in the rows of a directory.
const null = "\x00NULL"

// rowOf is a row of several columns.
func rowOf(values ...string) string {
	body := string([]byte{0, byte(len(values))})
	for _, v := range values {
		if v == null {
			body += "\xff\xff\xff\xff"
			continue
		}
		body += size(v) + v
	}
	return msg('D', body)
}

// directory is what a server knows of roles, and how often it was asked.
type directory struct {
	mu     sync.Mutex
	rows   map[string][]string // messages, by role
	fails  string              // SQLSTATE of every answer
	asked  map[string]int
	member []string // "role group"
}

// directory has the house look up roles as auth_user looker. Its server knows
// carol with the password of everybody.
func (h *house) directory(edit ...func(*login.Config)) *directory {
	h.t.Helper()
	d := &directory{asked: map[string]int{}, rows: map[string][]string{"carol": {rowOf("carol", h.server.secret.Encode(), null)}}}
	h.server.set(func() { h.server.lookup = d.answer })
	settings := *h.proxy.settings.Load()
	settings.Auth = login.DefaultConfig()
	settings.Auth.AuthDelay, settings.Auth.MaxFailedPerSource = 0, 0 // these tests are not about guesses
	settings.Auth.AuthUser, settings.AuthPass = "looker", password
	for _, f := range edit {
		f(&settings.Auth)
	}
	ok(h.t, settings.Auth.Validate())
	h.proxy.Configure(settings)
	return d
}

func (d *directory) answer(sql string, params []string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	role := params[0]
	d.asked[role]++
	switch {
	case d.fails != "":
		return serverError(d.fails)
	case strings.HasPrefix(sql, "WITH RECURSIVE") && slices.Contains(d.member, role+" "+params[1]):
		return row("1") + complete("SELECT 1")
	case strings.HasPrefix(sql, "WITH RECURSIVE"):
		return complete("SELECT 0")
	}
	return strings.Join(d.rows[role], "") + complete("SELECT 1")
}

// set changes what the server knows.
func (d *directory) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *directory) timesAsked(role string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[role]
}

// as opens a session in the name of a role.
func (h *house) as(role string, params ...string) *client {
	h.t.Helper()
	c := h.dialTLS()
	c.write(packet(version3, append([]string{"user", role, "database", "app"}, params...)...))
	return c
}

func TestARoleOfAuthQueryLogsInAtTheServerWithItsOwnProof(t *testing.T) {
	h := open(t)
	h.directory()
	c := h.as("carol", "search_path", "evil", "options", "-c search_path=evil", "statement_timeout", "0")
	c.authenticate(password)
	c.greeted()
	if got := c.ask("SELECT pid"); got == "" {
		t.Error("no answer")
	}
	lookup, server := receive(t, "the connection of the lookup", h.server.opened), receive(t, "the server", h.server.opened)
	if lookup.startup["user"] != "looker" || len(lookup.startup) != 4 || lookup.startup["statement_timeout"] != "5000" {
		t.Errorf("the lookup's startup packet bears %v", lookup.startup)
	}
	if lookup.parsed != login.DefaultAuthQuery || !slices.Equal(lookup.params, []string{"carol"}) {
		t.Errorf("the lookup ran %q with %q", lookup.parsed, lookup.params)
	}
	if server.startup["user"] != "carol" {
		t.Errorf("the server was opened as %q", server.startup["user"])
	}
}

func TestNoRowOtherThanTheRolesOwnWithAUsableSecretLetsIn(t *testing.T) {
	h := open(t)
	d := h.directory(func(c *login.Config) { c.AuthQueryCacheTTL = 0 })
	secret := h.server.secret.Encode()
	for name, rows := range map[string][]string{
		"no row":                {},
		"two rows":              {rowOf("dave", secret), rowOf("dave", secret)},
		"NULL":                  {rowOf("dave", null)},
		"no name":               {rowOf(null, secret)},
		"another role":          {rowOf("carol", secret)},
		"auth_user":             {rowOf("looker", secret)},
		"a name in other case":  {rowOf("Dave", secret)},
		"an empty secret":       {rowOf("dave", "")},
		"a password":            {rowOf("dave", password)},
		"md5":                   {rowOf("dave", "md5d41d8cd98f00b204e9800998ecf8427e")},
		"half a secret":         {rowOf("dave", secret[:len(secret)/2])},
		"expired":               {rowOf("dave", secret, "-0.5")},
		"expired at the moment": {rowOf("dave", secret, "0")},
	} {
		d.set(func() { d.rows["dave"] = rows })
		c := h.as("dave")
		c.authenticate(password)
		if e := c.refused("28P01"); e['M'] != `password authentication failed for user "dave"` {
			t.Errorf("%s: told %q", name, e['M'])
		}
	}
	for len(h.server.opened) > 0 {
		if b := <-h.server.opened; b.parsed == "" {
			t.Errorf("a server was opened as %q", b.startup["user"])
		}
	}
	d.set(func() { d.rows["dave"] = []string{rowOf("dave", secret, "Infinity")} })
	c := h.as("dave")
	c.authenticate(password)
	c.greeted()
}

func TestARoleThatIsUnknownOrKnownLooksAlike(t *testing.T) {
	h := open(t)
	h.directory()
	transcript := func(role string) (shape []string) {
		c := h.as(role)
		x := c.beginSCRAM("wrong")
		first := c.want('R')
		final, err := x.Respond([]byte(first[4:]))
		ok(t, err)
		c.write(msg('p', string(final)))
		_, iterations, _ := strings.Cut(first, ",i=")
		e := c.refused("28P01")
		// The salt of the test's roles has another count of iterations.
		shape = append(shape, fmt.Sprint(len(first)-len(iterations)))
		for _, field := range "SVCMH" {
			shape = append(shape, strings.ReplaceAll(e[byte(field)], role, "ROLE"))
		}
		return shape
	}
	known, unknown, own := transcript("carol"), transcript("nadja"), transcript("alice")
	if !slices.Equal(known, unknown) || !slices.Equal(known, own) {
		t.Errorf("a known role gets %q, an unknown one %q, one of users_file %q", known, unknown, own)
	}
}

func TestALookupThatFailsIsNoWrongPassword(t *testing.T) {
	h := open(t)
	d := h.directory(func(c *login.Config) { c.AuthQueryCacheTTL = 0 })
	d.set(func() { d.rows["short"], d.rows["odd"] = []string{rowOf("short")}, []string{rowOf("odd", "x", "soon")} })
	for _, role := range []string{"short", "odd"} {
		h.as(role).refused("57P03")
	}
	d.set(func() { d.fails = "42501" })
	e := h.as("carol").refused("57P03")
	for _, text := range e {
		if strings.Contains(text, "went wrong") || strings.Contains(text, "looker") {
			t.Errorf("the client is told %q", text)
		}
	}
	told := h.logs.FilterMessage("auth_query failed").All()
	if len(told) != 3 || !strings.Contains(fmt.Sprint(told[2].ContextMap()), "it went wrong") {
		t.Errorf("the log says %v", told)
	}
	h.login("app") // users_file needs no lookup
}

func TestARoleThatNoEncodingHasIsUnknown(t *testing.T) {
	h := open(t)
	d := h.directory()
	d.set(func() { d.fails = "22021" })
	c := h.as("n\xffbody")
	c.authenticate(password)
	c.refused("28P01")
	h.logged("auth_query failed", 0)
}

func TestAPasswordInTheClearIsCheckedAgainWithTheSecretOfNow(t *testing.T) {
	h := open(t)
	h.directory(func(c *login.Config) { c.AuthQueryCacheTTL = 0 })
	h.rulesBeside("hostssl all all all password")
	old, err := auth.NewSecret("the old one", 64)
	ok(t, err)
	var asked atomic.Int32
	h.server.set(func() {
		h.server.lookup = func(string, []string) string {
			secret := h.server.secret
			if asked.Add(1) == 1 {
				secret = old
			}
			return rowOf("carol", secret.Encode()) + complete("SELECT 1")
		}
	})
	c := h.as("carol")
	c.tell(password)
	c.welcomed()
	if n := asked.Load(); n != 2 {
		t.Errorf("carol was looked up %d times", n)
	}
	c = h.as("carol")
	c.tell("the old one")
	c.refused("28P01")
}

// rulesBeside is rules for a house with a directory: its configuration stays.
func (h *house) rulesBeside(lines ...string) {
	h.t.Helper()
	c := h.proxy.settings.Load().Auth
	c.Rules = lines
	h.configure(c)
}

func TestRulesForGroupsAskTheServer(t *testing.T) {
	h := open(t)
	d := h.directory()
	d.set(func() { d.member = []string{"alice staff", "carol app", "alice alice"} })
	h.rulesBeside("host all +banned all reject", "host app +staff all trust", "host samerole all all scram-sha-256")
	h.as("alice").welcomed() // staff
	c := h.as("carol")       // member of app
	c.authenticate(password)
	c.greeted()
	h.as("bob").refused("28000")
	d.set(func() { d.member = append(d.member, "dora banned", "dora staff") })
	if e := h.as("dora").refused("28000"); !strings.Contains(e['M'], "rejects") {
		t.Errorf("told %q", e['M'])
	}
	before := d.timesAsked("dora")
	h.as("dora").refused("28000")
	if n := d.timesAsked("dora"); n != before {
		t.Error("a membership was looked up again")
	}
	// A rule that can't be followed is not passed over.
	d.set(func() { d.fails = "42501" })
	h.as("emil").refused("57P03")
}

func TestTheProtocolIsNegotiatedOnceWhileALoginWaitsForItsLookup(t *testing.T) {
	h := open(t)
	h.directory()
	asked, proceed := make(chan struct{}, 10), make(chan struct{})
	h.server.set(func() {
		answer := h.server.lookup
		h.server.lookup = func(sql string, params []string) string {
			asked <- struct{}{}
			<-proceed
			return answer(sql, params)
		}
	})
	c := h.dialTLS()
	c.write(packet("\x00\x03\x27\x0f", "user", "carol", "_pq_.b", "1", "database", "app", "_pq_.a", "2"))
	receive(t, "the lookup", asked)
	c.wants(msg('v', version32, "\x00\x00\x00\x02", "_pq_.b\x00_pq_.a\x00"))
	close(proceed)
	c.authenticate(password) // it reads the request, and nothing before
	c.greeted()
	c.ask("SELECT pid")
	for len(h.server.opened) > 0 {
		if b := <-h.server.opened; b.startup["_pq_.a"] != "" || b.startup["_pq_.b"] != "" {
			t.Errorf("the options of a client were sent to a server: %v", b.startup)
		}
	}
}

// Two versions of rules and maps let the same certificate in. A login that took
// the rule of one and the map of the other would be refused.
func TestALoginThatWaitsForItsLookupFollowsOneVersionOfTheRules(t *testing.T) {
	h := open(t)
	h.directory(func(c *login.Config) { c.AuthQueryCacheTTL = 0 })
	h.askForCertificates()
	var versions [2]Settings
	for i, name := range []string{"first", "second"} {
		config := h.proxy.settings.Load().Auth
		config.Rules = []string{"hostssl all all all scram-sha-256 clientcert=verify-full map=" + name}
		config.IdentFile = filepath.Join(t.TempDir(), "ident")
		write(t, config.IdentFile, name+" client carol\n")
		access, err := login.ParseAccess(reload.NewReader(), "/config.yaml", config)
		ok(t, err)
		versions[i] = *h.proxy.settings.Load()
		versions[i].Access = access
	}
	h.proxy.Configure(versions[0])
	done := make(chan struct{})
	var reloads, logins sync.WaitGroup
	reloads.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-done:
				return
			default:
				h.proxy.Configure(versions[i%2])
				runtime.Gosched()
			}
		}
	})
	for range 4 {
		logins.Go(func() {
			for range 10 {
				for name, want := range map[string]string{"client": "", "carol": "28000"} {
					c := h.dialCertificate(devca.Request{CommonName: name})
					c.write(packet(version3, "user", "carol", "database", "app"))
					c.authenticate(password)
					if got := c.verdict(); got != want {
						t.Errorf("with a certificate of %s the client gets %q, want %q", name, got, want)
					}
					c.raw.Close()
				}
			}
		})
	}
	logins.Wait()
	close(done)
	reloads.Wait()
}
