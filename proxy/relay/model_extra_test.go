package relay_test

import (
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/pgmodel"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// The relay's own queries, as far as the model does not know them.

const typeText = 25

// newCluster returns a cluster that understands the relay's own queries.
func newCluster(version int) *pgmodel.Cluster {
	c := pgmodel.NewCluster(version)
	c.Knows = func(text string) bool { return strings.Contains(text, "pg_catalog.") }
	c.Extra = func(session *pgmodel.Session, text string, _ []string) (pgmodel.Result, bool) {
		return interpret(session, text)
	}
	// A custom parameter that a session has set is there in it for good; that
	// others find it empty then is known.
	c.Configure("app.tenant", "")
	return c
}

// interpret runs a query of the relay's.
func interpret(session *pgmodel.Session, text string) (pgmodel.Result, bool) {
	switch {
	case text == relay.ReadQuery:
		return readValues(session), true
	case strings.HasPrefix(text, "SELECT pg_catalog.set_config(name, "):
		return bringBack(session, text), true
	case strings.HasPrefix(text, "SELECT pg_catalog.set_config("):
		return setConfigs(session, strings.TrimPrefix(text, "SELECT ")), true
	case strings.HasPrefix(text, "SELECT pg_catalog.setseed("):
		return oneRow(""), true
	case probePart.MatchString(text):
		return probed(session, text), true
	}
	return pgmodel.Result{}, false
}

// oneRow is a result of one row.
func oneRow(values ...string) pgmodel.Result {
	r := pgmodel.Result{Rows: [][][]byte{nil}}
	for _, v := range values {
		r.Columns = append(r.Columns, pgmodel.Column{Name: "set_config", Type: typeText})
		r.Rows[0] = append(r.Rows[0], []byte(v))
	}
	return r
}

// unmodelled are parameters that the relay reads and the model does not have.
var unmodelled = map[string]string{
	"timezone_abbreviations": "Default", "backslash_quote": "safe_encoding", "array_nulls": "on", "transform_null_equals": "off",
	"xmloption": "content", "lc_monetary": "C", "default_text_search_config": "pg_catalog.simple", "quote_all_identifiers": "off",
}

func readValues(session *pgmodel.Session) pgmodel.Result {
	var values []string
	for _, name := range relay.Read {
		v, ok := session.Get(name)
		if !ok {
			v, ok = unmodelled[name]
		}
		if !ok {
			panic("the model has no " + name)
		}
		values = append(values, v)
	}
	return oneRow(values...)
}

var (
	plainText = `'([^']*)'`
	hexText   = `pg_catalog\.convert_from\(pg_catalog\.decode\('([0-9a-f]*)', 'hex'\), pg_catalog\.getdatabaseencoding\(\)\)`
	anyText   = `(?:` + plainText + `|` + hexText + `)`
	setting   = regexp.MustCompile(`^pg_catalog\.set_config\(` + anyText + `, (?:(NULL)|` + anyText + `), (true|false)\)(?:, )?`)
	baseValue = regexp.MustCompile(`\(` + anyText + `::pg_catalog\.text, ` + anyText + `::pg_catalog\.text\)`)
)

func literalOf(plain, digits string) string {
	if digits == "" {
		return plain
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// setConfigs runs a list of set_config.
func setConfigs(session *pgmodel.Session, list string) pgmodel.Result {
	var values []string
	for list != "" {
		m := setting.FindStringSubmatch(list)
		if m == nil {
			panic("not understood: " + list)
		}
		list = list[len(m[0]):]
		name, value := literalOf(m[1], m[2]), literalOf(m[4], m[5])
		if err := setConfig(session, name, value, m[3] != "", m[6] == "true"); err != nil {
			return failedBy(err)
		}
		v, _ := session.Get(name)
		values = append(values, v)
	}
	return oneRow(values...)
}

func setConfig(session *pgmodel.Session, name, value string, reset, local bool) error {
	if _, ok := unmodelled[name]; ok {
		return nil
	}
	if reset {
		return session.Reset(name, local)
	}
	return session.Set(name, value, local)
}

func failedBy(err error) pgmodel.Result {
	e := err.(*pgmodel.Error)
	return pgmodel.Result{Err: &wire.Error{Code: e.Code, Message: e.Message}}
}

// bringBack sets startup values that nobody has set in the session.
func bringBack(session *pgmodel.Session, text string) pgmodel.Result {
	r := pgmodel.Result{Columns: []pgmodel.Column{{Name: "set_config", Type: typeText}}}
	set := session.Inspect()
	for _, m := range baseValue.FindAllStringSubmatch(text, -1) {
		name, value := literalOf(m[1], m[2]), literalOf(m[3], m[4])
		now, _ := session.Get(name)
		switch {
		case name == "role" && now != "none", strings.Contains(name, ".") && now != "":
			continue
		case !strings.Contains(name, ".") && isSet(set, name):
			continue
		}
		if err := session.Set(name, value, strings.HasPrefix(text, "SELECT pg_catalog.set_config(name, value, true)")); err != nil {
			return failedBy(err)
		}
		v, _ := session.Get(name)
		r.Rows = append(r.Rows, [][]byte{[]byte(v)})
	}
	return r
}

func isSet(s pgmodel.State, name string) bool {
	for key := range s.Settings {
		if strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

// probePart are the parts of a state probe, by how they begin.
var (
	probePart = regexp.MustCompile(`^SELECT (CASE WHEN context|'[a-z]')`)
	custom    = regexp.MustCompile(`current_setting\('([^']*)', true\)`)
	probeName = regexp.MustCompile(`name OPERATOR\(pg_catalog\.=\) '([^']*)'`)
)

// probed tells what the session holds.
func probed(session *pgmodel.Session, text string) pgmodel.Result {
	r := pgmodel.Result{}
	for _, name := range []string{"letter", "name", "value"} {
		r.Columns = append(r.Columns, pgmodel.Column{Name: name, Type: typeText})
	}
	add := func(letter, name, value string) {
		r.Rows = append(r.Rows, [][]byte{[]byte(letter), []byte(hex.EncodeToString([]byte(name))), []byte(hex.EncodeToString([]byte(value)))})
	}
	there := func(letter string, is bool) {
		if is {
			add(letter, "", "")
		}
	}
	s := session.Inspect()
	for _, part := range strings.Split(text, " UNION ALL ") {
		if strings.HasPrefix(part, "SELECT CASE WHEN context") {
			for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
				if !strings.Contains(name, ".") {
					add("s", name, baseUnits(s.Settings[name]))
				}
			}
			continue
		}
		switch letter := part[len("SELECT '"):][:1]; letter {
		case "s":
			if m := custom.FindStringSubmatch(part); m != nil {
				if v, ok := session.Get(m[1]); ok {
					add("s", m[1], v)
				}
			} else if s.Role != "none" {
				add("s", "role", s.Role)
			}
		case "u":
			add("u", "", s.User)
		case "t":
			there("t", len(s.Temp) > 0)
		case "a":
			there("a", len(s.Locks) > 0)
		case "l":
			there("l", len(s.Listening) > 0)
		case "c":
			there("c", len(s.Held) > 0)
		case "p":
			there("p", len(s.FromSQL) > 0)
		case "n":
			there("n", !slices.Contains(s.Statements, probeName.FindStringSubmatch(part)[1]))
		default:
			panic("not understood: " + part)
		}
	}
	return r
}

// units are those of pg_settings.
var units = map[string]int{
	"kB": 1, "MB": 1 << 10, "GB": 1 << 20, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000,
}

// baseUnits is a value as pg_settings shows it.
func baseUnits(v string) string {
	digits := len(v) - len(strings.TrimLeft(v, "0123456789"))
	if n, err := strconv.Atoi(v[:digits]); err == nil && units[v[digits:]] > 0 {
		return strconv.Itoa(n * units[v[digits:]])
	}
	return v
}
