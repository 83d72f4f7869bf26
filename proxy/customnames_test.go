package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestNamesOfCustomParametersAreFoundInStatements(t *testing.T) {
	var c custom
	c.note([]byte(`SET App.Tenant = 'x'; SELECT set_config('a.b.c', $1, false), 1.5, t1."Col" FROM "s"."t" WHERE x = 'no dots'`))
	if want := []string{"app.tenant", "a.b.c", "t1.col", "s.t"}; !slices.Equal(c.names, want) || c.overflow {
		t.Errorf("found %q, %v, want %q", c.names, c.overflow, want)
	}
}

func TestWhatNamesOfCustomParametersMayCostIsBounded(t *testing.T) {
	var many, long custom
	for i := range 2 * maxCustom {
		many.note(fmt.Appendf(nil, "SET a.n%d = 1", i))
	}
	long.note([]byte("SET a." + strings.Repeat("x", 10_000) + " = 1"))
	if len(many.names) != maxCustom || !many.overflow {
		t.Errorf("%d names are kept, overflow %v", len(many.names), many.overflow)
	}
	if len(long.names) != 0 || !long.overflow {
		t.Errorf("a long name is kept, overflow %v", long.overflow)
	}
}
