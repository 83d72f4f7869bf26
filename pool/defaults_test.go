package pool

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

// zoned is the script of a server whose TimeZone is what zone holds at login, or
// what its startup packet says.
func zoned(zone *atomic.Value) func(*peer) {
	return func(p *peer) {
		own := p.Startup()["TimeZone"]
		if own == "" {
			own = zone.Load().(string)
		}
		p.Put([]byte("R\x00\x00\x00\x08\x00\x00\x00\x00" + frame('S', "server_version\x0018.0\x00") + frame('S', "TimeZone\x00", own, "\x00") + frame('Z', "I"))...)
		p.Rest()
	}
}

func inZone(name string) *atomic.Value {
	v := new(atomic.Value)
	v.Store(name)
	return v
}

// tells asserts which TimeZone the pool has for clients that log in.
func (h *house) tells(want string) {
	h.t.Helper()
	synctest.Wait()
	list, known := h.pool.Parameters()
	if got := zoneOf(list); got != want || known != (want != "") {
		h.t.Errorf("the pool knows %v: %v, want TimeZone %q", known, list, want)
	}
}

func zoneOf(list []wire.Parameter) string {
	if i := slices.IndexFunc(list, func(p wire.Parameter) bool { return p.Name == "TimeZone" }); i >= 0 {
		return list[i].Value
	}
	return ""
}

func TestServersThatAreLentBearNoApplicationNameOfOurs(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		h.pool.Release(h.takeFor(exactly("a=1")))
		for i := range 2 {
			if name, set := h.fake.Peer(i).StartedWith()["application_name"]; set {
				t.Errorf("a server was opened as %q", name)
			}
		}
	})
}

func TestOnlyDefaultsOfAServerThatLivesAreToldToClients(t *testing.T) {
	zone := inZone("UTC")
	inHouse(t, zoned(zone), nil, func(t *testing.T, h *house) {
		h.tells("")
		plain := h.take()
		h.tells("UTC")
		special := h.takeFor(exactly("TimeZone=CET"))
		h.tells("UTC")
		if got := zoneOf(special.Defaults()); got != "CET" {
			t.Errorf("the default of a server that was opened with CET is %q", got)
		}
		plain.SetParameter(wire.Parameter{Name: "TimeZone", Value: "Asia/Tokyo"}) // its client's
		if got := zoneOf(plain.Defaults()); got != "UTC" {
			t.Errorf("what a client set became the default: %q", got)
		}
		h.tells("UTC")
		h.pool.Discard(plain)
		h.tells("")
		h.pool.Release(special)
		h.tells("")
		zone.Store("GMT")
		newer := h.take()
		h.tells("GMT")
		newer.Break()
		h.tells("")
		h.pool.Discard(newer)
	})
}

func TestADefaultThatOneServerTellsOfHoldsForThePool(t *testing.T) {
	inHouse(t, zoned(inZone("UTC")), nil, func(t *testing.T, h *house) {
		a, b := h.take(), h.take()
		before, _ := h.pool.Parameters()
		a.SetDefault(wire.Parameter{Name: "TimeZone", Value: "GMT"})
		h.tells("GMT")
		if zoneOf(before) != "UTC" || zoneOf(b.Defaults()) != "UTC" || zoneOf(a.Defaults()) != "GMT" {
			t.Error("a list changed that others have")
		}
		h.pool.Discard(b)
		h.tells("GMT")
		h.pool.Release(a)
		h.fake.Push(0, frame('S', "TimeZone\x00Europe/Vienna\x00")) // a reload
		h.tells("Europe/Vienna")
		if got := zoneOf(a.Defaults()); got != "Europe/Vienna" {
			t.Errorf("the default of the idle server is %q", got)
		}
		special := h.takeFor(exactly("TimeZone=CET"))
		special.SetDefault(wire.Parameter{Name: "TimeZone", Value: "CET"})
		special.SetDefault(wire.Parameter{Name: "timezone", Value: "CET"})
		h.tells("Europe/Vienna")
		h.pool.Release(special)
	})
}

func TestEqualDefaultsAreKeptOnce(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		a, b := h.take(), h.take()
		list, _ := h.pool.Parameters()
		if &a.Defaults()[0] != &list[0] || &b.Defaults()[0] != &list[0] {
			t.Error("servers of the same defaults keep a list each")
		}
		h.pool.Release(a)
		h.pool.Release(b)
	})
	a := settings("a=1 b=2 c=3")
	for text, want := range map[string]bool{"a=1 b=2 c=3": true, "c=3 a=1 b=2": true, "a=1 b=2": false, "a=1 b=2 c=4": false, "a=1 b=2 d=3": false} {
		if sameDefaults(a, settings(text)) != want || sameDefaults(settings(text), a) != want {
			t.Errorf("%q counts as the same: %v", text, !want)
		}
	}
}

func TestServersOfOldDefaultsMakeWayOneByOne(t *testing.T) {
	zone := inZone("UTC")
	inHouse(t, zoned(zone), size(6), func(t *testing.T, h *house) {
		var old []*Server
		for range 3 {
			old = append(old, h.take())
		}
		special := h.takeFor(exactly("DateStyle=German"))
		h.pool.Release(special)
		h.pool.Release(old[0])
		zone.Store("GMT") // ALTER DATABASE
		newer := h.takeFor(&Need{Fresh: true})
		h.tells("GMT")
		h.pool.Release(old[1])
		pass(rotationLimit + backend.CloseWait)
		if old[0].Err() == nil || old[1].Err() == nil || special.Err() == nil {
			t.Error("an idle server of old defaults is left")
		}
		if old[2].Err() != nil || newer.Err() != nil {
			t.Error("a server ended that was in use")
		}
		for _, s := range h.manager.Servers() {
			if s.CloseNeeded != (s.ID == old[2].ID) {
				t.Errorf("server %d has to end: %v", s.ID, s.CloseNeeded)
			}
		}
		h.pool.Discard(newer)
		synctest.Wait()
		h.tells("GMT") // of those that were opened ahead
		h.pool.Release(old[2])
		pass(rotationLimit + backend.CloseWait)
		h.tells("GMT")
		if old[2].Err() == nil {
			t.Error("a server of old defaults is left")
		}
		for _, line := range h.logs.FilterMessage("server closed").All() {
			if why := line.ContextMap()["reason"]; why != ClosedSettings && why != ClosedDirty {
				t.Errorf("a server ended for %v", why)
			}
		}
	})
}

func TestAServerThatOnlyHeardOfAReloadLaterStays(t *testing.T) {
	zone := inZone("UTC")
	inHouse(t, zoned(zone), nil, func(t *testing.T, h *house) {
		s := h.take()
		zone.Store("GMT")
		newer := h.take()
		s.SetDefault(wire.Parameter{Name: "TimeZone", Value: "GMT"}) // at its next query
		h.pool.Release(newer)
		h.pool.Release(s)
		pass(2 * sweepEvery)
		h.wants(2, 0)
	})
}

// Behind an address that leads to hosts of different defaults servers may not be
// replaced for ever.
func TestHostsOfDifferentDefaultsDoNotReplaceEachOthersServersForEver(t *testing.T) {
	zone := inZone("UTC")
	inHouse(t, func(p *peer) {
		zone.Store(map[any]string{"UTC": "GMT", "GMT": "UTC"}[zone.Load()])
		zoned(zone)(p)
	}, size(6), func(t *testing.T, h *house) {
		for range 300 {
			pass(time.Second)
			var list []*Server
			for _, a := range askers(h.pool, 6) {
				list = append(list, a.server(t))
			}
			for _, s := range list {
				h.pool.Release(s)
			}
		}
		if n := len(h.fake.Dialed()); n > 20 {
			t.Errorf("%d servers were opened in five minutes", n)
		}
	})
}

// A server of other defaults, whose turn to make way has not come, is the only
// one that lives: clients are told of what it has.
func TestWhatTheOnlyServerHasIsToldAlthoughNewOnesHadOther(t *testing.T) {
	zone := inZone("UTC")
	inHouse(t, zoned(zone), nil, func(t *testing.T, h *house) {
		old := h.take()
		zone.Store("GMT")
		h.pool.Discard(h.take())
		h.tells("UTC")
		h.pool.Release(old)
		pass(2*sweepEvery + backend.CloseWait)
		h.pool.Release(h.take())
		h.tells("GMT")
	})
}
