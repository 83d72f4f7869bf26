package pool

import (
	"slices"
	"strconv"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

func TestTheServersParametersAreRememberedForClientsThatLogIn(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		if _, known := h.pool.Parameters(); known {
			t.Error("parameters are known before there was a server")
		}
		h.pool.Release(h.take())
		want := []wire.Parameter{{Name: "server_version", Value: "18.0"}, {Name: "TimeZone", Value: "UTC"}}
		got, known := h.pool.Parameters()
		if !known || !slices.Equal(got, want) {
			t.Fatalf("got %v", got)
		}
	})
}

func TestWhatAServerReportsLaterChangesNoListThatOthersHave(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		defer h.pool.Release(s)
		shared, _ := h.pool.Parameters()
		before := slices.Clone(shared)
		s.SetParameter(wire.Parameter{Name: "TimeZone", Value: "CET"})
		s.SetParameter(wire.Parameter{Name: "new", Value: "x"})
		if !slices.Equal(shared, before) {
			t.Errorf("what the pool remembers became %v", shared)
		}
		want := []wire.Parameter{before[0], {Name: "TimeZone", Value: "CET"}, {Name: "new", Value: "x"}}
		if got := s.Parameters(); !slices.Equal(got, want) {
			t.Errorf("the server reports %v", got)
		}
	})
}

func TestEqualListsOfParametersBecomeOneOverTime(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		servers := []*Server{h.take(), h.take()}
		first, _ := h.pool.Parameters()
		clients := [][]wire.Parameter{slices.Clone(first), slices.Clone(first), slices.Clone(first)}
		for range 3 {
			for i := range clients {
				for _, s := range servers {
					var same bool
					if clients[i], same = s.Reports(clients[i]); !same {
						t.Fatal("equal lists are said to differ")
					}
				}
			}
		}
		for i := range clients {
			if &clients[i][0] != &clients[0][0] {
				t.Error("two clients still have a list each")
			}
		}
		for _, other := range [][]wire.Parameter{nil, first[:1], {first[0], {Name: "TimeZone", Value: "CET"}}} {
			if got, same := servers[0].Reports(other); same || !slices.Equal(got, other) {
				t.Errorf("%v is taken for what the server reports", other)
			}
		}
		for _, s := range servers {
			h.pool.Release(s)
		}
	})
}

func TestAServerThatReportsParametersForEverCostsBoundedMemory(t *testing.T) {
	var list []wire.Parameter
	for i := range 100_000 {
		list = setParameter(list, wire.Parameter{Name: strconv.Itoa(i), Value: "x"})
	}
	if len(list) != MaxParameters {
		t.Errorf("%d parameters are kept", len(list))
	}
	list = setParameter(list, wire.Parameter{Name: "0", Value: "y"})
	if list[0].Value != "y" {
		t.Error("one that is known is no longer followed")
	}
}
