package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
)

func TestALoginIsGreetedWithParametersAndAKey(t *testing.T) {
	h := open(t)
	c := h.login("app")
	for i := 0; i < len(reported); i += 2 {
		if c.params[reported[i]] != reported[i+1] {
			t.Errorf("%s is %q, the server says %q", reported[i], c.params[reported[i]], reported[i+1])
		}
	}
	d := h.login("app")
	if c.key == d.key || c.key[4:] == d.key[4:] {
		t.Error("two clients got the same key")
	}
	eventually(t, "both logins are in the log", func() bool { return h.logs.FilterMessage("client logged in").Len() == 2 })
}

func TestASecondLoginNeedsNoServer(t *testing.T) {
	h := open(t)
	h.login("app")
	receive(t, "the server connection of the first", h.server.opened)
	h.server.set(func() { h.server.refusal = serverError("57P03") })
	h.login("app")
	nothing(t, "a server was opened for the second", h.server.opened)
}

// attempt returns all that a login attempt is told from the startup packet to
// the end of the connection, with what is random by nature taken out.
func (h *house) attempt(user, database, password string) string {
	h.t.Helper()
	var told strings.Builder
	c := h.dialTLS()
	c.write(packet(version3, "user", user, "database", database))
	x := c.beginSCRAM(password)
	typ, body, err := readMsg(c)
	ok(h.t, err)
	final, err := x.Respond([]byte(body[4:]))
	ok(h.t, err)
	nonce, rest, _ := strings.Cut(body[4:], ",s=")
	salt, iterations, _ := strings.Cut(rest, ",i=")
	told.WriteString(msg(typ, body[:4], strings.Repeat("n", len(nonce)), strings.Repeat("s", len(salt)), iterations))
	c.write(msg('p', string(final)))
	last, err := io.ReadAll(c)
	ok(h.t, err)
	told.Write(last)
	return strings.ReplaceAll(told.String(), user, "USER!")
}

func TestAnUnknownUserGetsTheSameAnswerAsAWrongPassword(t *testing.T) {
	h := open(t)
	wrong := h.attempt("alice", "app", "wrong")
	if !strings.Contains(wrong, "C28P01\x00") || !strings.Contains(wrong, `user "USER!"`) {
		t.Fatalf("a wrong password is answered by %q", wrong)
	}
	for name, got := range map[string]string{
		"an unknown user":                 h.attempt("mario", "app", "wrong"),
		"an unknown user, right password": h.attempt("mario", "app", password),
		"an unknown database":             h.attempt("alice", "nowhere", "wrong"),
	} {
		if got != wrong {
			t.Errorf("%s is answered by\n%q, a wrong password by\n%q", name, got, wrong)
		}
	}
	eventually(t, "all are in the log", func() bool { return h.logs.FilterMessage("login refused").Len() == 4 })
	nothing(t, "a server was asked", h.server.opened)
}

func TestAnUnknownUserHasTheSameSaltEachTime(t *testing.T) {
	h := open(t)
	salt := func(user string) string {
		c := h.dialTLS()
		c.write(packet(version3, "user", user))
		c.beginSCRAM("x")
		_, rest, _ := strings.Cut(c.want('R'), ",s=")
		return rest
	}
	first, again, other := salt("mario"), salt("mario"), salt("luigi")
	if first != again || first == other {
		t.Error("the salt tells that the user is unknown")
	}
}

func TestAnUnknownDatabaseIsToldOnlyToWhoKnowsThePassword(t *testing.T) {
	h := open(t)
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "nowhere"))
	c.authenticate(password)
	c.authenticated()
	if fields := c.refused("3D000"); fields['H'] == "" || !strings.Contains(fields['M'], "nowhere") {
		t.Errorf("it is told as %q", fields)
	}
}

func TestMalformedSASLMessagesAreRefused(t *testing.T) {
	h := open(t)
	first := string(auth.NewClientExchange(password).First())
	for name, m := range map[string]string{
		"another message type":        query("SELECT 1"),
		"a startup packet":            packet(version3, "user", "alice"),
		"an empty message":            msg('p'),
		"a password in clear":         msg('p', password, "\x00"),
		"no length":                   msg('p', "SCRAM-SHA-256\x00"),
		"a length too large":          msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\xff", first),
		"a length too small":          msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x01", first),
		"a negative length":           msg('p', "SCRAM-SHA-256\x00\xff\xff\xff\xfe", first),
		"no data":                     msg('p', "SCRAM-SHA-256\x00\xff\xff\xff\xff"),
		"empty data":                  msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x00"),
		"a mechanism not offered":     msg('p', "SCRAM-SHA-256-PLUS\x00", size(first), first),
		"an unknown mechanism":        msg('p', "PLAIN\x00", size(first), first),
		"no mechanism":                msg('p', "\x00", size(first), first),
		"channel binding":             msg('p', "SCRAM-SHA-256\x00", size("p=tls-unique,,n=,r=abc"), "p=tls-unique,,n=,r=abc"),
		"an authorization identity":   msg('p', "SCRAM-SHA-256\x00", size("n,a=bob,n=,r=abc"), "n,a=bob,n=,r=abc"),
		"no nonce":                    msg('p', "SCRAM-SHA-256\x00", size("n,,n="), "n,,n="),
		"garbage":                     msg('p', "SCRAM-SHA-256\x00", size("\x00\xff"), "\x00\xff"),
		"a length word of three":      "p\x00\x00\x00\x03",
		"a length word of minus one":  "p\xff\xff\xff\xff",
		"a length word of two GiB":    "p\x7f\xff\xff\xff",
		"a message beyond the limit":  "p" + size(strings.Repeat("x", 4+4<<10+1)),
		"a TLS record inside the TLS": "\x16\x03\x01\x02\x00\x01\x00",
	} {
		t.Run(name, func(t *testing.T) {
			c := h.dialTLS()
			c.t = t
			c.write(packet(version3, "user", "alice", "database", "app"))
			c.want('R')
			c.write(m)
			c.refused("08P01")
		})
	}
}

func TestAMalformedEndOfSCRAMIsRefused(t *testing.T) {
	h := open(t)
	for name, final := range map[string]string{
		"empty":            msg('p'),
		"no proof":         msg('p', "c=biws,r=abc"),
		"another nonce":    msg('p', "c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
		"a short proof":    msg('p', "c=biws,r=abc,p=AAAA"),
		"another message":  syncMsg,
		"beyond the limit": "p" + size(strings.Repeat("x", 4+4<<10+1)),
	} {
		t.Run(name, func(t *testing.T) {
			c := h.dialTLS()
			c.t = t
			c.write(packet(version3, "user", "alice", "database", "app"))
			c.beginSCRAM(password)
			c.want('R')
			c.write(final)
			c.refused("08P01")
		})
	}
}

func TestALoginThatStallsAnywhereEndsAtClientLoginTimeout(t *testing.T) {
	const limit = 500 * time.Millisecond
	h := open(t, func(p *plan) { p.pool.ClientLoginTimeout = limit })
	h.server.set(func() { h.server.stall = make(chan struct{}) })
	t.Cleanup(func() { close(h.server.stall) })
	startup := packet(version3, "user", "alice", "database", "app")
	told := func(c *client) { c.refused("28000") }
	for name, step := range map[string]struct {
		stall func(c *client)
		end   func(c *client)
	}{
		"before it began":        {func(c *client) {}, told},
		"in the length":          {func(c *client) { c.write("\x00\x00") }, told},
		"in the startup packet":  {func(c *client) { c.write(startup[:20]) }, told},
		"after GSSENCRequest":    {func(c *client) { c.write(gssRequest); c.wantByte('N') }, told},
		"after SSLRequest":       {func(c *client) { c.write(sslRequest); c.wantByte('S') }, (*client).ended},
		"in the handshake":       {func(c *client) { c.write(sslRequest); c.wantByte('S'); c.write("\x16\x03\x01") }, (*client).ended},
		"after the handshake":    {func(c *client) { c.secure() }, told},
		"in the secured packet":  {func(c *client) { c.secure(); c.write(startup[:20]) }, told},
		"before the first SASL":  {func(c *client) { c.secure(); c.write(startup); c.want('R') }, told},
		"in the first SASL":      {func(c *client) { c.secure(); c.write(startup); c.want('R'); c.write("p\x00\x00\x00\x40SCRAM") }, told},
		"before the second SASL": {func(c *client) { c.secure(); c.write(startup); c.beginSCRAM(password); c.want('R') }, told},
		"waiting for a server": {func(c *client) {
			c.secure()
			c.write(startup)
			c.authenticate(password)
			c.authenticated()
		}, told},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := h.dial()
			c.t = t
			began := time.Now()
			step.stall(c)
			step.end(c)
			if took := time.Since(began); took < limit-50*time.Millisecond || took > patience/2 {
				t.Errorf("the connection ended after %v", took)
			}
		})
	}
}

func TestALoginInDripsAndDrabsSucceedsOnBothLegs(t *testing.T) {
	h := open(t)
	h.server.set(func() { h.server.drip = true })
	c := h.dial()
	c.Conn = dripping{c.raw}
	c.write(sslRequest)
	c.wantByte('S')
	conn := tls.Client(c.Conn, &tls.Config{RootCAs: testCA().Pool(), ServerName: "localhost"})
	c.Conn = dripping{conn} // a record for each byte
	c.write(packet(version3, "user", "alice", "database", "app", "application_name", "slow"))
	c.authenticate(password)
	c.greeted()
	if got := c.ask("SHOW application_name"); got != "slow" {
		t.Errorf("application_name is %q", got)
	}
}

func TestAClientTooManyIsToldSo(t *testing.T) {
	h := open(t, func(p *plan) { p.pool.MaxClientConn = 2 })
	first := h.login("app")
	h.login("app")
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	if fields := c.refused("53300"); fields['H'] == "" {
		t.Errorf("%q has no hint", fields)
	}
	h.cancel("\x00\x00\x00\x01abcd", true) // may be asked for all the same
	first.leave()
	eventually(t, "there is room again", func() bool { return h.proxy.Clients() == 1 })
	h.login("app")
}

func TestAFloodOfConnectionsIsCutOffWithoutAWord(t *testing.T) {
	h := open(t, func(p *plan) { p.pool.MaxClientConn, p.pool.MaxAddressLogins = 1, new(0) })
	for range 1 + overflow {
		h.dial()
	}
	eventually(t, "all were accepted", func() bool { return h.proxy.Clients() == 1+overflow })
	h.dial().ended()
}

func TestAServersRefusalReachesTheClientWithItsSQLSTATE(t *testing.T) {
	h := open(t)
	h.server.set(func() {
		h.server.refusal = msg('E', "SFATAL\x00VFATAL\x00C53300\x00Mremaining slots are reserved\x00\x00")
	})
	for range 2 {
		c := h.dialTLS()
		c.write(packet(version3, "user", "alice", "database", "app"))
		c.authenticate(password)
		c.authenticated()
		if fields := c.refused("53300"); fields['M'] != "remaining slots are reserved" {
			t.Errorf("the client is told %q", fields)
		}
	}
	h.logged("server connection could not be opened", 1) // the second client is told what the first was
}

func TestTheLogSaysWhoseSecretTheServerDoesNotTake(t *testing.T) {
	h := open(t)
	h.server.set(func() {
		h.server.refusal = msg('E', "SFATAL\x00VFATAL\x00C28P01\x00Mpassword authentication failed for user \"alice\"\x00\x00")
	})
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.authenticated()
	c.refused("28P01")
	h.logged("server connection could not be opened", 1)
	line := h.logs.FilterMessage("server connection could not be opened").All()[0].ContextMap()
	if hint, _ := line["hint"].(string); !strings.Contains(hint, "users_file") || line["user"] != "alice" || line["database"] != "app" {
		t.Errorf("the log says %v", line)
	}
}

func TestAClientOfAServerThatIsDownIsToldWithoutAddresses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	h := open(t, func(p *plan) { p.port = port })
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.authenticated()
	if fields := c.refused("08006"); strings.Contains(fields['M']+fields['D']+fields['H'], "127.0.0.1") {
		t.Errorf("the client is told %q", fields)
	}
}

func TestManyLoginsAtOnceShareOneServer(t *testing.T) {
	h := open(t)
	var clients []*client
	for range 20 {
		c := h.dialTLS()
		c.write(packet(version3, "user", "bob", "database", "app"))
		c.authenticate(password)
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.greeted()
	}
	receive(t, "a server connection", h.server.opened)
	if n := len(h.server.opened); n > 3 {
		t.Errorf("twenty logins opened %d server connections", n+1)
	}
}
