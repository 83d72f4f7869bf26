package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAnUnknownKeyIsRefusedAndTheLikeliestOneNamed(t *testing.T) {
	for text, want := range map[string]string{
		"    hots: a\n":             below(1, "databases.app.hots: did you mean \"host\"?"),
		"    sslrootcrt: a\n":       below(1, "databases.app.sslrootcrt: did you mean \"sslrootcert\"?"),
		"    Port: 1\n":             below(1, "databases.app.Port: did you mean \"port\"?"),
		"    pool-size: 1\n":        below(1, "databases.app.pool-size: did you mean \"pool_size\"?"),
		"pol: {}\n":                 below(1, "pol: did you mean \"pool\"?"),
		"logs: {}\n":                below(1, "logs: did you mean \"log\"?"),
		"pool: {max_client_con: 1}": below(1, "pool.max_client_con: did you mean \"max_client_conn\"?"),
	} {
		_, err := parse(base + text)
		wants(t, err, want)
	}
	for _, text := range []string{"    auth_type: x\n", "listeners: []\n", "pool:\n  auth_dbname: x\n", "    \"\u00e4\": x\n"} {
		_, err := parse(base + text)
		if list := faults(t, err); len(list) != 1 || strings.Contains(err.Error(), "did you mean") || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestAnUnknownKeyOfAListenerIsRefused(t *testing.T) {
	_, err := parse(strings.Replace(base, "cert_file", "certfile", 1))
	wants(t, err, "3 listen[0].tls.certfile: did you mean \"cert_file\"?")
	_, err = parse(strings.Replace(base, "address", "adress", 1))
	wants(t, err, "2 listen[0].adress: did you mean \"address\"?")
}

func TestTheDistanceOfWordsCountsTheirDifferences(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"host", "host", 0}, {"", "host", 4}, {"host", "", 4}, {"host", "hots", 2},
		{"port", "sport", 1}, {"ports", "port", 1}, {"kitten", "sitting", 3}, {"abc", "xyz", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestARepeatedKeyIsRefusedWithBothLines(t *testing.T) {
	for text, want := range map[string]string{
		"    host: b\n":                     below(1, "databases.app.host: duplicate key, already set in line 8"),
		"    \"host\": b\n":                 below(1, "databases.app.host: duplicate key, already set in line 8"),
		"  app: {}\n":                       below(1, "databases.app: duplicate key, already set in line 7"),
		"auth: {users_file: /b}\n":          below(1, "auth: duplicate key, already set in line 4"),
		"log: {level: info, level: info}\n": below(1, fmt.Sprintf("log.level: duplicate key, already set in line %d", baseLines+1)),
	} {
		_, err := parse(base + text)
		wants(t, err, want)
	}
}

func TestASecondDocumentIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"---\npool: {}\n":       "more than one YAML document",
		"---\n":                 "more than one YAML document",
		"...\n---\nx: 1\n":      "more than one YAML document",
		"---\n" + secret:        "more than one YAML document",
		"---\n\t" + secret + "": "found character",
	} {
		_, err := parse(base + text)
		list := faults(t, err)
		if len(list) != 1 || list[0].Line <= baseLines || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	accepted(t, "---\n"+base+"...\n# the end\n")
}

func TestAFileThatIsNoYAMLIsRefusedWithItsLine(t *testing.T) {
	for text, line := range map[string]int{
		"a: b: c":                               1,
		"\tpool: {}":                            1,
		"pool: \"\\q\"":                         1,
		"listen: [":                             2, // where the list would go on
		"pool: {}\n\nlog:\n  level: @" + secret: 4,
		"pool: {}\nlog: {level: 'x\n\n":         2,
		"pool: {}\nlog: {level: info\n":         2,
		"pool: {}\nlog: x: y\n":                 2,
	} {
		_, err := parse(text)
		list := faults(t, err)
		if len(list) != 1 || list[0].Line != line || strings.Contains(err.Error(), "yaml: ") || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v, want one fault in line %d", text, err, line)
		}
	}
}

func TestAFileThatIsNoTextIsRefused(t *testing.T) {
	for _, text := range []string{"\x00", "pool: \x01", "\xff", "log: \xc3\x28", "\xff\xfe\x00\xd8"} {
		_, err := parse(text)
		if list := faults(t, err); len(list) != 1 || list[0].Line != 0 {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestAValueOfTheWrongKindIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"pool: {query_wait_timeout: 5}\n":                 below(1, "pool.query_wait_timeout: duration with a unit"),
		"pool: {query_wait_timeout: 0}\n":                 below(1, "pool.query_wait_timeout: duration with a unit"),
		"pool: {query_wait_timeout: '5'}\n":               below(1, "pool.query_wait_timeout: duration with a unit"),
		"pool: {query_wait_timeout: 5 s}\n":               below(1, "pool.query_wait_timeout: duration with a unit"),
		"pool: {query_wait_timeout: 1d}\n":                below(1, "pool.query_wait_timeout: duration with a unit"),
		"pool: {query_wait_timeout: 1:30}\n":              below(1, "pool.query_wait_timeout: duration with a unit"),
		"pool: {query_wait_timeout: true}\n":              below(1, "pool.query_wait_timeout: duration with a unit"),
		"pool: {query_wait_timeout: [5s]}\n":              below(1, "pool.query_wait_timeout: must be a scalar"),
		"pool: {max_client_conn: many}\n":                 below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: 1.5}\n":                  below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: 1000.0}\n":               below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: 1e3}\n":                  below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: '1000'}\n":               below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: 1k}\n":                   below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: .inf}\n":                 below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: true}\n":                 below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: 99999999999999999999}\n": below(1, "pool.max_client_conn: must be an integer"),
		"pool: {max_client_conn: {}}\n":                   below(1, "pool.max_client_conn: must be a scalar"),
		"pool: []\n":                                      below(1, "pool: must be a mapping"),
		"pool: transaction\n":                             below(1, "pool: must be a mapping"),
		"log: {level: [info]}\n":                          below(1, "log.level: must be a scalar"),
		"log: {level: !!int " + secret + "}\n":            below(1, "log.level: must be a string"),
		"log: {level: !!null " + secret + "}\n":           below(1, "log.level: must be a string"),
		"    password: !!binary '*" + secret + "'\n":      below(1, "databases.app.password: must be a string"),
		"    host: [a, b]\n":                              below(1, "databases.app.host: duplicate key"),
		"  b: [host]\n":                                   below(1, "databases.b: must be a mapping"),
		"  b: " + secret + "\n":                           below(1, "databases.b: must be a mapping"),
		"  b:\n":                                          below(1, "databases.b: must not be empty"),
		"  b: ~\n":                                        below(1, "databases.b: must not be empty"),
	} {
		_, err := parse(base + text)
		wants(t, err, want)
	}
	for text, want := range map[string]string{
		secret:                       "1 : must be a mapping",
		"- listen":                   "1 : must be a mapping",
		"listen: 0.0.0.0:6432":       "1 listen: must be a list",
		"listen: {address: x}":       "1 listen: must be a list",
		"listen: [0.0.0.0:6432]":     "1 listen[0]: must be a mapping",
		"listen:\n - address: x\n -": "3 listen[1]: must not be empty",

		"listen:\n - tls: {max_record_size: 8192}":   "2 listen[0].tls.max_record_size: size with a unit",
		"listen:\n - tls: {max_record_size: 8kB}":    "2 listen[0].tls.max_record_size: size with a unit",
		"listen:\n - tls: {max_record_size: [8KiB]}": "2 listen[0].tls.max_record_size: must be a scalar",
		"databases: [app]":                           "1 databases: must be a mapping",
	} {
		_, err := parse(text)
		wants(t, err, want)
	}
}

func TestAKeyHasToBeAPlainWord(t *testing.T) {
	for _, text := range []string{
		"  ~: {host: a}\n",
		"  null: {host: a}\n",
		"  '': {host: a}\n",
		"  !!binary YQ==: {host: a}\n",
		"  [a]: {host: a}\n",
		"  {a: b}: {host: a}\n",
		"  <<: {b: {host: a}}\n",
		"  <<: {password: " + secret + "}\n",
		"  <<: [{password: " + secret + "}]\n",
	} {
		_, err := parse(base + text)
		wants(t, err, below(1, "databases: not a plain string"))
	}
	_, err := parse(base + "    <<: {password: " + secret + "}\n")
	wants(t, err, below(1, "databases.app: not a plain string"))
	f := accepted(t, base+"  1: {host: a, sslmode: disable}\n  true: {host: a, sslmode: disable}\n  2026-01-01: {host: a, sslmode: disable}\n")
	for _, name := range []string{"1", "true", "2026-01-01"} {
		if f.Databases[name].Host != "a" {
			t.Errorf("there is no database %s", name)
		}
	}
}

func TestAnEnvironmentVariableStandsForItsValue(t *testing.T) {
	text := base + `    password: ${PW}
    user: "${ROLE}"
    port: ${PORT}
    dbname: 'a-${NAME}-${NAME}'
pool:
  query_wait_timeout: ${SECONDS}s
  server_reset_query: $HOME $${X ${ ${} ${1} ${a-b}
log: {level: "${LEVEL}"}
`
	f, err := Parse("pgseal.yaml", []byte(text), with("PW", secret, "ROLE", "null", "PORT", "6543", "NAME", "b: [", "SECONDS", "15", "LEVEL", "warn"))
	wants(t, err)
	db := f.Databases["app"]
	if db.Password != secret || db.User != "null" || db.Port != 6543 || db.DBName != "a-b: [-b: [" {
		t.Errorf("database app is %+v", db)
	}
	if f.Pool.QueryWaitTimeout != 15*time.Second || f.Log.Level != "warn" {
		t.Errorf("pool %+v, log %+v", f.Pool, f.Log)
	}
	if got := f.Pool.ServerResetQuery; got != "$HOME $${X ${ ${} ${1} ${a-b}" {
		t.Errorf("what is no variable became %q", got)
	}
}

// A password is whatever it is, though it looks like something else in YAML.
func TestTheValueOfAVariableIsNeverReadAsYAML(t *testing.T) {
	for _, value := range []string{"null", "~", "true", "0x10", "1e3", "2026-01-01", "*x", "&x", "{a: b}", "a: b # c", "'", "\n---\n", "!!int", "${PW}", "${OTHER}", " "} {
		f, err := Parse("pgseal.yaml", []byte(base+"    user: u\n    password: ${PW}\n"), with("PW", value))
		if err != nil || f.Databases["app"].Password != value {
			t.Errorf("%q became %q, %v", value, f.Databases["app"].Password, err)
		}
	}
}

func TestAVariableIsExpandedOnceThoughAnAliasLeadsToItAgain(t *testing.T) {
	text := base + "    user: u\n    password: &pw ${PW}\n  b: {host: a, sslmode: disable, user: u, password: *pw}\n"
	f, err := Parse("pgseal.yaml", []byte(text), with("PW", "a${OTHER}b", "OTHER", "wrong"))
	wants(t, err)
	for _, name := range []string{"app", "b"} {
		if got := f.Databases[name].Password; got != "a${OTHER}b" {
			t.Errorf("the password of %s became %q", name, got)
		}
	}
}

func TestAVariableThatIsNotSetIsRefused(t *testing.T) {
	text := base + "    password: \"x${MISSING}${AWAY}\"\n    user: u\n    port: ${PORT}\npool: {query_wait_timeout: \"${T}\"}\n"
	_, err := Parse("pgseal.yaml", []byte(text), with("EMPTY", ""))
	wants(t, err,
		below(1, "databases.app.password: variable MISSING is not set"),
		below(1, "databases.app.password: variable AWAY is not set"),
		below(3, "databases.app.port: variable PORT is not set"),
		below(4, "pool.query_wait_timeout: variable T is not set"))
	_, err = Parse("pgseal.yaml", []byte(base+"    dbname: \"${EMPTY}\"\n"), with("EMPTY", ""))
	wants(t, err)
}

func TestAVariableOfTheWrongKindIsRefusedWithoutItsValue(t *testing.T) {
	text := base + "    port: ${X}\npool: {query_wait_timeout: \"${X}\", max_client_conn: \"${N}\"}\n"
	_, err := Parse("pgseal.yaml", []byte(text), with("X", secret, "N", "100"))
	wants(t, err,
		below(1, "databases.app.port: must be an integer"),
		below(2, "pool.query_wait_timeout: duration"),
		below(2, "pool.max_client_conn: must be an integer")) // in quotes it is text
}

func TestAnchorsStandForWhatTheyName(t *testing.T) {
	f := accepted(t, "pool: {server_lifetime: &long 3h, server_idle_timeout: *long}\n"+
		strings.Replace(base, "  app:\n", "  app: &app\n", 1)+"  other: *app\n")
	if f.Databases["other"] != f.Databases["app"] || f.Pool.ServerIdleTimeout != 3*time.Hour {
		t.Errorf("databases %+v, pool %+v", f.Databases, f.Pool)
	}
	_, err := parse(base + "    port: &p x\n  b: {host: a, sslmode: disable, port: *p}\n")
	wants(t, err, below(1, "databases.app.port: must be an integer"), below(1, "databases.b.port: must be an integer"))
}

// A password that begins with a star looks like an alias.
func TestAnAliasThatLeadsNowhereIsNotRepeated(t *testing.T) {
	for _, text := range []string{"    password: *" + secret + "\n", "    password: &" + secret + " *" + secret + "\n", "  *" + secret + " : {}\n"} {
		_, err := parse(base + text)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	_, err := parse(base + "    password: *" + secret + "\n")
	wants(t, err, "0 : quote a value that begins with *")
}

func TestAnAliasOfWhatItIsPartOfIsRefused(t *testing.T) {
	for _, text := range []string{"listen: &x [*x]", "databases: &x {a: *x}", "&x {listen: *x}", "databases: {a: &x {host: *x}}", "&x a: *x"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestANestedBombIsRefusedInNoTime(t *testing.T) {
	for name, text := range map[string]string{
		"lists":         "listen: " + strings.Repeat("[", 100_000),
		"closed lists":  "listen: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"mappings":      "databases: " + strings.Repeat("{a: ", 9_000) + strings.Repeat("}", 9_000),
		"indents":       indents(1_000),
		"unknown key":   "x: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"deep in a key": "? " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "\n: x",
	} {
		began := time.Now()
		if _, err := parse(text); err == nil {
			t.Errorf("%s: taken", name)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestAnAliasBombIsRefusedInNoTime(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := range 30 {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	for _, tail := range []string{"", "listen: *a30\n", "databases: {app: *a30}\n", "pool: {server_lifetime: *a30}\n"} {
		began := time.Now()
		if _, err := parse(b.String() + tail); err == nil {
			t.Errorf("%q: taken", tail)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%q: took %v", tail, took)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(base)
	f.Add(base + "pool: {query_wait_timeout: ${N}s, max_client_conn: ${N}}\nlog: {level: \"${MISSING}\"}\n")
	f.Add("listen: &x [{address: 'unix:/x'}, *x]\ndatabases: {<<: {a: b}, ~: ~}\n")
	f.Add("databases:\n  a: &a {host: h, sslmode: disable, password: !!binary eA==}\n  b: *a\n")
	f.Add("---\na: 1\n---\nb: 2\n")
	f.Add("? [a]\n: b\n")
	f.Add("\xff\xfe\x00")
	f.Fuzz(func(t *testing.T, text string) {
		env := with("N", "7", "PW", secret)
		got, err := Parse("pgseal.yaml", []byte(text), env)
		if err == nil {
			if len(got.Listen) == 0 || len(got.Databases) == 0 || got.Auth.UsersFile == "" {
				t.Fatal("an incomplete file was taken")
			}
			return
		}
		if strings.Contains(err.Error(), secret) {
			t.Fatalf("a secret stands in the error %q", err)
		}
		last := 0
		for _, f := range faults(t, err) {
			if f.Line < last || f.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+strings.Count(text, "\u0085")+strings.Count(text, "\u2028")+strings.Count(text, "\u2029")+2 {
				t.Fatalf("a fault in line %d, after one in line %d", f.Line, last)
			}
			last = f.Line
			if strings.Contains(f.Err.Error(), "cannot be decoded") {
				t.Fatalf("the walk let pass what can't be decoded")
			}
		}
	})
}
