package proxy

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ldapRule leads to a port of this machine.
func ldapRule(port int) string {
	return "host all all all ldap ldapserver=127.0.0.1 ldapport=" + strconv.Itoa(port) + ` "ldapprefix=uid="`
}

// listening returns a port that takes connections and never answers, and one
// that nobody listens on.
func listening(t *testing.T) (silent, closed int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	t.Cleanup(func() { ln.Close() })
	other, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	ok(t, other.Close())
	return ln.Addr().(*net.TCPAddr).Port, other.Addr().(*net.TCPAddr).Port
}

func TestALoginThatNoLDAPServerTakesFailsInPostgreSQLsWords(t *testing.T) {
	_, closed := listening(t)
	h := open(t)
	h.rules(ldapRule(closed))
	for told, cause := range map[string]string{"": "empty password returned by client", "secret-in-the-clear": "connection refused"} {
		c := h.asks(h.dialTLS(), "app")
		c.tell(told)
		if e := c.wantError("28000"); e['M'] != `LDAP authentication failed for user "alice"` || e['D']+e['H'] != "" {
			t.Errorf("told %q", e)
		}
		eventually(t, "the log tells why", func() bool {
			for _, line := range h.logs.FilterMessage("login refused").All() {
				text, _ := line.ContextMap()["error"].(string)
				if strings.Contains(text, "secret-in-the-clear") {
					t.Errorf("the log tells %q", text)
				}
				if strings.HasPrefix(text, "/config.yaml: auth.rules:1: ") && strings.Contains(text, cause) {
					return true
				}
			}
			return false
		})
	}
}

func TestAPasswordForLDAPIsAskedForInsideTLSOnly(t *testing.T) {
	silent, _ := listening(t)
	h := open(t, func(p *plan) { p.mode = "prefer" })
	h.rules(ldapRule(silent))
	e := h.asks(h.dial(), "app").wantError("28000")
	if !strings.Contains(e['M'], "SSL required for password authentication") {
		t.Errorf("told %q", e['M'])
	}
}

func TestALoginThatWaitsForALDAPServerEndsWithItsDeadlineAndAtShutdown(t *testing.T) {
	silent, _ := listening(t)
	h := open(t, func(p *plan) { p.pool.ClientLoginTimeout = 300 * time.Millisecond })
	h.rules(ldapRule(silent))
	c := h.asks(h.dialTLS(), "app")
	c.tell("whatever")
	c.wantError("28000")
	h = open(t)
	h.rules(ldapRule(silent))
	c = h.asks(h.dialTLS(), "app")
	c.tell("whatever")
	h.shutDown()
	if e := c.wantError("57P01"); e['M'] != errShutdown.Message {
		t.Errorf("told %q", e['M'])
	}
}
