package effects

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// namesIn returns which names of custom parameters are found in texts, and
// whether there were more.
func namesIn(texts ...string) (names []string, overflow bool) {
	var c Custom
	for _, text := range texts {
		c.Note([]byte(text))
	}
	return c.Names, c.Overflow
}

func TestNamesOfCustomParametersAreFoundInStatements(t *testing.T) {
	names, overflow := namesIn(`SET App.Tenant = 'x'; SELECT set_config('a.b.c', $1, false), 1.5, t1."Col" FROM "s"."t" WHERE x = 'no dots'`)
	if want := []string{"app.tenant", "a.b.c", "t1.col", "s.t"}; !slices.Equal(names, want) || overflow {
		t.Errorf("found %q, %v, want %q", names, overflow, want)
	}
}

func TestWhatNamesOfCustomParametersMayCostIsBounded(t *testing.T) {
	var many []string
	for i := range 2 * maxCustom {
		many = append(many, fmt.Sprintf("SET a.n%d = 1", i))
	}
	if names, overflow := namesIn(many...); len(names) != maxCustom || !overflow {
		t.Errorf("%d names are kept, overflow %v", len(names), overflow)
	}
	if names, overflow := namesIn("SET a." + strings.Repeat("x", 10_000) + " = 1"); len(names) != 0 || !overflow {
		t.Errorf("a long name is kept, overflow %v", overflow)
	}
}
