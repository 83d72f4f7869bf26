package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

func TestAnApplicationNameIsCleanedAsPostgreSQLCleansIt(t *testing.T) {
	for name, want := range map[string]string{
		"":                              "",
		"psql":                          "psql",
		"a b~":                          "a b~",
		"tab\tnul\x00del\x7f":           "tab?nul?del?",
		"é":                             "??",
		strings.Repeat("x", 63):         strings.Repeat("x", 63),
		strings.Repeat("x", 64):         strings.Repeat("x", 63),
		strings.Repeat("x", 62) + "é":   strings.Repeat("x", 62) + "?",
		strings.Repeat("\xff", 100_000): strings.Repeat("?", 63),
	} {
		if got := cleanApplicationName(name); got != want {
			t.Errorf("%.70q became %q", name, got)
		}
	}
}

func TestOfParametersThatServersAreKnownByTheLastOnesHold(t *testing.T) {
	list, err := login.ParseOptions("-c TimeZone=CET -c DateStyle=ISO -c TimeZone=UTC -c application_name=x")
	if err != nil {
		t.Fatal(err)
	}
	want := []wire.Parameter{{Name: "datestyle", Value: "ISO"}, {Name: "timezone", Value: "UTC"}}
	if got := startupOf(list); !slices.Equal(got, want) {
		t.Errorf("what holds is %q, want %q", got, want)
	}
}
