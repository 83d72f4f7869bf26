package proxy

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
)

// audited waits for the one event of this kind and returns its keys.
func (h *house) audited(event string) map[string]any {
	h.t.Helper()
	var found []map[string]any
	eventually(h.t, event+" is in the audit stream", func() bool {
		found = nil
		for _, line := range h.logs.FilterMessage(event).All() {
			if line.LoggerName == "audit" {
				found = append(found, line.ContextMap())
			}
		}
		return len(found) > 0
	})
	if len(found) != 1 {
		h.t.Fatalf("%d events are %s: %v", len(found), event, found)
	}
	return found[0]
}

// holds asserts that an event has these values and no key beyond them and more.
func holds(t *testing.T, event, want map[string]any, more ...string) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(event[key]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v", key, event[key], value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(event)) {
		if _, there := want[key]; !there && !slices.Contains(more, key) {
			t.Errorf("there is %s too: %v", key, event[key])
		}
	}
}

func TestALoginIsAuditedWithItsRuleAndTheCertificate(t *testing.T) {
	h := open(t)
	h.askForCertificates()
	h.rules("hostssl sess all all reject", "hostssl all all all cert")
	pair, err := testCA().Issue(devca.Request{CommonName: "alice", Client: true})
	ok(t, err)
	c := h.dial()
	ok(t, c.secureWith(pair))
	c.welcomed()
	event := h.audited("login")
	holds(t, event, map[string]any{
		"user": "alice", "database": "app", "method": "cert", "rule": "/config.yaml: auth.rules:2", "tls": "TLS 1.3",
		"addr": c.LocalAddr(), "peer_subject": "CN=alice", "peer_issuer": "CN=proxy test root",
		"peer_serial": pair.Cert.SerialNumber.Text(16),
	}, "client", "peer_sha256")
	if sum, _ := event["peer_sha256"].(string); len(sum) != 64 {
		t.Errorf("the fingerprint is %q", sum)
	}
}

func TestARefusalIsAuditedWithItsTrueReason(t *testing.T) {
	attempt := func(user, database, password string) func(*house) {
		return func(h *house) { h.attempt(user, database, password) }
	}
	for name, c := range map[string]auditedRefusal{
		"wrong password": {attempt("alice", "app", "wrong"), nil,
			map[string]any{"reason": "wrong_password", "sqlstate": "28P01", "method": "scram-sha-256", "user": "alice", "database": "app"}},
		"unknown role": {attempt("mario", "app", "wrong"), nil,
			map[string]any{"reason": "unknown_role", "sqlstate": "28P01", "message": `password authentication failed for user "mario"`}},
		"unknown database": {attempt("alice", "nowhere", password), nil,
			map[string]any{"reason": "database", "sqlstate": "3D000", "database": "nowhere"}},
		"rejected": {func(h *house) { h.asks(h.dialTLS(), "app").refused("28000") }, []string{"host all all all reject"},
			map[string]any{"reason": "rule", "rule": "/config.yaml: auth.rules:1", "method": "reject"}},
		"no rule": {func(h *house) { h.asks(h.dialTLS(), "app").refused("28000") }, []string{"local all all trust"},
			map[string]any{"reason": "rule", "rule": nil, "method": nil}},
		"no certificate": {func(h *house) { h.asks(h.dialTLS(), "app").refused("28000") }, []string{"hostssl all all all cert"},
			map[string]any{"reason": "rule", "method": "cert"}},
		"plaintext": {func(h *house) { h.asks(h.dial(), "app").refused("28000") }, nil, map[string]any{"reason": "rule", "tls": nil}},
		"another's certificate": {func(h *house) {
			h.asks(h.dialCertificate(devca.Request{CommonName: "bob"}), "app").refused("28000")
		}, []string{"hostssl all all all cert"}, map[string]any{"reason": "certificate", "peer_subject": "CN=bob"}},
		"no LDAP server": {func(h *house) {
			c := h.asks(h.dialTLS(), "app")
			c.tell("secret")
			c.refused("28000")
		}, []string{ldapRule(1)}, map[string]any{"reason": "ldap_error", "method": "ldap"}},
		"malformed": {func(h *house) {
			c := h.asks(h.dialTLS(), "app")
			c.want('R')
			c.write(msg('p'))
			c.refused("08P01")
		}, nil, map[string]any{"reason": "protocol"}},
		"handshake": {func(h *house) {
			c := h.dial()
			c.write(sslRequest)
			c.wantByte('S')
			c.write("no record of TLS")
			readMsg(c)
		}, nil, map[string]any{"reason": "tls", "user": nil}},
		"capped": {func(h *house) {
			h.limits(login.Config{MaxFailedPerRole: 1})
			h.proxy.guards.failed.Decide(guard.Login{Role: "alice", Database: "app"}, &guard.FailedProof{Reason: guard.WrongPassword})
			h.attempt("alice", "app", password)
		}, nil, map[string]any{"reason": "role_capped", "sqlstate": "28P01"}},
	} {
		audits(t, name, c)
	}
}

// auditedRefusal is a login that is refused, and what the audit stream tells.
type auditedRefusal struct {
	do    func(h *house)
	rules []string
	want  map[string]any
}

func TestWhatHappensBesideTheProofIsAuditedWithItsTrueReason(t *testing.T) {
	for name, c := range map[string]auditedRefusal{
		"no role": {func(h *house) {
			c := h.dialTLS()
			c.write(packet(version3, "database", "app"))
			c.refused("28000")
		}, nil, map[string]any{"reason": "protocol"}},
		"a server that refuses": {func(h *house) {
			h.server.set(func() { h.server.refusal = fatal("28P01") })
			c := h.asks(h.dialTLS(), "app")
			c.authenticate(password)
			c.authenticated()
			c.refused("28P01")
		}, nil, map[string]any{"reason": "server", "sqlstate": "28P01"}},
		"no lookup": {func(h *house) {
			d := h.directory()
			d.set(func() { d.fails = "57P01" })
			h.as("carol").refused("57P03")
		}, nil, map[string]any{"reason": "lookup"}},
		"a disabled database": {func(h *house) {
			ok(h.t, h.manager.Enable("app", false))
			c := h.asks(h.dialTLS(), "app")
			c.authenticate(password)
			c.authenticated()
			c.refused("55000")
		}, nil, map[string]any{"reason": "disabled"}},
	} {
		audits(t, name, c)
	}
}

func audits(t *testing.T, name string, c auditedRefusal) {
	t.Run(name, func(t *testing.T) {
		h := open(t)
		h.askForCertificates()
		if c.rules != nil {
			h.rules(c.rules...)
		}
		c.do(h)
		event := h.audited("refusal")
		for key, value := range c.want {
			if fmt.Sprint(event[key]) != fmt.Sprint(value) {
				t.Errorf("%s is %v, want %v", key, event[key], value)
			}
		}
		if event["addr"] == nil || event["reason"] == nil {
			t.Errorf("the event has neither source nor reason: %v", event)
		}
	})
}

func TestAWrongProofThatIsJudgedDuringAShutdownIsAuditedAsThat(t *testing.T) {
	h := open(t)
	d := h.directory(func(c *login.Config) { c.AuthQueryCacheTTL = 0 })
	h.rules("hostssl all all all password")
	again, held := make(chan struct{}, 10), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	h.server.set(func() {
		h.server.lookup = func(sql string, params []string) string {
			if d.timesAsked("carol") > 0 {
				again <- struct{}{}
				<-held
			}
			return d.answer(sql, params)
		}
	})
	c := h.as("carol")
	c.tell("wrong")
	receive(t, "the lookup of a secret that may have changed", again)
	done := h.shutdown(t.Context())
	c.refused("28P01")
	release()
	ok(t, receive(t, "the end of the shutdown", done))
	if got := h.audited("refusal")["reason"]; got != login.WrongPassword.String() {
		t.Errorf("the refusal is audited as %v", got)
	}
}

func TestARefusedCancelRequestIsAudited(t *testing.T) {
	h := open(t)
	h.cancel("\x00\x00\x00\x01\x00\x00\x00\x01", false)
	holds(t, h.audited("cancel_refused"), map[string]any{"cause": "cancel key does not match any session"}, "addr")
}

func TestReloadsAndCommandsAreAudited(t *testing.T) {
	h := open(t)
	h.proxy.Audit().Reload("users_file", nil)
	holds(t, h.audited("reload"), map[string]any{"name": "users_file", "outcome": "applied"})
	h = open(t)
	h.proxy.Audit().Reload("configuration", errors.New("line 3"))
	holds(t, h.audited("reload"), map[string]any{"name": "configuration", "outcome": "refused", "cause": "line 3"})
	h = open(t)
	s := &clientConn{id: 7, addr: "10.0.0.1:5", user: "alice", database: "pgseal"}
	h.proxy.Audit().Command(s, "KILL", "app", errors.New("not an admin"))
	holds(t, h.audited("command"), map[string]any{
		"command": "KILL", "object": "app", "outcome": "refused", "cause": "not an admin",
		"client": 7, "addr": "10.0.0.1:5", "user": "alice", "database": "pgseal",
	})
	h = open(t)
	h.proxy.Audit().Command(s, "PAUSE", "", nil)
	holds(t, h.audited("command"), map[string]any{"command": "PAUSE", "outcome": "done"}, "client", "addr", "user", "database")
}

func TestTheAuditStreamOfTheSettingsIsTheOnlyOne(t *testing.T) {
	h := open(t)
	core, other := observer.New(zapcore.InfoLevel)
	settings := *h.proxy.settings.Load()
	settings.Audit = zap.New(core)
	h.proxy.Configure(settings)
	h.login("app")
	eventually(t, "the login is told there", func() bool { return other.FilterMessage("login").Len() == 1 })
	if n := h.logs.FilterMessage("login").Len(); n != 0 {
		t.Errorf("%d lines are in the log too", n)
	}
}

func TestNothingSecretIsAudited(t *testing.T) {
	h := open(t)
	h.rules("hostssl all all all password")
	c := h.asks(h.dialTLS(), "app")
	c.tell("hunter2 is no password")
	c.refused("28P01")
	h.audited("refusal")
	for _, line := range h.logs.All() {
		if text := line.Message + fmt.Sprint(line.ContextMap()); strings.Contains(text, "hunter2") {
			t.Errorf("the log holds the password: %s", text)
		}
	}
}

func TestWhatThePoolRefusesHasAReasonWhereItIsMet(t *testing.T) {
	theirs := &wire.Error{Severity: "FATAL", Code: "28P01", Foreign: true}
	for _, c := range []struct {
		err  error
		want login.Reason
	}{
		{pool.ErrWaitTimeout, login.Limit}, {pool.ErrClosed, login.Shutdown}, {pool.ErrRemoved, login.NoDatabase},
		{theirs, login.ServerRefused}, {errServerLost, login.NoServer}, {login.ErrTimeout, login.Timeout},
		{wire.AsError(os.ErrDeadlineExceeded), login.NoServer}, // of the server's own login
	} {
		if r := refusedByPool(c.err); r.Reason != c.want || r.Told == nil {
			t.Errorf("%v is %v, want %v", c.err, r.Reason, c.want)
		}
	}
}
