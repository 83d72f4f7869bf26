package login

import (
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
		got, err := ParseOptions(options)
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
		got, err := ParseOptions(options)
		if err == nil {
			t.Errorf("%q was read as %q", options, got)
			continue
		}
		if err.Told.Code != wire.CodeFeatureNotSupported || err.Told.Hint == "" || err.Told.Severity != "FATAL" {
			t.Errorf("%q: %+v", options, err)
		}
	}
}

func TestAStartupPacketIsSortedAsPostgreSQLSortsIt(t *testing.T) {
	got, err := newStartup(params("user=alice database=app options=-ca=1 TimeZone=UTC application_name=x"))
	if err != nil {
		t.Fatal(err)
	}
	if got.User != "alice" || got.Database != "app" {
		t.Errorf("role %q, database %q", got.User, got.Database)
	}
	wantParams(t, "parameters", got.Params, params("a=1 TimeZone=UTC application_name=x"))
}

func TestWhatStandsInThePacketWinsOverItsOptions(t *testing.T) {
	list := append(params("user=alice TimeZone=UTC"), wire.Parameter{Name: "options", Value: "-c TimeZone=CET -c DateStyle=ISO"})
	got, err := newStartup(list)
	if err != nil {
		t.Fatal(err)
	}
	wantParams(t, "what is asked for", got.Params, params("TimeZone=CET DateStyle=ISO TimeZone=UTC"))
}

func TestADatabaseThatIsNotNamedIsTheRolesOwn(t *testing.T) {
	for _, list := range []string{"user=alice", "user=alice database="} {
		got, err := newStartup(params(list))
		if err != nil || got.Database != "alice" {
			t.Errorf("%s: database %q, error %v", list, got.Database, err)
		}
	}
}

func TestAStartupPacketWithoutARoleIsRefused(t *testing.T) {
	for _, list := range []string{"", "user=", "database=app", "USER=alice"} {
		if _, err := newStartup(params(list)); err == nil || err.Told.Code != wire.CodeInvalidAuth {
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
	wantParams(t, "parameters", got.Params, params("TimeZone=UTC _pq_=3"))
}

func FuzzParseOptions(f *testing.F) {
	for _, options := range []string{"", "-c a=b", `--a-b=c\ d`, "-c", "--", `\`, `-ca=\`, "-c a=b --c=d -e", "\x00"} {
		f.Add(options)
	}
	f.Fuzz(func(t *testing.T, options string) {
		got, err := ParseOptions(options)
		if err != nil {
			if len(got) != 0 || err.Told.Code != wire.CodeFeatureNotSupported {
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
		back, err := ParseOptions(again.String())
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
			if len(refused.Told.Code) != 5 || refused.Told.Message == "" {
				t.Fatalf("%q was refused with %+v", body, refused)
			}
			return
		}
		if s.User == "" || s.Database == "" {
			t.Fatalf("%q gave role %q and database %q", body, s.User, s.Database)
		}
		// Whatever is sent on to a server has to fit into a startup packet of
		// our own and say the same there: no NUL may hide in it.
		sent := append([]wire.Parameter{{Name: "user", Value: s.User}, {Name: "database", Value: s.Database}}, s.Params...)
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

func TestWhatAsksForAReplicationConnectionIsReadAsPostgreSQLReadsIt(t *testing.T) {
	for _, value := range []string{"database", "true", "t", "tr", "on", "yes", "y", "1", "TRUE", "On"} {
		got, err := newStartup(params("user=alice TimeZone=UTC _pq_.a=1 database=app replication=" + value))
		if err != nil || len(got.Params) > 0 || len(got.Replication) != 2 || len(got.unknown) != 1 ||
			got.Replication[0] != (wire.Parameter{Name: "TimeZone", Value: "UTC"}) ||
			got.Replication[1] != (wire.Parameter{Name: "replication", Value: value}) {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
	for _, value := range []string{"false", "f", "off", "of", "no", "n", "0", "OFF"} {
		got, err := newStartup(params("user=alice replication=" + value))
		if err != nil || len(got.Params) > 0 || got.Replication != nil {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "o", "Database", "2", "whatever", "truer", "10"} {
		if _, err := newStartup(params("user=alice replication=" + value)); err == nil || err.Told.Code != wire.CodeInvalidParameter || err.Told.Hint == "" {
			t.Errorf("%q: %v", value, err)
		}
	}
}
