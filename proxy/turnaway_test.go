package proxy

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/pool"
)

func TestOneAddressCannotTakeAllPlacesWithLoginsThatDoNotEnd(t *testing.T) {
	h := open(t, func(p *plan) { p.pool.MaxAddressLogins = new(2) })
	running := func(n int) {
		t.Helper()
		eventually(t, "logins are counted", func() bool { return h.proxy.LoginsByAddress().Running == n })
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
	eventually(t, "all were counted", func() bool { return h.proxy.LoginsByAddress().TurnedAway == 4 })
	h.logged("too many logins in progress from an address, rejecting more", 1)
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

func TestTheDefaultBoundOfOneAddressLeavesPlacesToOthers(t *testing.T) {
	for most, want := range map[int]int{1000: 750, 1: 10, 100_000: 75_000} {
		c := pool.DefaultConfig()
		c.MaxClientConn = most
		if got := maxAddressLogins(c); got != want {
			t.Errorf("of %d clients one address may have %d logins, want %d", most, got, want)
		}
	}
}
