package ownsql

import (
	"encoding/hex"
	"regexp"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

func TestOneStatementSetsAndResetsParameters(t *testing.T) {
	got := Set([]wire.Parameter{{Name: "TimeZone", Value: "UTC"}, {Name: "search_path", Value: "a,b"}}, []string{"geqo"}, false)
	want := "SELECT pg_catalog.set_config('geqo', NULL, false)" +
		", pg_catalog.set_config('TimeZone', 'UTC', false)" +
		", pg_catalog.set_config('search_path', 'a,b', false)"
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestALiteralOfPlainASCIIReadsAsItIs(t *testing.T) {
	for _, s := range []string{"", "UTC", `"$user", public`, "a;b--c/*", "100%", "~!@#$"} {
		if got := literal(s); got != "'"+s+"'" {
			t.Errorf("%q became %s", s, got)
		}
	}
}

func TestALiteralOfAnythingElseTravelsAsDigits(t *testing.T) {
	for _, s := range []string{
		"'", "''", `\`, `\'`, "'; DROP TABLE users; --", "', false); SELECT pg_sleep(9) --", `\x27`, "ä", "\xbf'", "\xe5\x5c'",
		"tab\t", "line\nbreak", "\x7f", "\x01", "日本語",
	} {
		want := "pg_catalog.convert_from(pg_catalog.decode('" + hex.EncodeToString([]byte(s)) +
			"', 'hex'), pg_catalog.getdatabaseencoding())"
		if got := literal(s); got != want {
			t.Errorf("%q became %s", s, got)
		}
	}
}

// harmless matches statements whose literals hold nothing that any setting of
// a server could take for the end of a literal.
var harmless = func() *regexp.Regexp {
	plain := `'[ -&(-\[\]-~]*'`
	digits := `pg_catalog\.convert_from\(pg_catalog\.decode\('[0-9a-f]*', 'hex'\), pg_catalog\.getdatabaseencoding\(\)\)`
	lit := `(` + plain + `|` + digits + `)`
	item := `pg_catalog\.set_config\(` + lit + `, (NULL|` + lit + `), false\)`
	return regexp.MustCompile(`^SELECT ` + item + `(, ` + item + `)*$`)
}()

func FuzzSetQuery(f *testing.F) {
	f.Add("TimeZone", "UTC", "geqo")
	f.Add("a'b", `\'; DROP TABLE x; --`, "', NULL, false); SELECT 1 --")
	f.Add("", "\x00", "\xff\xfe")
	f.Add("E'", "U&'", "$$")
	f.Fuzz(func(t *testing.T, name, value, reset string) {
		q := Set([]wire.Parameter{{Name: name, Value: value}, {Name: value, Value: name}}, []string{reset}, false)
		if !harmless.MatchString(q) {
			t.Fatalf("%q, %q and %q make %s", name, value, reset, q)
		}
	})
}
