package sqlscan

import (
	"fmt"
	"strings"
	"testing"
)

// checkRefs checks what holds for the names in any text.
func checkRefs(t *testing.T, text []byte) {
	t.Helper()
	refs := NameRefs(text, nil)
	seen, statements := Scan(text), countStatements(text)
	if len(refs) > 0 && seen&Names == 0 {
		t.Errorf("%q: %v, but effects are %v", text, refs, seen)
	}
	if (statements > 1) != (seen&Several != 0) {
		t.Errorf("%q: %d statements, but effects are %v", text, statements, seen)
	}
	end, number := 0, 0
	for _, r := range refs {
		if r.Start < end || r.End <= r.Start || r.End > len(text) || r.Statement < number || r.Statement >= statements {
			t.Fatalf("%q: %+v in %d statements, the one before ends at %d", text, r, statements, end)
		}
		if r.Name == "" || r.Verb != Prepare && r.Verb != Execute && r.Verb != Deallocate || seen&r.Verb == 0 && r.Verb != Prepare {
			t.Errorf("%q: %+v, but effects are %v", text, r, seen)
		}
		end, number = r.End, r.Statement
	}
	p := parser{tokens: tokens{text: text}}
	n, began := 0, false
	for p.next(); p.token.kind != noToken; p.next() {
		if p.token.kind == ';' {
			began = false
		} else if !began {
			began = true
			n++
		}
	}
	if n != statements {
		t.Errorf("%q: %d statements in tokens, %d in the scan", text, n, statements)
	}
}

func TestWhereStatementsAreNamed(t *testing.T) {
	long := strings.Repeat("ab", 40)
	for text, want := range map[string]string{
		"":                                         "",
		"SELECT 1":                                 "",
		"PREPARE p AS SELECT 1":                    "prepare 0 p=p",
		"prepare P(int) as select 1":               "prepare 0 P=p",
		`PREPARE "P""q" AS SELECT 1`:               `prepare 0 "P""q"=P"q`,
		`PREPARE"p"AS SELECT 1`:                    `prepare 0 "p"=p`,
		"PREPARE transaction AS SELECT 1":          "prepare 0 transaction=transaction",
		"PREPARE transaction(int) AS SELECT 1":     "prepare 0 transaction=transaction",
		"PREPARE TRANSACTION 'x'":                  "",
		"PREPARE TRANSACTION e'x'":                 "",
		`PREPARE "transaction" AS SELECT 1`:        `prepare 0 "transaction"=transaction`,
		"PREPARE p AS SELECT 1; EXECUTE p":         "prepare 0 p=p, execute 1 p=p",
		";;PREPARE p AS SELECT 1;;/**/;EXECUTE p;": "prepare 0 p=p, execute 1 p=p",
		"EXECUTE p (1, 'EXECUTE q; EXECUTE r')":    "execute 0 p=p",
		"EXPLAIN EXECUTE p":                        "execute 0 p=p",
		"EXPLAIN ANALYZE VERBOSE EXECUTE p":        "execute 0 p=p",
		"EXPLAIN (ANALYZE, FORMAT json) EXECUTE p": "execute 0 p=p",
		"EXPLAIN (ANALYZE (x), y) /**/ EXECUTE p":  "execute 0 p=p",
		"EXPLAIN SELECT execute FROM p":            "",
		"EXPLAIN CREATE TABLE t AS EXECUTE p":      "execute 0 p=p",
		"EXPLAIN (":                                "",
		"EXPLAIN (;EXECUTE p":                      "execute 1 p=p",
		"CREATE TABLE t AS EXECUTE p":              "execute 0 p=p",
		"CREATE LOCAL TEMP TABLE IF NOT EXISTS t (a, b) WITH (as = 1) TABLESPACE x AS EXECUTE p(1) WITH DATA": "execute 0 p=p",
		"CREATE UNLOGGED TABLE t (a int GENERATED ALWAYS AS (1) STORED) AS\nEXECUTE p":                        "execute 0 p=p",
		"CREATE TABLE t AS SELECT 1 AS execute FROM x":                                                        "",
		"CREATE TABLE t AS SELECT 1 AS x, 2 AS execute UNION SELECT 1":                                        "",
		"CREATE VIEW v AS SELECT 1 AS execute FROM p":                                                         "",
		"CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()":                                            "",
		"GRANT EXECUTE ON FUNCTION f() TO r":                                                                  "",
		"DEALLOCATE p":                                                                                        "deallocate 0 p=p",
		"DEALLOCATE PREPARE p; SELECT 1":                                                                      "deallocate 0 p=p",
		"DEALLOCATE PREPARE":                                                                                  "deallocate 0 PREPARE=prepare",
		"DEALLOCATE PREPARE;":                                                                                 "deallocate 0 PREPARE=prepare",
		"DEALLOCATE ALL":                                                                                      "",
		"DEALLOCATE PREPARE ALL":                                                                              "",
		`DEALLOCATE "all"`:                                                                                    `deallocate 0 "all"=all`,
		`DEALLOCATE "prepare"`:                                                                                `deallocate 0 "prepare"=prepare`,
		`DEALLOCATE U&"\0061"; EXECUTE u&"x""y"`:                                                              `deallocate 0 U&"\0061"=U&"\0061", execute 1 u&"x""y"=u&"x""y"`,
		`DEALLOCATE ""; DEALLOCATE $1; EXECUTE`:                                                               "",
		"DEALLOCATE " + long:                                                                                  "deallocate 0 " + long + "=" + long[:63],
		"SELECT ';EXECUTE a;'; EXECUTE b":                                                                     "execute 1 b=b",
		`SELECT E'\';EXECUTE a;'; EXECUTE b`:                                                                  "execute 1 b=b",
		"SELECT E'a'\n'\\';EXECUTE a;'; EXECUTE b":                                                            "execute 1 b=b",
		"SELECT $$;EXECUTE a;$$; EXECUTE b":                                                                   "execute 1 b=b",
		"SELECT $a$;EXECUTE a;$$;$a$; EXECUTE b":                                                              "execute 1 b=b",
		"SELECT $1;EXECUTE b--;EXECUTE c":                                                                     "execute 1 b=b",
		`SELECT ";EXECUTE a;""x"; EXECUTE b`:                                                                  "execute 1 b=b",
		"/*;EXECUTE a;*/ EXECUTE/* */b":                                                                       "execute 0 b=b",
		"SELECT 1 - 2 / 3; EXECUTE é":                                                                         "execute 1 é=é",
		`"execute" p`:                                                                                         "",
	} {
		var got []string
		for _, r := range NameRefs([]byte(text), nil) {
			got = append(got, fmt.Sprintf("%v %d %s=%s", r.Verb, r.Statement, text[r.Start:r.End], r.Name))
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("%s\n\tgot  %s\n\twant %s", text, got, want)
		}
		checkRefs(t, []byte(text))
	}
	for _, text := range tricky {
		for i := range text {
			checkRefs(t, []byte(text[i:]))
			checkRefs(t, []byte(text[:i]))
		}
	}
	if got := NameRefs([]byte("EXECUTE b"), []NameRef{{Name: "a"}}); len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" {
		t.Errorf("appended to: %+v", got)
	}
}

func TestStatementsAreCounted(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, ";": 0, " ; /* */ ; -- x": 0, "SELECT 1": 1, "SELECT 1;": 1, "SELECT 1; ;": 1, ";SELECT 1; SELECT 2": 2,
		"(SELECT 1); (SELECT 2)": 2, "SELECT ';', $$;$$, \";\"; BEGIN": 2, "a;b;c;": 3,
	} {
		if got := countStatements([]byte(text)); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
		checkRefs(t, []byte(text))
	}
}

// countStatements returns how many statements are in a text, empty ones not counted.
// The body of a function that begins with ATOMIC counts as if its statements
// stood alone.
func countStatements(text []byte) int {
	var s Scanner
	s.Feed(text)
	s.finish(&s.statement)
	return int(s.statement.done)
}
