package integration

// attackScenarios were thought of by somebody who looked, with the source at
// hand, for ways from one client to another; docs/attacks.md tells of all that
// was tried.
var attackScenarios = []scenario{
	{name: "attack, custom: half a name as parameter", pools: []int{1}, text: `
		a  parse s: select set_config('app.' || $1, $2, false) ;; sync
		b  query select 1
		a  bind =s (tenant, secret) ;; execute ;; sync
		b  query select coalesce(current_setting('app.tenant', true), '')
	`},
	{name: "attack, custom: blanks about the dot", pools: []int{1, 2}, text: `
		a  query set app . tenant = 'secret'
		b  query begin; select coalesce(current_setting('app.tenant', true), '')
		b  query commit
		a  query select current_setting('app.tenant', true)
	`},
	{name: "attack, custom: a name beyond ASCII", pools: []int{1, 2}, text: `
		a  query set app.größe = 'secret'
		b  query begin; select coalesce(current_setting('app.größe', true), '')
		b  query commit
		a  query select current_setting('app.größe', true)
	`},
	{name: "attack, custom: a name beyond ASCII in a statement", pools: []int{1}, text: `
		a  parse s: set app.größe = 'secret' ;; sync
		b  query select 1
		a  bind =s ;; execute ;; sync
		b  query select coalesce(current_setting('app.größe', true), '')
	`},
	{name: "attack, custom: a name in a binary-looking cast", pools: []int{1}, text: `
		a  query select set_config(convert_from('\x6170702e74656e616e74', 'utf8'), 'secret', false)
		b  query select coalesce(current_setting('app.tenant', true), '')
	`},
	{name: "attack, plan: bytea_output", pools: []int{1}, text: `
		b  query set bytea_output = escape
		b  parse s: select '\xdeadbe'::bytea::text ;; bind =s ;; execute ;; sync
		a  parse s: select '\xdeadbe'::bytea::text ;; sync
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		a  bind =s ;; execute ;; sync
	`},
	{name: "attack, plan: extra_float_digits", pools: []int{1}, text: `
		a  parse s: select (1::float8/3)::text ;; bind =s ;; execute ;; sync
		b  query set extra_float_digits = 0
		b  parse s: select (1::float8/3)::text ;; sync
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
	`},
	{name: "attack, plan: extra_float_digits by DateStyle's way", pools: []int{1}, text: `
		a  query set extra_float_digits = 0
		b  parse s: select 0.1::float8::text, 0.3::float4::float8::text ;; bind =s ;; execute ;; sync
		a  parse s: select 0.1::float8::text, 0.3::float4::float8::text ;; sync
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
	`},
	{name: "attack, plan: quote_all_identifiers", pools: []int{1}, text: `
		a  query set quote_all_identifiers = on
		a  parse s: select quote_ident('abc') ;; sync
		b  parse s: select quote_ident('abc') ;; sync
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
	`},
	{name: "attack, raw: standard_conforming_strings and SET", pools: []int{1}, text: `
		a  query set standard_conforming_strings = off; set escape_string_warning = off
		a  parse s: set application_name = 'x\\y' ;; sync
		b  parse s: set application_name = 'x\\y' ;; sync
		a  bind =s ;; execute ;; sync
		a  query show application_name
		b  bind =s ;; execute ;; sync
		b  query show application_name
	`},
	{name: "attack, raw: standard_conforming_strings and COMMENT", pools: []int{1}, text: `
		a  query create table t (n int)
		a  query set standard_conforming_strings = off; set escape_string_warning = off
		a  parse s: comment on table t is 'x\\y' ;; sync
		b  parse s: comment on table t is 'x\\y' ;; sync
		a  bind =s ;; execute ;; sync
		b  query select obj_description('t'::regclass)
	`},
	{name: "attack, raw: client_encoding and COMMENT", pools: []int{1}, text: `
		a  query create table t (n int)
		a  query set client_encoding = latin1
		a  parse s: comment on table t is 'é' ;; sync
		b  parse s: comment on table t is 'é' ;; sync
		a  bind =s ;; execute ;; sync
		b  query select obj_description('t'::regclass)
	`},
	{name: "attack, old copy: a better function", pools: []int{2}, text: `
		a  query create function f(bigint) returns text language sql as $$ select 'bigint'::text $$
		a  parse s: select f(1) ;; bind =s ;; execute ;; sync
		b  query begin
		a  bind =s ;; execute ;; sync
		b  query commit
		d  query create function f(int) returns text language sql as $$ select 'int'::text $$
		b  query begin
		c  parse s: select f(1) ;; bind =s ;; execute ;; sync
		   => int
		b  query commit
		d  query begin
		b  query begin
		d  query commit
		c  bind =s ;; execute ;; sync
		b  query commit
		d  query begin
		c  bind =s ;; execute ;; sync
		d  query commit
		c  bind =s ;; execute ;; sync
		   => int
	`},
	{name: "attack, old copy: a table in an earlier schema", pools: []int{2}, text: `
		super create schema s1; grant all on schema s1 to app; create table public.t as select 'public'::text as x; grant all on t to app
		a  query set search_path = s1, public
		c  query set search_path = s1, public
		a  parse s: select x from t ;; bind =s ;; execute ;; sync
		b  query begin
		a  bind =s ;; execute ;; sync
		b  query commit
		super create table s1.t as select 's1'::text as x; grant all on s1.t to app
		b  query begin
		c  parse s: select x from t ;; bind =s ;; execute ;; sync
		   => s1
		b  query commit
		d  query begin
		c  bind =s ;; execute ;; sync
		d  query commit
		b  query begin
		c  bind =s ;; execute ;; sync
		b  query commit
		d  query begin
		b  query begin
		d  query commit
		c  bind =s ;; execute ;; sync
	`},
	{name: "attack, old copy: an enum's value renamed", pools: []int{2}, text: `
		a  query create type mood as enum ('a', 'z'); create table t (m mood, x text)
		a  parse s: insert into t values ('a', 'row') ;; bind =s ;; execute ;; sync
		b  query begin
		a  bind =s ;; execute ;; sync
		b  query commit
		d  query alter type mood rename value 'a' to 'b'
		d  query alter type mood add value 'a'
		b  query begin
		c  parse s: insert into t values ('a', 'new') ;; bind =s ;; execute ;; sync
		c  query select * from t
		b  query commit
		c  parse s2: insert into t values ('a', 'row') ;; bind =s2 ;; execute ;; sync
		b  query begin
		c  bind =s2 ;; execute ;; sync
		b  query commit
		d  query begin
		c  bind =s2 ;; execute ;; sync
		d  query commit
		b  query begin
		d  query begin
		b  query commit
		c  bind =s2 ;; execute ;; sync
		d  query commit
		c  query select m, x, count(*) from t group by 1, 2 order by 1, 2
	`},
	{name: "attack, temp: a collation", pools: []int{2}, text: `
		a  query create collation pg_temp.c (locale = 'C')
		b  query create collation pg_temp.c (locale = 'C')
	`},
	{name: "attack, temp: a conversion", pools: []int{2}, text: `
		a  query create conversion pg_temp.c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8
		b  query create conversion pg_temp.c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8
	`},
	{name: "attack, temp: statistics", pools: []int{2}, text: `
		a  query create table t (n int, m int); create statistics pg_temp.s on n, m from t
		b  query create statistics pg_temp.s on n, m from t
	`},
	{name: "attack, temp: a table of the name that another's statement reads", pools: []int{1}, text: `
		super create table t as select 'public'::text as x; grant all on t to app
		b  parse s: select x from t ;; bind =s ;; execute ;; sync
		a  query create temp table t as select 'temp'::text as x
		a  parse s: select x from t ;; bind =s ;; execute ;; sync
		a  query drop table pg_temp.t
		b  bind =s ;; execute ;; sync
		a  bind =s ;; execute ;; sync
	`},
	{name: "attack, sequence: lastval by EXECUTE and CALL", pools: []int{1}, text: `
		a  query create sequence q; select nextval('q')
		b  query prepare p as select lastval(); execute p
		b  leave
	`},
	{name: "attack, role: SET LOCAL ROLE and a shared statement", pools: []int{1}, text: `
		super create table t as select 1 as n; grant all on t to app
		b  parse s: select current_user::text, n from t ;; bind =s ;; execute ;; sync
		a  parse s: select current_user::text, n from t ;; sync
		a  query begin; set local role scenario_role
		a  bind =s ;; execute ;; sync
		a  query rollback
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
	`},
	{name: "attack, force_parallel_mode", pools: []int{1, 2}, text: `
		a  query do $$ begin perform set_config(case when current_setting('server_version_num')::int < 160000 then 'force_parallel_mode' else 'debug_parallel_query' end, 'on', false); end $$
		a  query set work_mem = '1234kB'; set app.tenant = 'secret'
		b  query show work_mem
		a  query show work_mem; select current_setting('app.tenant', true)
		a  query select 1 as n into temp x
		a  query listen ch
		a  query begin; declare c cursor with hold for select 1; commit
		a  leave
		b  query select to_regclass('x'), (select count(*) from pg_cursors), (select count(*) from pg_listening_channels())
	`},
	{name: "attack, encoding: a schema beyond ASCII in latin1", pools: []int{1, 2}, text: `
		super create schema "é"; grant all on schema "é" to app; create table "é".t as select 1 as n; grant all on "é".t to app
		a  query set search_path = "é"
		a  query set client_encoding = latin1
		a  parse s: select n from t ;; bind =s ;; execute ;; sync
		a  query set search_path = public, "é"
		b  query show search_path
		a  bind =s ;; execute ;; sync
		a  query show search_path
		b  query show search_path
	`},
	{name: "attack, hold cursor in a text with odd quoting", pools: []int{1}, text: `
		a  query begin; declare "with" /* /* */ hold */ scroll cursor with -- x
		a  query rollback
		a  query begin; declare c insensitive no scroll cursor /* a /* b */ c */ with /**/ hold for select 1; commit
		a  query fetch c
		a  leave
		b  query fetch c
	`},
	{name: "attack, reset_val: SET TO DEFAULT of a custom parameter of the startup packet", pools: []int{1, 2}, text: `
		a  join options='-c app.tenant=mine -c search_path=x'
		b  join options='-c app.tenant=other'
		a  query select current_setting('app.tenant')
		b  query select current_setting('app.tenant')
		a  query set app.tenant = 'changed'
		b  query reset app.tenant
		b  query select current_setting('app.tenant')
		a  query select current_setting('app.tenant')
		a  query reset all
		b  query select current_setting('app.tenant')
		a  query select current_setting('app.tenant'); show search_path
	`},
	{name: "attack, prepare transaction, chain, and settings", pools: []int{1, 2}, text: `
		a  query begin; set work_mem = '1111kB'; commit and chain
		a  query set local work_mem = '2222kB'; rollback and chain
		a  query show work_mem; commit
		b  query begin; set work_mem = '3333kB'; rollback and chain; show work_mem
		b  query commit
		a  query show work_mem
		b  query show work_mem
	`},
	{name: "attack, custom: a prepared SET with blanks about the dot", pools: []int{1}, text: `
		a  parse s: set app . tenant = 'secret' ;; sync
		b  query select 1
		a  bind =s ;; execute ;; sync
		b  query select coalesce(current_setting('app.tenant', true), '')
	`},
	{name: "attack, custom: a prepared set_config of a name beyond ASCII", pools: []int{1, 2}, text: `
		a  parse s: select set_config('app.größe', $1, false) ;; sync
		b  query select 1
		a  bind =s (secret) ;; execute ;; sync
		b  query select coalesce(current_setting('app.größe', true), '')
	`},
	{name: "attack, defaults: a view that sets TimeZone", pools: []int{1, 2}, text: `
		super create function tz() returns text language sql as $$ select set_config('timezone', 'Asia/Tokyo', false) $$; create view v as select tz() as tz; grant all on v to app
		a  query select * from v
		b  join
		b  query show timezone
		a  query show timezone
		a  leave
		c  join
		c  query show timezone
	`},
	{name: "attack, copies: DO that makes another statement of another's", pools: []int{1}, text: `
		b  parse s: select 'good' ;; bind =s ;; execute ;; sync
		c  query do $$ declare r record; begin for r in select name from pg_prepared_statements where not from_sql loop execute 'deallocate ' || r.name; execute 'prepare ' || r.name || ' as select $q$evil$q$'; end loop; end $$
		c  terminate
		b  bind =s ;; execute ;; sync
	`},
	{name: "attack, portals: rows left open in a transaction", pools: []int{1, 2}, text: `
		a  parse s: select generate_series(1, 10) ;; sync
		a  query begin
		a  bind p=s ;; execute p/3 ;; sync
		a  query savepoint x
		a  bind q=s ;; execute q/2 ;; execute p/3 ;; sync
		a  query rollback to x
		a  execute q/1 ;; sync
		a  query rollback to x
		a  execute p/3 ;; sync
		a  query commit
		b  execute p ;; sync
		b  query select name from pg_cursors
		a  bind p=s ;; execute p/3 ;; flush
		a  execute p/3 ;; flush
		a  sync
		b  execute p ;; sync
	`},
	{name: "attack, copy: two in one Query, and errors in them", pools: []int{1, 2}, text: `
		a  query create table t (n int)
		a  query copy t from stdin; copy t from stdin; select count(*) from t
		a  data 1\n ;; done
		a  data 2\n ;; done
		b  query select count(*) from t
		a  query copy t from stdin; copy t from stdin; select count(*) from t
		a  data x\n ;; done
		b  query select count(*) from t
		a  query copy t from stdin ;; data 3\n ;; sync ;; flush ;; data x\n ;; sync ;; sync ;; done ;; query select 'a'
		b  query select 'b'
		a  query copy t from stdin ;; fail why ;; fail why ;; done ;; data 1\n ;; query select count(*) from t
		b  query select count(*) from t
	`},
	{name: "attack, copy: by EXECUTE of the protocol's statement", pools: []int{1, 2}, text: `
		a  query create table t (n int)
		a  parse c: copy t from stdin ;; parse o: copy t to stdout ;; sync
		a  query execute c
		a  data 1\n ;; done
		a  query execute o ;; query select 'a'
		b  query select count(*) from t
		a  bind =c ;; execute ;; data 2\n ;; done ;; sync
		a  bind =o ;; execute ;; bind =c ;; execute ;; data x\n ;; done ;; sync ;; query select 'a'
		b  query select count(*) from t
	`},
	{name: "attack, copy: data out of place, and the next one's answers", pools: []int{1}, text: `
		a  query create table t (n int)
		a  query copy t from stdin ;; query select 'in it'
		b  query select 'b'
		c  run copy t from stdin ;; parse s: select 1 ;; sync
		b  query select 'b'
		d  query copy t from stdin ;; terminate
		b  query select count(*) from t
	`},
	{name: "attack, function calls beside others", pools: []int{1}, text: `
		a  call 2880 (7)
		a  call 2891
		a  call 2077 (work_mem)
		a  call 2078 (work_mem, 1111kB, f) ;; query show work_mem
		a  query select pg_advisory_unlock_all()
		b  query show work_mem
		a  query begin ;; call 1574 (12345) ;; query rollback
		a  leave
		b  query select pg_try_advisory_lock(7)
	`},
	{name: "attack, discard and reset in all forms beside others", pools: []int{1}, text: `
		a  join options='-c work_mem=1111kB' timezone=Asia/Tokyo
		b  parse s: select 'b', current_setting('work_mem'), current_setting('timezone') ;; sync
		a  parse s: select 'a', current_setting('work_mem'), current_setting('timezone') ;; sync
		a  query discard plans; discard sequences; discard temp
		b  bind =s ;; execute ;; sync
		a  bind =s ;; execute ;; sync
		a  query begin; set local timezone = 'UTC'; reset timezone; commit; set work_mem to default; set time zone local
		b  bind =s ;; execute ;; sync
		a  bind =s ;; execute ;; sync
		a  run deallocate all ;; parse s: select 'anew' ;; bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		a  run discard all ;; sync
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		a  query select current_setting('work_mem'), current_setting('timezone')
		a  query set session authorization default; reset role; set role none; reset session authorization
		b  bind =s ;; execute ;; sync
	`},
	{name: "attack, pipelines: Query, Sync, Terminate and errors about a large text", pools: []int{1}, text: `
		a  query create table t (n int)
		a  run insert into t values (1) ;; parse s: select length('{x*300000}') ;; bind =s ;; execute ;; run select 1/0 ;; parse s2: select length('{x*300000}') ;; query select 'x' ;; sync ;; bind =s2 ;; execute ;; sync ;; query select 'y'
		a  run select 1/0 ;; query select length('{x*300000}') ;; sync ;; query select 'z'
		a  leave
		b  run insert into t values (2) ;; parse s: select length('{x*300000}') ;; terminate
		c  run insert into t values (3) ;; query select length('{x*300000}') ;; terminate
		d  query select count(*) from t
	`},
	{name: "attack, rules, notices and empty statements about names", pools: []int{1, 2}, text: `
		a  query create table t (n int); create rule r as on insert to t do instead nothing; create rule r2 as on update to t do also select 'also'
		a  query ;;; insert into t values (1);; prepare p as select 'p';;; update t set n = 1; execute p; deallocate p; prepare p as select 'p2'; execute p
		a  query execute p
		a  query deallocate p; select 1/0; prepare p as select 'p3'
		a  query execute p
		b  query execute p
	`},
	{name: "attack, encoding: latin1, a statement and another value of search_path", pools: []int{1, 2}, text: `
		super create schema "é"; grant all on schema "é" to app; create table "é".t as select 1 as n; create table t as select 2 as n; grant all on t, "é".t to app
		a  query set client_encoding = latin1
		a  query set search_path = "Ã©", public
		a  query select set_config('search_path', chr(233) || ', public', false)
		a  parse s: select n from t ;; bind =s ;; execute ;; sync
		a  query set search_path = public
		b  query select 1
		a  bind =s ;; execute ;; sync
		a  query show search_path
		b  query show search_path
	`},
}
