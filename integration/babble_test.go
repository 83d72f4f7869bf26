package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// babbler makes up what one client does. What it names belongs to it alone:
// its schema has its name. So what it reads depends on nobody else, unless
// somebody mixes them up.
type babbler struct {
	*rand.Rand
	name   string
	blocks bool // transactions of more than one query are allowed
	pins   bool // it does what keeps it on its server
	out    []turn
	known  map[string]string // statements that may be there, and their texts
	open   bool              // a batch has no Sync yet
	within bool              // a transaction may be open
}

// babble makes up a dialogue of several clients. The order of their steps is
// part of it.
func babble(seed uint64, clients, steps int, mode string) dialogue {
	r := rand.New(rand.NewPCG(seed, 0))
	s := dialogue{
		newTurn("super", "create table shared as select n, 's' || n as s from generate_series(1, 20) n; grant select on shared to app; create schema other; create table other.shared as select -1 as n, 'other' as s; grant usage on schema other to app; grant select on other.shared to app, scenario_role; grant select on shared to scenario_role"),
	}
	parts := make([][]turn, clients)
	left := 0
	for i := range parts {
		name := string(rune('a' + i))
		s = append(s, newTurn("super", fmt.Sprintf("create schema %[1]s authorization app; create table %[1]s.t0 (a int, b text); alter table %[1]s.t0 owner to app; insert into %[1]s.t0 values (1, 'one'), (2, 'two')", name)))
		b := &babbler{Rand: rand.New(rand.NewPCG(seed, uint64(i+1))), name: name, blocks: mode != "statement", pins: r.IntN(2) == 0, known: map[string]string{}}
		for len(b.out) < steps {
			b.step()
		}
		parts[i] = b.out
		left += len(b.out)
	}
	for left > 0 {
		i := r.IntN(clients)
		for n := 1 + r.IntN(3); n > 0 && len(parts[i]) > 0; n-- {
			s = append(s, parts[i][0])
			parts[i] = parts[i][1:]
			left--
		}
	}
	return s
}

func (b *babbler) says(messages ...string) {
	b.out = append(b.out, newTurn(b.name, strings.Join(messages, " ;; ")))
}

func (b *babbler) step() {
	switch n := b.IntN(100); {
	case n < 3:
		if b.open { // whether it runs yet when its client is gone, nobody can tell
			b.says("sync")
		}
		b.says(pick(b.Rand, "leave", "rst", "terminate", "query select 'last' ;; terminate", "run insert into "+b.table()+" values (99) ;; flush"))
		if last := b.out[len(b.out)-1]; last.asks && !last.ends {
			b.says("leave")
		}
		b.join()
	case n < 4:
		sleep := fmt.Sprintf("select pg_sleep(10), '%s'", b.name)
		b.out = append(b.out, newTurn(b.name+"~", pick(b.Rand, "query "+sleep, "run "+sleep+" ;; sync", "run "+sleep+" ;; run select 1 ;; sync ;; query select 2", "parse p0: select 1 ;; run "+sleep+" ;; sync ;; bind =p0 ;; execute ;; sync")))
		b.says("cancel")
		b.says("parse : select 'awake'", "sync") // nobody runs the unnamed statement again
	case len(b.out) == 0 && b.IntN(2) == 0:
		b.join()
	case b.blocks && b.within && b.IntN(4) == 0:
		b.says("query " + pick(b.Rand, "commit", "rollback"))
		b.within = false
	default:
		b.write()
	}
}

func (b *babbler) join() {
	b.says(pick(b.Rand, "join", "join options='-c work_mem=1234kB'", "join options='-c search_path="+b.name+",public' application_name="+b.name,
		"join timezone=Asia/Tokyo datestyle=German", "join options='-c statement_timeout=61s -c app.came=with' client_encoding=UTF8", "join options='-c search_path=other'"))
}

// write is what leaves at once: mostly one thing, at times a few.
func (b *babbler) write() {
	var list []string
	open := false // behind messages without a Sync
	for n := 1 + max(0, b.IntN(8)-4); n > 0; n-- {
		switch b.IntN(10) {
		case 0, 1, 2, 3:
			list = append(list, "query "+b.query())
			open = false
		case 4:
			list = append(list, b.copies()...)
			open = b.IntN(2) == 0
			if !open {
				list = append(list, "sync")
			}
		default:
			for range 1 + b.IntN(3) {
				list = append(list, b.extended()...)
			}
			if open = b.IntN(5) == 0; !open {
				list = append(list, "sync")
			}
		}
	}
	b.open = false
	if open {
		switch b.IntN(6) {
		case 0: // it comes with the next write
			b.open = true
		case 1:
			list = append(list, "flush")
			b.open = true
		case 2:
			list = append(list, "query "+b.query())
		default:
			list = append(list, "sync")
		}
	}
	b.says(list...)
}

func (b *babbler) statement() string { return pick(b.Rand, "p0", "p1", "p2", "p3", "") }

// prepared is a statement that is probably there, with as many arguments as it
// probably has.
func (b *babbler) prepared() (name, arguments string) {
	name = b.statement()
	if _, ok := b.known[name]; !ok && len(b.known) > 0 && b.IntN(6) > 0 {
		name = pick(b.Rand, slices.Sorted(maps.Keys(b.known))...)
	}
	return name, b.arguments(parameters(b.known[name]))
}

// parses is a Parse, at times with the types of parameters.
func (b *babbler) parses(name, text string) string {
	b.known[name] = text
	return "parse " + name + pick(b.Rand, "", "", "", "", "", "[23]", "[25,25]") + ": " + text
}

func (b *babbler) portal() string { return pick(b.Rand, "", "", "", "c1", "c2") }
func (b *babbler) table() string  { return b.name + pick(b.Rand, ".t0", ".t0", ".t1") }

// extended is a piece of the extended protocol.
func (b *babbler) extended() []string {
	p := b.portal()
	switch b.IntN(12) {
	case 0:
		return []string{b.parses(b.statement(), b.preparable())}
	case 1, 2:
		s := b.statement()
		return []string{"close =" + s, b.parses(s, b.preparable())}
	case 3:
		s, _ := b.prepared()
		return []string{"describe " + pick(b.Rand, "="+s, "="+s, p)}
	case 4:
		s, _ := b.prepared()
		delete(b.known, s)
		return []string{"close " + pick(b.Rand, "="+s, p)}
	case 5:
		s, arguments := b.prepared()
		return []string{"bind " + p + "=" + s + " " + arguments, fmt.Sprintf("execute %s/%d", p, 1+b.IntN(3)), "describe " + p, "execute " + p + "/2"}
	case 6:
		text := b.preparable()
		return []string{"parse : " + text, "bind " + b.arguments(parameters(text)), "describe ", "execute "}
	case 7:
		text, s := b.preparable(), b.statement()
		return []string{"close =" + s, b.parses(s, text), "describe =" + s, "bind =" + s + " " + b.arguments(parameters(text)), "execute "}
	case 8:
		return []string{pick(b.Rand, "flush", "call 1397 (-5)", "call 2078 (work_mem, 3333kB, f)", "call 2078 (timezone, Asia/Tokyo, t)", "call 1397 (x)", "call 0")}
	}
	s, arguments := b.prepared()
	return []string{"bind " + p + "=" + s + " " + arguments + pick(b.Rand, "", "", " binary"), "execute " + p}
}

// parameters counts those of a text.
func parameters(text string) int {
	n := 0
	for strings.Contains(text, "$"+strconv.Itoa(n+1)) {
		n++
	}
	return n
}

func (b *babbler) arguments(n int) string {
	if b.IntN(20) == 0 {
		n++
	}
	var list []string
	for range n {
		list = append(list, pick(b.Rand, "1", "2", "3", "0", "x", "null", "0x00000002", fmt.Sprintf("{y*%d}", 1+b.IntN(30_000))))
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// preparable is a single statement, but for DISCARD ALL: what a batch that fails
// behind it reads is in docs/pooling.md.
func (b *babbler) preparable() string {
	if b.IntN(4) == 0 {
		return strings.Replace(b.single(), "discard all", "reset all", 1)
	}
	if b.IntN(5) == 0 {
		return pick(b.Rand, readings...).text
	}
	return strings.ReplaceAll(pick(b.Rand, "select $1::text || 'x'", "select $1::int + 1", "select a, b from T where a::text >= $1::text order by 1, 2", "select * from T order by 1, 2",
		"insert into T values ($1, $2)", "insert into T (a) values ($1) returning a", "update T set b = 'u' where a::text = $1::text returning *", "delete from T where a::text = $1::text",
		"select generate_series(1, 3 + length($1::text) % 7)", "select 10 / $1::int", "select n, s from shared where n < $1 order by n", "select n, s from shared order by n limit 3",
		"select count(*) from shared a, shared b", "select $1", "select current_setting($1, true)", "select set_config('work_mem', '4444kB', false)", "values ($1, $2::int), ('x', 2)",
		"select $1::int as a, $2::text as b", "select repeat('z', "+strconv.Itoa(b.IntN(100_000))+")", "select length('{x*"+strconv.Itoa(20_000+b.IntN(100_000))+"}')"), "T", b.table())
}

// query is what the simple protocol runs: a statement or several.
func (b *babbler) query() string {
	switch b.IntN(12) {
	case 0:
		return b.single() + "; " + b.single()
	case 1:
		return b.single() + "; select 1/0; " + b.single()
	case 2:
		if !b.blocks {
			break // what fails leaves a transaction open
		}
		return "begin; " + b.single() + "; " + b.single() + pick(b.Rand, "; commit", "; rollback", "; commit; select 'behind'")
	case 3:
		if size := 20_000 + b.IntN(300_000); b.IntN(3) == 0 {
			return fmt.Sprintf("select length('{x*%d}'), repeat('y', %d)", size, b.IntN(1_000_000))
		}
	}
	return b.single()
}

// single is one statement without parameters.
func (b *babbler) single() string {
	n := strconv.Itoa(b.IntN(3))
	kinds := []func() string{
		func() string { return b.block() },
		func() string { return b.block() },
		func() string { return b.setting() },
		func() string { return b.setting() },
		func() string { return b.shown() },
		func() string { return b.defines() },
		func() string {
			return strings.ReplaceAll(pick(b.Rand, "insert into T values (3)", "select * from T order by 1, 2", "delete from T where a = a", "truncate T", "select count(*) from T"), "T", b.table())
		},
		func() string {
			return pick(b.Rand, "execute p"+n, "execute p"+n+" (1)", "deallocate p"+n, "deallocate all", "select name from pg_prepared_statements where name = 'nothing'")
		},
		func() string {
			return pick(b.Rand, "select 1/0", "selekt", "select nothing", "", "select 'fine'", "select 1 as a, 2 as b", "do $$ begin raise notice 'noted'; end $$")
		},
		func() string {
			return pick(b.Rand, "reset all", "discard all", "select 1", "explain (costs off) select 1", "notify "+b.name+", 'unheard'")
		},
	}
	if b.pins {
		kinds = append(kinds, func() string {
			return pick(b.Rand, "prepare p"+n+" as select 'sql"+n+"'", "prepare p"+n+" (int) as select $1 + 1", "create temp table x"+n+" (n int)", "insert into x"+n+" values (1)",
				"select n from x"+n, "drop table x"+n, "listen "+b.name, "unlisten *", "notify "+b.name+", 'heard'", "select count(*) from pg_listening_channels()",
				fmt.Sprintf("select pg_advisory_lock(%d)", b.name[0]), fmt.Sprintf("select pg_advisory_unlock(%d)", b.name[0]), "declare h"+n+" cursor with hold for select generate_series(1, 5)",
				"fetch 2 from h"+n, "close h"+n, "discard temp", "select to_regclass('x"+n+"') is null")
		})
	}
	if b.pins && b.IntN(3) == 0 {
		return kinds[len(kinds)-1]()
	}
	return pick(b.Rand, kinds...)()
}

func (b *babbler) block() string {
	if !b.blocks {
		return "select 'no block'"
	}
	b.within = true
	return pick(b.Rand, "begin", "begin", "commit", "commit", "rollback", "savepoint s", "rollback to s", "release s", "begin isolation level serializable", "commit and chain", "declare c cursor for select generate_series(1, 9)", "fetch 2 from c", "set transaction read only")
}

func (b *babbler) shown() string {
	return pick(b.Rand, "select current_setting('statement_timeout'), current_setting('work_mem'), current_setting('search_path'), current_setting('DateStyle'), current_setting('timezone'), coalesce(current_setting('app.tenant', true), ''), current_user",
		"show work_mem", "show search_path", "select timestamptz '2021-01-01 00:00', date '01/02/2020'", "select n from shared order by n limit 1", "show application_name", "select current_user")
}

func (b *babbler) setting() string {
	p := pick(b.Rand, [][]string{
		{"statement_timeout", "'41s'", "'42s'"}, {"work_mem", "'1111kB'", "'2222kB'"}, {"search_path", b.name + ", public", "other", "public"}, {"app.tenant", "'x'", "'y'"},
		{"application_name", "'n1'", "'n2'"}, {"extra_float_digits", "1", "0"}, {"temp_buffers", "'4MB'", "'5MB'"}, {"default_transaction_isolation", "'serializable'", "'read committed'"}, {"role", "scenario_role", "app"},
	}...)
	if b.IntN(3) == 0 {
		r := pick(b.Rand, readings...)
		if r.name == "client_encoding" {
			r = readings[0] // texts of ours are not all of ASCII
		}
		p = []string{r.name, r.value}
	}
	if p[0] == "temp_buffers" && b.pins {
		p = []string{"work_mem", "'3333kB'"} // who has used temporary tables may not set it any more
	}
	name, v := p[0], pick(b.Rand, p[1:]...)
	return pick(b.Rand, "set "+name+" = "+v, "set "+name+" = "+v, "set local "+name+" = "+v, "reset "+name, "set "+name+" to default", "set local "+name+" to default",
		"select set_config('"+name+"', '"+strings.Trim(v, "'")+"', "+pick(b.Rand, "true", "false")+")", "set session "+name+" = "+v, "set "+name+" = nonsense")
}

// defines is DDL on a table of the client's own.
func (b *babbler) defines() string {
	return strings.ReplaceAll(pick(b.Rand, "drop table if exists T", "create table if not exists T (a int, b text)", "create table T (a text, b int)", "alter table T alter a type text", "alter table T alter a type float4 using length(a::text)",
		"alter table T alter a type int using length(a::text)", "alter table T add c int default 7", "alter table T drop c", "alter table T rename b to d", "create index on T (a)"), "T", b.table())
}

// copies is a COPY, in or out, with its data.
func (b *babbler) copies() []string {
	if b.IntN(3) == 0 {
		return []string{pick(b.Rand, "run ", "query ") + strings.ReplaceAll(pick(b.Rand, "copy (select generate_series(1, 50)) to stdout", "copy (select 1/0) to stdout", "copy (select * from T order by 1, 2) to stdout"), "T", b.table())}
	}
	list := []string{pick(b.Rand, "run ", "query ") + "copy " + b.table() + " from stdin"}
	for range b.IntN(4) {
		list = append(list, "data "+pick(b.Rand, `1\tx\n`, `2\t\\N\n`, `oops\n`, `3\t{z*5000}\n`), pick(b.Rand, "flush", "flush", "sync"))
	}
	return append(list, pick(b.Rand, "done", "done", "done", "fail enough"))
}
