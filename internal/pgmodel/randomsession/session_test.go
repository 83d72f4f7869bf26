package randomsession

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
)

func TestASessionIsAFunctionOfItsSeed(t *testing.T) {
	for seed := range uint64(200) {
		one := New(rand.New(rand.NewPCG(seed, 0)), "t")
		two := New(rand.New(rand.NewPCG(seed, 0)), "t")
		if !reflect.DeepEqual(one, two) {
			t.Fatal("seed", seed)
		}
	}
}

func TestTheModelKnowsEveryStatement(t *testing.T) {
	g := &generator{r: rand.New(rand.NewPCG(1, 2)), own: "t", lock: 4}
	seen := map[string]bool{}
	for range 50_000 {
		text := g.text()
		if seen[text] {
			continue
		}
		seen[text] = true
		for _, s := range parser.Parse(text) {
			if s.Kind == parser.Unknown && text != "SELEC 1" {
				t.Error(text)
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d statements: %q", len(seen), slices.Sorted(maps.Keys(seen)))
	}
}
