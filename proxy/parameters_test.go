package proxy

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// params reads "a=b c=d" as parameters.
func params(s string) []wire.Parameter {
	var list []wire.Parameter
	for word := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(word, "=")
		list = append(list, wire.Parameter{Name: name, Value: value})
	}
	return list
}

func wantParams(t *testing.T, what string, got, want []wire.Parameter) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestCommandLineOptionsAreReadAsPostgreSQLReadsThem(t *testing.T) {
	for options, want := range map[string][]wire.Parameter{
		"":                          nil,
		" \t\r\n\v\f":               nil,
		"-c a=b":                    {{Name: "a", Value: "b"}},
		"-ca=b":                     {{Name: "a", Value: "b"}},
		"--a=b":                     {{Name: "a", Value: "b"}},
		"  -c  a=b\t--c=d\n-ce=f ":  {{Name: "a", Value: "b"}, {Name: "c", Value: "d"}, {Name: "e", Value: "f"}},
		"--search-path=a-b":         {{Name: "search_path", Value: "a-b"}},
		"-c search-path=a":          {{Name: "search_path", Value: "a"}},
		`-c a=b\ c`:                 {{Name: "a", Value: "b c"}},
		`-c a=b\\c`:                 {{Name: "a", Value: `b\c`}},
		`-c\ a=b`:                   {{Name: " a", Value: "b"}}, // for the server to refuse
		`-c a=\'x`:                  {{Name: "a", Value: "'x"}},
		`-c a=b\`:                   {{Name: "a", Value: "b"}},
		"-c a=":                     {{Name: "a"}},
		"-c a==b=c":                 {{Name: "a", Value: "=b=c"}},
		"-c a=1 -c a=2":             {{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
		"-c app.user=x\u00e4\u00df": {{Name: "app.user", Value: "xäß"}},
		"-c a=b\\\t\\\nc":           {{Name: "a", Value: "b\t\nc"}},
	} {
		got, err := parseOptions(options)
		if err != nil {
			t.Errorf("%q: %v", options, err)
		}
		wantParams(t, options, got, want)
	}
}

func TestOtherCommandLineOptionsAreRefusedWithAHint(t *testing.T) {
	for _, options := range []string{
		"-c", "-c ", "-c a", "-ca", "--", "--a", "--=b", "-c =b", "-c=b", "a=b", "-d 5", "-B 100", "-W 10", "-p5432",
		"-c a=b geqo=off", "-c a=b -c", "-", `\`, "-c a=b stray",
	} {
		got, err := parseOptions(options)
		if err == nil {
			t.Errorf("%q was read as %q", options, got)
			continue
		}
		if err.Code != wire.CodeFeatureNotSupported || err.Hint == "" || err.Severity != "FATAL" {
			t.Errorf("%q: %+v", options, err)
		}
	}
}

func TestAStartupPacketIsSortedAsPostgreSQLSortsIt(t *testing.T) {
	got, err := newStartup(params("user=alice database=app options=-ca=1 TimeZone=UTC application_name=x"))
	if err != nil {
		t.Fatal(err)
	}
	if got.user != "alice" || got.database != "app" {
		t.Errorf("role %q, database %q", got.user, got.database)
	}
	wantParams(t, "parameters", got.params, params("a=1 TimeZone=UTC application_name=x"))
}

func TestWhatStandsInThePacketWinsOverItsOptions(t *testing.T) {
	list := append(params("user=alice TimeZone=UTC"), wire.Parameter{Name: "options", Value: "-c TimeZone=CET -c DateStyle=ISO"})
	got, err := newStartup(list)
	if err != nil {
		t.Fatal(err)
	}
	told, _, _ := adopt(params("TimeZone=GMT DateStyle=German"), got.params)
	wantParams(t, "what holds", told, params("TimeZone=UTC DateStyle=ISO"))
}

func TestADatabaseThatIsNotNamedIsTheRolesOwn(t *testing.T) {
	for _, list := range []string{"user=alice", "user=alice database="} {
		got, err := newStartup(params(list))
		if err != nil || got.database != "alice" {
			t.Errorf("%s: database %q, error %v", list, got.database, err)
		}
	}
}

func TestAStartupPacketWithoutARoleIsRefused(t *testing.T) {
	for _, list := range []string{"", "user=", "database=app", "USER=alice"} {
		if _, err := newStartup(params(list)); err == nil || err.Code != wire.CodeInvalidAuth {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestProtocolOptionsAreNoParametersOfTheSession(t *testing.T) {
	got, err := newStartup(params("user=alice _pq_.b=1 TimeZone=UTC _pq_.a=2 _pq_=3"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.unknown, []string{"_pq_.b", "_pq_.a"}) {
		t.Errorf("protocol options %q", got.unknown)
	}
	wantParams(t, "parameters", got.params, params("TimeZone=UTC _pq_=3"))
}

func TestAdoptingNothingChangesNothing(t *testing.T) {
	told, extra, check := adopt(params("TimeZone=GMT"), nil)
	wantParams(t, "told", told, params("TimeZone=GMT"))
	if len(extra) != 0 || check {
		t.Errorf("extra %q, check %v", extra, check)
	}
}

func TestAValueThatHoldsAlreadyNeedsNoServer(t *testing.T) {
	told, extra, check := adopt(params("TimeZone=GMT client_encoding=UTF8"), params("timezone=GMT CLIENT_ENCODING=UTF8"))
	wantParams(t, "told", told, params("TimeZone=GMT client_encoding=UTF8"))
	if len(extra) != 0 || check {
		t.Errorf("extra %q, check %v", extra, check)
	}
}

func TestAReportedParameterIsAdoptedUnderTheNameTheServerGivesIt(t *testing.T) {
	told, extra, check := adopt(params("TimeZone=GMT"), params("TIMEZONE=UTC"))
	wantParams(t, "told", told, params("TimeZone=UTC"))
	if len(extra) != 0 || !check {
		t.Errorf("extra %q, check %v", extra, check)
	}
}

func TestAnApplicationNameNeedsNoServerToCheckIt(t *testing.T) {
	told, _, check := adopt(params("application_name=pgseal"), []wire.Parameter{{Name: "application_name", Value: "my\tapp"}})
	wantParams(t, "told", told, params("application_name=my?app"))
	if check {
		t.Error("a server is asked to check it")
	}
}

func TestWhatAClientAsksForChangesNothingOfWhatOthersAreTold(t *testing.T) {
	reported := params("TimeZone=GMT application_name=pgseal")
	adopt(reported, params("TimeZone=UTC application_name=mine"))
	if !slices.Equal(reported, params("TimeZone=GMT application_name=pgseal")) {
		t.Errorf("others are told %v", reported)
	}
}

func TestAnUnreportedParameterIsExtraOnceWithItsLastValue(t *testing.T) {
	told, extra, check := adopt(params("TimeZone=GMT"), params("search_path=a geqo=on SEARCH_PATH=b"))
	wantParams(t, "told", told, params("TimeZone=GMT"))
	wantParams(t, "extra", extra, params("search_path=b geqo=on"))
	if !check {
		t.Error("no server is asked to check it")
	}
}

func TestAParameterThatNobodyCanSetIsTheServersToRefuse(t *testing.T) {
	// Were it adopted as told, the client would be told what is not so.
	now := params("server_version=15 is_superuser=off")
	told, extra, check := adopt(slices.Clone(now), params("server_version=99 is_superuser=off IS_SUPERUSER=on"))
	wantParams(t, "told", told, now)
	wantParams(t, "extra", extra, params("server_version=99 IS_SUPERUSER=on"))
	if !check {
		t.Error("no server is asked")
	}
	set, _ := difference(now, nil, told, extra)
	wantParams(t, "set", set, params("server_version=99 IS_SUPERUSER=on"))
}

func TestTheDifferenceIsWhatMakesAServerTheClients(t *testing.T) {
	for name, c := range map[string]struct {
		now, applied, told, extra string
		set                       string
		reset                     []string
	}{
		"nothing":                {now: "a=1", told: "a=1"},
		"a reported value":       {now: "a=1 b=2", told: "a=1 b=3", set: "b=3"},
		"an unreported value":    {extra: "x=1", set: "x=1"},
		"one it has already":     {applied: "x=1", extra: "x=1"},
		"another value of one":   {applied: "x=1", extra: "x=2", set: "x=2"},
		"one too many":           {applied: "x=1 y=2", extra: "y=2", reset: []string{"x"}},
		"both":                   {now: "a=1", applied: "x=1", told: "a=2", extra: "y=1", set: "a=2 y=1", reset: []string{"x"}},
		"one no server reports":  {now: "a=1", told: "a=1 new=1"},
		"what can't be set":      {now: "server_version=15 in_hot_standby=off", told: "server_version=14 in_hot_standby=on"},
		"one more is reported":   {now: "a=1 new=1", told: "a=1"},
		"a role after SET ROLE":  {now: "session_authorization=a", told: "session_authorization=b"},
		"an empty value is kept": {now: "a=1", told: "a=", set: "a="},
	} {
		set, reset := difference(params(c.now), params(c.applied), params(c.told), params(c.extra))
		wantParams(t, name, set, params(c.set))
		if !slices.Equal(reset, c.reset) {
			t.Errorf("%s: reset %q, want %q", name, reset, c.reset)
		}
	}
}

func TestOneStatementSetsAndResetsParameters(t *testing.T) {
	got := setQuery(params("TimeZone=UTC search_path=a,b"), []string{"geqo"})
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
		q := setQuery([]wire.Parameter{{Name: name, Value: value}, {Name: value, Value: name}}, []string{reset})
		if !harmless.MatchString(q) {
			t.Fatalf("%q, %q and %q make %s", name, value, reset, q)
		}
	})
}

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

func FuzzParseOptions(f *testing.F) {
	for _, options := range []string{"", "-c a=b", `--a-b=c\ d`, "-c", "--", `\`, `-ca=\`, "-c a=b --c=d -e", "\x00"} {
		f.Add(options)
	}
	f.Fuzz(func(t *testing.T, options string) {
		got, err := parseOptions(options)
		if err != nil {
			if len(got) != 0 || err.Code != wire.CodeFeatureNotSupported {
				t.Fatalf("%q: %q and %v", options, got, err)
			}
			return
		}
		// Written out again, what was read has to read the same.
		escape := strings.NewReplacer(`\`, `\\`, " ", `\ `, "\t", "\\\t", "\n", "\\\n", "\v", "\\\v", "\f", "\\\f", "\r", "\\\r")
		var again strings.Builder
		for _, p := range got {
			if p.Name == "" || strings.Contains(p.Name, "=") || strings.Contains(p.Name, "-") {
				t.Fatalf("%q gave the name %q", options, p.Name)
			}
			again.WriteString(" --" + escape.Replace(p.Name+"="+p.Value))
		}
		back, err := parseOptions(again.String())
		if err != nil || !slices.Equal(back, got) {
			t.Fatalf("%q gave %q, which reads as %q (%v)", options, got, back, err)
		}
	})
}

func FuzzNewStartup(f *testing.F) {
	f.Add([]byte("user\x00alice\x00database\x00app\x00\x00"))
	f.Add([]byte("user\x00alice\x00options\x00-c a=b --c=d\x00_pq_.x\x00\x00\x00"))
	f.Add([]byte("user\x00alice\x00replication\x00true\x00\x00"))
	f.Add([]byte("user\x00\x00\x00"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, malformed := wire.ParseParameters(body)
		if malformed != nil {
			return
		}
		s, refused := newStartup(list)
		if refused != nil {
			if len(refused.Code) != 5 || refused.Message == "" {
				t.Fatalf("%q was refused with %+v", body, refused)
			}
			return
		}
		if s.user == "" || s.database == "" {
			t.Fatalf("%q gave role %q and database %q", body, s.user, s.database)
		}
		// Whatever is sent on to a server has to fit into a startup packet of
		// our own and say the same there: no NUL may hide in it.
		sent := append([]wire.Parameter{{Name: "user", Value: s.user}, {Name: "database", Value: s.database}}, s.params...)
		for _, p := range sent {
			if strings.Contains(p.Name+p.Value, "\x00") || p.Name == "" {
				t.Fatalf("%q gave the parameter %q", body, p)
			}
		}
		for _, name := range s.unknown {
			if !strings.HasPrefix(name, "_pq_.") {
				t.Fatalf("%q gave the protocol option %q", body, name)
			}
		}
	})
}
