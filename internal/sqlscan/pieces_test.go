package sqlscan

import (
	"strings"
	"testing"
)

// tricky holds every state of the scanner.
var tricky = []string{
	"SELECT abalance FROM pgbench_accounts WHERE aid = 123456;",
	`SELECT E'a\'b' 'c\\', U&'x', u&"y", "q""r", $1, $$a$b$$, $tag$ $ta $tag $tag$ /* a /* b */ **/ -- x` + "\n" + `; SET LOCAL local.x = 1; SET "role" = 1`,
	"SELECT set_config( /**/ 'session_authorization' --\n, 'b', false), set_config('seed' || $1); LISTEN x",
	`SELECT 'a\', E'é\\', $x`,
	"BEGIN; UPDATE pg_settings SET a = 1; DEALLOCATE PREPARE ALL; DISCARD ALL; DECLARE c CURSOR WITH HOLD FOR SELECT 1",
	"CREATE OR REPLACE TEMP VIEW v AS SELECT 1; SELECT pg_temp_123456789012345678901234567890123456789.f()",
	"INSERT INTO temp VALUES (u&1, e, 1-2/3); PREPARE p AS SELECT 1; EXPLAIN EXECUTE p; SELECT $a\x95\\$",
	"SET LOCAL/**/.x=1;RESET SESSION AUTHORIZATION;SET SESSION AUTHORIZATION a;load''",
	"SELECT 1; COPY t FROM /* stdin */ StdIn; COPY u FROM stdin",
	"SET LOCAL TIME ZONE LOCAL; SET search_path = default; RESET \"DateStyle\"; SET U&\"r\\006fle\" TO bob",
	"SELECT set_config('a', 'it''s' \n 'b', true), set_config('role', 'x', 'on' ) , set_config('xmloption', NULL, 't'||'')",
	"PREPARE transaction (int) AS SELECT $1; PREPARE TRANSACTION E'x'; EXPLAIN (analyze, costs off) EXECUTE \"P\"\"q\"(1); DEALLOCATE PREPARE u&\"\\0061\"",
	"CREATE UNLOGGED TABLE t (a, b) AS EXECUTE p; DEALLOCATE prepare; ROLLBACK WORK TO s; ROLLBACK PREPARED 'x'; COMMIT",
	"SELECT 'n' 'ow', 'no'\n'w''s', E'to\\day tod\\141y', 'to\\morrow', $now$ no$now$, $a$ to$aday to$a$, 'tOMORROW', 'yesterdaywas'",
	"WITH RECURSIVE x (a) AS (SELECT lower(b)), y (c) AS NOT MATERIALIZED (VALUES (1)) SELECT pg_catalog . \"f\" /**/ (1), a.b\n(2), U&\"f\"(3)",
	"CREATE UNIQUE INDEX i ON s.t USING btree (lower(a), 12.34); INSERT INTO s.t (a) VALUES (12345) ON CONFLICT (a) DO NOTHING; SELECT count(*) FILTER (WHERE g(1))",
	"SELECT 'knows', 'yesterday\\'",
	"SELECT '" + strings.Repeat("x", maxLiteral/2) + "''" + strings.Repeat("x", maxLiteral/2) + "'",
}

func cut(text []byte, points ...int) Effects {
	var s Scanner
	last := 0
	for _, p := range points {
		s.Feed(text[last:p])
		last = p
	}
	s.Feed(text[last:])
	return s.Effects()
}

func byBytes(text []byte) Effects {
	var s Scanner
	for i := range text {
		piece := []byte{text[i]}
		s.Feed(piece)
		s.Effects()     // changes nothing
		piece[0] = '\'' // the caller's buffer is used again
	}
	return s.Effects()
}

func TestTextInPiecesScansAsInOneGo(t *testing.T) {
	for _, text := range tricky {
		b := []byte(text)
		want := Scan(b)
		if want&^Analyzed == 0 && text != tricky[0] {
			t.Errorf("%q has no effect to compare", text)
		}
		if got := byBytes(b); got != want {
			t.Errorf("%q byte by byte: got %v, want %v", text, got, want)
		}
		for i := range b {
			for j := i; j < len(b); j += 1 + len(b)/200 {
				if got := cut(b, i, j); got != want {
					t.Fatalf("%q cut at %d and %d: got %v, want %v", text, i, j, got, want)
				}
			}
		}
	}
}

func TestAScannerThatWasResetRemembersNothing(t *testing.T) {
	var s Scanner
	for _, text := range tricky {
		for i := range text {
			s.Feed([]byte(text[:i]))
			s.Reset()
			if s.Feed([]byte("SELECT 1, 'role', x.y")); s.Effects() != Analyzed {
				t.Fatalf("after %q: %v", text[:i], s.Effects())
			}
			s.Reset()
		}
	}
}

func TestScanningAllocatesNothing(t *testing.T) {
	for _, text := range append(tricky, strings.Repeat("SELECT '"+strings.Repeat("x", 1000)+"';", 50)) {
		b := []byte(text)
		if n := testing.AllocsPerRun(10, func() { Scan(b); cut(b, len(b)/3, len(b)/2) }); n != 0 {
			t.Errorf("%.40q: %v allocations", text, n)
		}
	}
}

func FuzzScan(f *testing.F) {
	for i, text := range tricky {
		f.Add([]byte(text), uint16(i*7), uint16(i*13))
	}
	f.Fuzz(func(t *testing.T, text []byte, i, j uint16) {
		want := Scan(text)
		a, b := min(int(i), len(text)), min(int(j), len(text))
		if got := cut(text, min(a, b), max(a, b)); got != want {
			t.Errorf("cut at %d and %d: got %v, want %v", a, b, got, want)
		}
		if got := byBytes(text); got != want {
			t.Errorf("byte by byte: got %v, want %v", got, want)
		}
		checkRefs(t, text)
	})
}

func BenchmarkScan(b *testing.B) {
	for name, text := range map[string]string{
		"pgbench select": tricky[0],
		"pgbench update": "UPDATE pgbench_accounts SET abalance = abalance + 123 WHERE aid = 123456;",
		"begin":          "BEGIN;",
		"long string":    "INSERT INTO t VALUES ('" + strings.Repeat("x", 10_000) + "')",
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(text)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				Scan(data)
			}
		})
	}
}
