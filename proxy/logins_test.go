package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/pool"
)

func TestOneAddressCannotTakeAllPlacesWithLoginsThatDoNotEnd(t *testing.T) {
	h := open(t, func(p *plan) { p.pool.MaxAddressLogins = 2 })
	running := func(n int) {
		t.Helper()
		eventually(t, "logins are counted", func() bool { return h.proxy.Logins().Running == n })
	}
	silent, secured := h.dial(), h.dialTLS() // neither says who it is
	running(2)
	for _, first := range []string{sslRequest, packet(version3, "user", "alice"), ""} {
		c := h.dial()
		if c.write(first); first == "" {
			c.raw.Close() // before it could be told
			continue
		}
		if fields := c.refused("53300"); !strings.Contains(fields['M'], "max_address_logins") || fields['H'] == "" {
			t.Errorf("the client was told %q", fields)
		}
	}
	direct := h.dial()
	direct.write("\x16\x03\x01\x00\x05")
	direct.ended()
	eventually(t, "all were counted", func() bool { return h.proxy.Logins().TurnedAway == 4 })
	h.logged("too many connections from an address are logging in, more are turned away", 1)
	if n := h.proxy.Clients(); n != 2 {
		t.Errorf("%d places of max_client_conn are taken", n)
	}

	silent.raw.Close()
	running(1)
	for range 3 {
		h.login("app").ask("SELECT pid") // who is logged in counts no more
		running(1)
	}
	secured.raw.Close()
	running(0)
}

func TestLoginsOfUnixSocketsAndOtherAddressesAreNotBoundByThoseOfOne(t *testing.T) {
	l := newLogins()
	l.setLimit(1)
	for _, test := range []struct {
		source         netip.Prefix
		entered, first bool
	}{
		{source("10.0.0.1"), true, false}, {source("10.0.0.1"), false, true}, {source("10.0.0.1"), false, false},
		{source("10.0.0.2"), true, false}, {netip.Prefix{}, true, false}, {netip.Prefix{}, true, false},
	} {
		if entered, first := l.enter(test.source); entered != test.entered || first != test.first {
			t.Errorf("%v: %t, first %t", test.source, entered, first)
		}
	}
	for _, s := range []string{"10.0.0.1", "10.0.0.2"} {
		l.leave(source(s))
	}
	if entered, _ := l.enter(source("10.0.0.1")); !entered || len(l.bySource) != 2 {
		t.Errorf("a source is not forgotten: %d are known", len(l.bySource))
	}
	l.setLimit(0)
	if entered, _ := l.enter(source("10.0.0.1")); !entered {
		t.Error("zero is no limit")
	}
}

func TestTheDefaultBoundOfOneAddressLeavesPlacesToOthers(t *testing.T) {
	for most, want := range map[int]int{1000: 750, 1: 10, 100_000: 75_000} {
		c := pool.DefaultConfig()
		c.MaxClientConn = most
		if got := maxAddressLogins(c); got != want {
			t.Errorf("of %d clients one address may have %d logins, want %d", most, got, want)
		}
	}
}
