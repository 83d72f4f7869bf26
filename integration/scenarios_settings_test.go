package integration

import "strings"

// reading is a text that is read by the value of a parameter when it is
// prepared, and that value.
type reading struct{ name, value, text string }

var readings = []reading{
	{"timezone", "'Asia/Tokyo'", "select extract(epoch from timestamptz '2021-01-01 00:00')::int"},
	{"datestyle", "'SQL, DMY'", "select extract(month from date '01/02/2020')::int"},
	{"intervalstyle", "sql_standard", "select extract(epoch from interval '-1 2:03')::int"},
	{"timezone_abbreviations", "'Australia'", "select extract(epoch from timestamptz '2021-01-01 00:00 EST')::int"},
	{"array_nulls", "off", "select ('{NULL}'::text[])[1] is null"},
	{"transform_null_equals", "on", "select (1 = null) is null"},
	{"xmloption", "document", "select 'a<b/>'::xml::text"},
	{"standard_conforming_strings", "off", `select length('a\nb')`},
	{"backslash_quote", "on", `select length(E'a\'b')`},
	{"search_path", "other", "select n from t"},
	{"role", "scenario_role", "select n from t"},
	{"client_encoding", "latin1", "select length('é')"},
}

// changes are ways to have a parameter changed while a text is prepared; what
// the client itself reads of it after that is not the same in all of them.
var changes = []struct{ name, steps string }{
	{"SET LOCAL in a pipeline", "a  query begin ;; query set local NAME = VALUE ;; parse s: TEXT ;; bind =s ;; execute ;; sync ;; query commit"},
	{"SET LOCAL", "a  query begin\na  query set local NAME = VALUE\na  parse s: TEXT ;; sync\na  query commit"},
	{"SET LOCAL in a batch", "a  run begin ;; run set local NAME = VALUE ;; parse s: TEXT ;; bind =s ;; execute ;; run commit ;; sync\na  query rollback"},
	{"SET LOCAL with COMMIT ahead of the Parse", "a  query begin ;; query set local NAME = VALUE ;; query commit ;; parse s: TEXT ;; sync"},
	{"SET that is rolled back ahead of the Parse", "a  query begin ;; query set NAME = VALUE ;; query rollback ;; parse s: TEXT ;; sync"},
	{"SET that is rolled back to a savepoint", "a  query begin ;; query savepoint p; set NAME = VALUE ;; parse s: TEXT ;; sync ;; query rollback to p; commit"},
	{"SET in the query ahead of the Parse", "a  query set NAME = VALUE ;; parse s: TEXT ;; sync\na  query reset NAME"},
	{"SET with COMMIT ahead of the Parse", "a  query begin\na  query set NAME = VALUE\na  query commit ;; parse s: TEXT ;; sync"},
	{"RESET ahead of the Parse", "a  query set NAME = VALUE\na  query reset NAME ;; parse s: TEXT ;; sync"},
	{"ROLLBACK ahead of the Parse", "a  query begin\na  query set NAME = VALUE\na  query rollback ;; parse s: TEXT ;; sync"},
	{"SET by a function's own clause", "a  query create function f() returns text language sql set NAME = VALUE as $$ select 'f'::text $$; select f() ;; parse s: TEXT ;; sync"},
	{"SET by DO", "a  query do $$ begin execute 'set NAME = ' || $v$VALUE$v$; end $$ ;; parse s: TEXT ;; sync"},
	{"SET in a batch that fails behind the Parse", "a  run set NAME = VALUE ;; parse s: TEXT ;; run select 1/0 ;; sync ;; bind =s ;; execute ;; sync"},
	{"SET behind an error", "a  run select 1/0 ;; run set NAME = VALUE ;; sync ;; parse s: TEXT ;; sync"},
	{"a query that sets and fails", "a  query set NAME = VALUE; select 1/0 ;; parse s: TEXT ;; sync"},
	{"set_config by a statement", "a  query begin ;; parse set: select set_config($1, $2, true) is null ;; bind =set (NAME, BARE) ;; execute ;; parse s: TEXT ;; sync ;; query commit"},
}

// readingScenarios are row 7 with each parameter and each way to change it,
// and row 30.
func readingScenarios() (list []scenario) {
	const before = `
		super create schema other; grant all on schema other to app; grant usage on schema other to scenario_role; create schema scenario_role; grant all on schema scenario_role to scenario_role
		super create table t (n int); insert into t values (1); grant all on t to app, scenario_role
		super create table other.t (n int); insert into other.t values (2); grant all on other.t to app
		super create table scenario_role.t (n int); insert into scenario_role.t values (3); grant all on scenario_role.t to public; grant usage on schema scenario_role to public
	`
	const after = `
		b  bind =s ;; execute ;; sync
		a  bind =s ;; execute ;; sync
		c  parse s: TEXT ;; bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		b  parse again: TEXT ;; bind =again ;; execute ;; sync
	`
	for _, r := range readings {
		bare := r.value
		if bare[0] == '\'' {
			bare = bare[1 : len(bare)-1]
		}
		if r.name == "datestyle" {
			bare = "German" // no comma
		}
		fill := strings.NewReplacer("NAME", r.name, "VALUE", r.value, "TEXT", r.text, "BARE", bare)
		for _, c := range changes {
			list = append(list, scenario{
				name: "row 7: " + c.name + " of " + r.name, pools: []int{1},
				text: before + fill.Replace("b  parse s: TEXT ;; sync\n"+c.steps+"\n"+after),
			})
		}
		list = append(list, scenario{
			name: "row 30: the first use on another server behind SET LOCAL of " + r.name, pools: []int{2},
			text: before + fill.Replace(`
				a  parse s: TEXT ;; sync
				b  query begin
				a  query begin
				a  query set local NAME = VALUE
				a  bind =s ;; execute ;; sync
				b  query commit
				a  query commit
				a  bind =s ;; execute ;; sync
			`),
		}, scenario{
			name: "row 30: the first use on another server behind SET of " + r.name, pools: []int{2},
			text: before + fill.Replace(`
				a  parse s: TEXT ;; bind =s ;; execute ;; sync
				a  query set NAME = VALUE
				b  query begin
				a  bind =s ;; execute ;; sync
				a  query reset NAME ;; bind =s ;; execute ;; sync
				b  query commit
				a  bind =s ;; execute ;; sync
			`),
		})
	}
	return list
}

// momentScenarios are row 29: texts that hold the moment of their Parse.
func momentScenarios() (list []scenario) {
	for _, moment := range []string{"'now'", "' NOW '", "$$now$$", `E'n\x6fw'`, `U&'n\006fw'`, "'now'::text", "timestamptz 'now'", "'today now'"} {
		text := "insert into t values (cast(" + moment + " as timestamptz))"
		list = append(list, scenario{name: "row 29: a statement keeps the moment of its Parse, " + moment, text: `
			a  query create table t (n timestamptz)
			a  parse s: ` + text + ` ;; bind =s ;; execute ;; sync
			a  pause 10
			b  parse s: ` + text + ` ;; sync
			a  bind =s ;; execute ;; sync
			a  query select count(distinct n) from t
			b  pause 10
			b  bind =s ;; execute ;; sync
			c  parse s: ` + text + ` ;; bind =s ;; execute ;; sync
			b  query select count(distinct n) from t
		`})
	}
	return list
}

// startupScenarios are about what a client asked for when it came, and what is
// the server's own.
var startupScenarios = []scenario{
	{name: "row 19: no application_name is an empty one", modes: allModes, text: `
		a  join
		   => application_name=,
		a  query show application_name
		   => row ""
		b  join application_name=b
		   => application_name=b,
		b  query show application_name
		a  query show application_name
		a  query select application_name from pg_stat_activity where pid = pg_backend_pid()
		b  query set application_name = 'c'
		   => report application_name=c
		b  query reset application_name
		   => report application_name=b
		a  query reset application_name
		a  run show application_name ;; sync
	`},
	{name: "row 13: what a database's defaults differ in from a driver's is not told again and again", modes: allModes, text: `
		super alter database {db} set datestyle = 'SQL, MDY'; alter database {db} set client_encoding = 'latin1'; alter database {db} set timezone = 'Asia/Tokyo'
		a  join client_encoding=UTF8 datestyle=ISO timezone=UTC extra_float_digits=2
		b  join client_encoding=UTF8 datestyle=ISO timezone=Europe/Berlin extra_float_digits=2
		c  join
		   => DateStyle=SQL, MDY
		a  query set work_mem = '1111kB'
		   => SET; ready I
		b  query set work_mem = '2222kB'
		c  query set work_mem = '3333kB'
		a  query set work_mem = '1111kB'
		b  query set work_mem = '2222kB'
		c  run show work_mem ;; sync ;; run show datestyle ;; sync
		a  run show work_mem ;; sync ;; run show datestyle ;; sync ;; run show client_encoding ;; sync
		b  query begin; set local timezone = 'UTC'; commit
		a  query set datestyle = 'SQL'
		b  query show datestyle; show timezone
		a  query reset all
		c  query show datestyle; show timezone
	`},
	{name: "row 13: reports come once, with the change, and before the client is ready", modes: allModes, text: `
		a  query set datestyle = 'German'; set datestyle = 'ISO'
		a  query begin; set datestyle = 'German'; rollback
		a  query begin
		a  query set datestyle = 'German'
		   => report
		b  join
		b  terminate
		a  query rollback
		   => report
		a  run set timezone = 'Asia/Tokyo' ;; run set intervalstyle = 'iso_8601' ;; sync
		a  query set timezone = 'Asia/Tokyo'
		a  query discard all
		a  query select set_config('timezone', 'Europe/Paris', true)
		a  query begin; select set_config('timezone', 'Europe/Paris', true)
		a  query commit
		a  query create function paris() returns text language sql set timezone = 'Europe/Paris' as 'select current_setting(''timezone'')'
		a  query select paris()
		a  query set default_transaction_read_only = on
		a  query show default_transaction_read_only
		a  query set session characteristics as transaction read write
	`, pools: []int{2}},
	{name: "row 12: a client that comes after defaults have changed gets the new ones", pools: []int{1}, modes: allModes, text: `
		a  join
		a  query create table t (n int)
		a  terminate
		super alter database {db} set default_transaction_read_only = on; alter database {db} set timezone = 'Asia/Tokyo'; alter role app in database {db} set work_mem = '3333kB'; alter database {db} set array_nulls = off
		super select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and usename = 'app'
		c  pause 200
		b  join
		   => TimeZone=Asia/Tokyo
		b  query insert into t values (1)
		   => 25006
		b  query show work_mem; show array_nulls; show timezone; show default_transaction_read_only
		b  query set timezone = 'UTC'
		b  query reset timezone
		b  query show timezone
		c  join timezone=UTC
		c  query insert into t values (1)
		   => 25006
		c  query show timezone
	`},
}

// resetForms are row 15: ways to go back to the startup packet's values, the
// parameters being search_path=t1 and work_mem=1111kB.
var resetForms = []string{
	"query reset search_path; select n from t",
	"query reset all; select n from t",
	"query set search_path to default; select n from t",
	"query set search_path = t2 ;; query select n from t ;; query reset search_path ;; query select n from t",
	"run reset search_path ;; run select n from t ;; sync",
	"run set search_path = t2 ;; run reset all ;; run select n from t ;; run show work_mem ;; sync",
	"query begin; set search_path = t2; reset all; select n from t; commit ;; query select n from t; show work_mem",
	"query begin ;; query reset all ;; query select n from t ;; query rollback ;; query select n from t",
	"query begin; set search_path = t2; set local search_path to default; select n from t; commit; select n from t",
	"query begin ;; query set local search_path to default ;; query select n from t ;; query commit ;; query select n from t",
	"query select set_config('search_path', null, false); select n from t",
	"query select set_config('search_path', 't2', false); select set_config('search_path', null, true); select n from t",
	"parse s: select set_config($1, $2, false) ;; bind =s (search_path, null) ;; execute ;; run select n from t ;; sync",
	"query discard all ;; query select n from t; show work_mem; show application_name",
	"run discard all ;; sync ;; run select n from t ;; sync",
	"query set search_path = t2 ;; query discard all ;; parse s: select n from t ;; bind =s ;; execute ;; sync",
	"query set session authorization default; reset search_path; select n from t",
	"query do $$ begin execute 'reset all'; perform n from t; end $$ ;; query select n from t; show work_mem",
	"query create function f() returns int language sql set search_path from current as 'select n from t'; set search_path = t2; select f(); reset search_path; select n from t",
	"parse r: reset all ;; sync ;; query execute r ;; query select n from t; show work_mem; show application_name",
	"query prepare r as select 1 ;; query deallocate r ;; parse r: reset all ;; parse e: execute r ;; sync ;; bind =e () ;; execute ;; sync ;; run show application_name ;; sync",
	"query begin; savepoint p; set search_path = t2; rollback to p; select n from t; reset search_path; select n from t; rollback ;; query select n from t",
	"query reset search_path; reset work_mem; show search_path; show work_mem ;; query select setting, reset_val from pg_settings where name in ('search_path', 'work_mem') order by name",
}

func resetScenarios() (list []scenario) {
	for _, form := range resetForms {
		list = append(list, scenario{name: "row 15: " + form, modes: allModes, text: `
			super create schema t1; create schema t2; grant all on schema t1, t2 to app; create table t1.t as select 1 as n; create table t2.t as select 2 as n; create table t as select 0 as n; grant all on t, t1.t, t2.t to app
			a  join options='-c search_path=t1 -c work_mem=1111kB' application_name=mine
			b  join application_name=mine
			b  query select n from t; show work_mem
			a  query select n from t
			a  ` + form + `
			b  query select n from t; show work_mem
			a  query select n from t; show work_mem; show application_name
			b  ` + form + `
			a  query select n from t; show work_mem
			b  query select n from t; show work_mem
		`})
	}
	return list
}

// unseenScenarios are row 23: what is set in a way that a text does not show.
var unseenScenarios = []scenario{
	{name: "row 23: a computed set_config of search_path, and a table, of a client that has left", text: `
		a  query begin; select set_config('search_path', 'pg_' || 'temp', true); create table x (n int); commit
		a  terminate
		b  query select to_regclass('x')
		   => row null
		c  query begin; select set_config('search_path', 'pg_' || 'temp', true); create table y (n int); commit
		c  leave
		b  query create table y (n int); insert into y values (1)
		d  query select count(*) from public.y
	`},
	{name: "row 23: a computed set_config of search_path, and a table", pools: []int{2}, text: `
		a  query begin; select set_config('search_path', 'pg_' || 'temp', true); create table x (n int); commit
		b  query select to_regclass('x')
		   => row null
		b  query create table x (n int); insert into x values (1)
		a  query select count(*) from x
		b  query select count(*) from public.x
		a  query select count(*) from public.x
	`},
	{name: "row 23: a computed set_config in a batch and in a statement", pools: []int{2}, text: `
		a  query begin ;; parse s: select set_config($1, $2, true) ;; bind =s (search_path, pg_temp) ;; execute ;; run create table x (n int) ;; sync ;; query commit
		b  query select to_regclass('x')
		   => row null
		a  query select set_config('search_' || 'path', 'pg_temp', false); create table y (n int)
		b  query select to_regclass('y'), current_setting('search_path')
		a  query select to_regclass('y'), current_setting('search_path')
	`},
	{name: "row 23: a computed set_config of other parameters", pools: []int{2}, text: `
		a  query select set_config('work' || '_mem', '1111kB', false)
		b  query show work_mem
		a  query show work_mem
		   => 1111kB
		a  parse s: select set_config($1, $2, false) ;; bind =s (app.tenant, a) ;; execute ;; sync
		b  query select coalesce(current_setting('app.tenant', true), '')
		   => row ""
		a  query select current_setting('app.tenant', true)
		a  call 2078 (work_mem, 2222kB, f)
		b  query show work_mem
		a  query show work_mem
	`},
	{name: "row 23: temporary tables by SELECT INTO, by search_path and in a schema of that name", text: `
		a  query select 1 as n into temp x
		a  query set search_path = pg_temp, public
		a  query create table y (n int)
		b  query select to_regclass('x'), to_regclass('y')
		   => row null null
		a  query select to_regclass('x') is null, to_regclass('y') is null
		a  query discard temp; reset search_path
		b  query create table x as select 'b' as n
		a  query select n from x
		   => row "b"
	`, pools: []int{2}},
}
