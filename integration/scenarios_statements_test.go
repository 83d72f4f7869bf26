package integration

// statementScenarios are about prepared statements: their names, and what
// becomes of them when what they read changes.
var statementScenarios = []scenario{
	{name: "row 6: search_path follows where another parameter can't be set", text: `
		b  query create schema a; create schema b; create table a.t (n int); create table b.t (n int)
		b  query set search_path = b
		b  query set temp_buffers = '4MB'
		a  query set search_path = a
		a  query create temp table x (n int); insert into x values (1)
		a  query drop table x
		b  query insert into t values (1)
		   => INSERT
		b  query show temp_buffers
		a  query select (select count(*) from a.t), (select count(*) from b.t)
		   => "0" "1"
	`},
	{name: "row 6: search_path follows in a batch too where another parameter can't be set", text: `
		b  query create schema a; create schema b; create table a.t (n int); create table b.t (n int)
		b  query set search_path = b; set temp_buffers = '4MB'
		b  parse s: insert into t values (1) ;; sync
		a  query set search_path = a; create temp table x (n int); insert into x values (1)
		a  query drop table x
		b  bind =s ;; execute ;; sync
		   => INSERT
		b  run insert into t values (2) ;; sync ;; query insert into t values (3) ;; query show temp_buffers
		a  query select (select count(*) from a.t), (select count(*) from b.t)
		   => "0" "3"
	`},
	{name: "row 24: an error bears the name that an executed statement names", text: `
		a  parse p2: execute p1 ;; sync ;; query execute p2
		   => p1\" does not exist
		a  parse p3: execute p2 ;; sync ;; query execute p3
		   => p1\" does not exist
		a  bind =p3 ;; execute ;; sync
	`},
	{name: "row 8: both clients are told that a result has changed", text: `
		a  query create table t (a int4); insert into t values (1)
		a  parse s: select a from t ;; sync
		b  parse s: select a from t ;; sync
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		c  query alter table t alter a type float4
		a  bind =s () binary ;; execute ;; sync
		   => 0A000
		b  bind =s () binary ;; execute ;; sync
		   => 0A000
		a  bind =s () binary ;; execute ;; sync
		   => 0A000
		b  close =s ;; parse s: select a from t ;; describe =s ;; bind =s () binary ;; execute ;; sync
		a  close =s ;; parse s: select a from t ;; describe =s ;; bind =s () binary ;; execute ;; sync
	`},
	{name: "row 8: a statement that was never run is told that its result has changed", text: `
		a  query create table t (a int4); insert into t values (1)
		a  parse s: select * from t ;; sync
		b  parse s: select * from t ;; describe =s ;; sync
		c  query alter table t add b text default 'b'
		d  parse s: select * from t ;; describe =s ;; bind =s ;; execute ;; sync
		   => "1" "b"
		a  bind =s ;; execute ;; sync
		   => 0A000
		b  bind =s ;; execute ;; sync
		   => 0A000
		c  query alter table t drop b
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		d  bind =s ;; execute ;; sync
		   => 0A000
	`},
	{name: "row 8: a name or a length of a column that changes is a change too", text: `
		a  query create table t (a varchar(3)); insert into t values ('x')
		a  parse s: select * from t ;; sync
		b  parse s: select * from t ;; sync
		a  bind =s ;; execute ;; sync
		c  query alter table t rename a to b
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		c  query alter table t rename b to a
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		c  query alter table t alter a type varchar(5)
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		c  query drop table t; create table t (a varchar(5))
		a  bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
	`},
	{name: "row 8: in a transaction the change of a result aborts it", text: `
		a  query create table t (a int4); insert into t values (1)
		a  parse s: select a from t ;; sync
		b  parse s: select a from t ;; sync
		b  bind =s ;; execute ;; sync
		c  query alter table t alter a type text
		a  query begin ;; query insert into t values ('2') ;; bind =s ;; execute ;; sync ;; query commit
		   => ROLLBACK
		b  query begin ;; query insert into t values ('2') ;; bind =s ;; execute ;; sync ;; query commit
		   => ROLLBACK
		c  query select count(*) from t
	`},
	{name: "row 9: parameters keep the types that they were described with", text: `
		a  query create table t (a int4)
		a  parse i: insert into t values ($1) ;; describe =i ;; sync
		b  parse i: insert into t values ($1) ;; describe =i ;; sync
		c  query alter table t alter a type float4
		a  bind =i (0x00000002) ;; execute ;; sync
		b  bind =i (0x00000002) ;; execute ;; sync
		c  query select a from t
		   => row "2" (2 times)
		d  parse i: insert into t values ($1) ;; describe =i ;; bind =i (0x40000000) ;; execute ;; sync
		   => parameters [700]
		a  bind =i (0x00000003) ;; execute ;; sync
		c  query select a from t
	`},
	{name: "row 9: a parameter keeps its type where the statement fails by it", text: `
		a  query create table t (a int4)
		a  parse i: insert into t values ($1) ;; describe =i ;; sync
		b  parse i: insert into t values ($1) ;; describe =i ;; sync
		a  bind =i (1) ;; execute ;; sync
		c  query truncate t; alter table t alter a type inet using null
		a  bind =i (1) ;; execute ;; sync
		   => 42804
		b  bind =i (0x00000002) ;; execute ;; sync
		   => 42804
		d  parse i: insert into t values ($1) ;; describe =i ;; bind =i (10.0.0.1) ;; execute ;; sync
		   => INSERT
		a  close =i ;; parse i: insert into t values ($1) ;; describe =i ;; bind =i (10.0.0.1) ;; execute ;; sync
		   => INSERT
	`},
	{name: "row 10: a table that comes back with other types", text: `
		a  query create table t (a int4); insert into t values (1)
		a  parse s: select a from t where a = $1 ;; describe =s ;; bind =s (1) ;; execute ;; sync
		c  query drop table t; create table t (a text); insert into t values ('x')
		b  parse s: select a from t where a = $1 ;; describe =s ;; bind =s (x) ;; execute ;; sync
		   => row "x"
		c  query drop table t; create table t (a int8[]); insert into t values ('{1}')
		d  parse s: select a from t where a = $1 ;; describe =s ;; bind =s ({1}) ;; execute ;; sync
		   => row "{1}"
		a  bind =s (1) ;; execute ;; sync
		b  bind =s (x) ;; execute ;; sync
	`},
	{name: "row 10: a table that comes back with other types within a transaction", text: `
		a  query create table t (a int4); insert into t values (1)
		a  parse s: select a from t ;; describe =s ;; bind =s ;; execute ;; sync
		a  query begin
		a  close =s ;; sync
		a  query alter table t alter a type text
		a  parse s2: select a from t ;; describe =s2 ;; bind =s2 ;; execute ;; sync
		   => a:25
		a  query commit
		b  parse s: select a from t ;; describe =s ;; bind =s ;; execute ;; sync
		   => a:25
	`},
	{name: "row 10: a change that is rolled back", text: `
		a  query create table t (a int4); insert into t values (1)
		a  parse s: select a from t ;; describe =s ;; bind =s ;; execute ;; sync
		a  query begin; alter table t alter a type text
		a  parse s2: select a from t ;; describe =s2 ;; bind =s2 ;; execute ;; sync
		a  query rollback
		a  bind =s ;; execute ;; sync
		a  bind =s2 ;; execute ;; sync
		   => 0A000
		b  parse s: select a from t ;; describe =s ;; bind =s ;; execute ;; sync
		b  parse s2: select a from t ;; bind =s2 ;; execute ;; sync
	`},
	{name: "row 10: a function that comes back with another result, and a view that changes", text: `
		a  query create function f() returns int language sql as 'select 1'; create view v as select 1 as n
		a  parse f: select f() ;; describe =f ;; bind =f ;; execute ;; parse v: select * from v ;; bind =v ;; execute ;; sync
		b  parse f: select f() ;; parse v: select * from v ;; sync
		c  query drop function f(); create function f() returns text language sql as 'select ''one'''
		c  query drop view v; create view v as select 'x'::text as n, 2 as m
		a  bind =f ;; execute ;; sync ;; bind =v ;; execute ;; sync
		b  bind =f ;; execute ;; sync ;; bind =v ;; execute ;; sync
		d  parse f: select f() ;; bind =f ;; execute ;; parse v: select * from v ;; bind =v ;; execute ;; sync
		   => row "one"
	`},
	{name: "row 10: an unnamed statement is read anew each time", text: `
		a  query create table t (a int4); insert into t values (1)
		a  run select a from t ;; sync
		b  run select a from t ;; describe = ;; sync
		c  query drop table t; create table t (a text); insert into t values ('x')
		a  run select a from t ;; describe = ;; sync
		   => row "x"
		b  run select a from t ;; describe = ;; sync
		   => row "x"
	`},
	{name: "row 17: DEALLOCATE that is only prepared frees nothing", text: `
		a  parse s1: select 'kept' ;; sync
		a  parse d: deallocate s1 ;; parse e: deallocate all ;; parse f: discard all ;; sync
		a  bind =s1 ;; execute ;; sync
		   => kept
		a  bind =d ;; bind p=e ;; sync ;; bind =s1 ;; execute ;; sync
		   => kept
		a  bind =d ;; execute ;; sync ;; bind =s1 ;; execute ;; sync
		   => 26000
		a  parse s1: select 'anew' ;; sync
		a  bind =d ;; execute ;; sync ;; bind =d ;; execute ;; sync
		   => 26000
		a  parse s1: select 'anew' ;; bind =e ;; execute ;; sync ;; bind =s1 ;; execute ;; sync
		   => 26000
		b  query select 'b'
	`},
	{name: "row 18: SQL's and the protocol's statements share their names", text: `
		a  parse n: select 'protocol' ;; sync
		a  query execute n
		   => protocol
		a  query prepare n as select 'sql'
		   => 42P05
		a  query deallocate n
		a  query prepare n as select 'sql'
		a  bind =n ;; execute ;; sync
		   => row "sql"
		a  parse n: select 'protocol' ;; sync
		   => 42P05
		a  describe =n ;; sync
		a  close =n ;; sync ;; query execute n
		   => 26000
		b  query execute n
		   => 26000
	`},
	{name: "row 18: the names of SQL's statements with parameters and quotes", pools: []int{2}, text: `
		a  parse N: select $1::int + 1 ;; parse "N": select 'quoted' ;; sync
		a  query execute "N"(1)
		   => row "2"
		a  query execute N(1)
		a  query execute """N"""
		   => row "quoted"
		a  query prepare q (int, text) as select $1 as a, $2 as b; execute q (1, 'x'); execute q(2, 'y;z')
		a  bind =q (3, w) ;; execute ;; sync
		   => row "3" "w"
		a  describe =q ;; sync
		b  query prepare q as select 'other'; execute q
		a  query explain (costs off) execute q (1, 'x')
		a  query create table made as execute q (1, 'x')
		   => SELECT 1
		a  query deallocate prepare q; deallocate "N"
		a  query execute q
		b  query execute q
		   => other
	`},
	{name: "row 18: SQL's statements in batches and transactions", pools: []int{2}, text: `
		a  run prepare n as select 'sql' ;; bind =n ;; execute ;; run execute n ;; sync
		   => row "sql"; SELECT 1; ParseComplete; BindComplete; row "sql"
		a  query begin
		a  query prepare m as select 'in a transaction'
		a  query rollback
		a  bind =m ;; execute ;; sync
		   => in a transaction
		a  query select 1/0; prepare o as select 1
		a  query execute o
		   => 26000
		a  query prepare o as select 'o'; select 1/0
		a  query execute o
		   => row "o"
		a  parse e: execute n ;; sync
		a  bind =e ;; execute ;; sync
		a  query deallocate n
		a  bind =e ;; execute ;; sync
		   => 26000
		a  query prepare n as select 'anew'
		a  bind =e ;; execute ;; sync
		b  query select name from pg_prepared_statements where name in ('n', 'm', 'o')
	`},
	{name: "row 18: SQL's EXECUTE of a protocol's statement on another server", pools: []int{2}, text: `
		a  parse n: select 'protocol' ;; sync
		b  query begin
		a  query execute n
		   => protocol
		b  query commit ;; query begin
		a  query begin ;; query execute n ;; query deallocate n ;; query rollback
		b  query commit
		a  query execute n
		   => 26000
	`},
	{name: "row 24: errors have the client's own names", text: `
		a  parse one: select 1 ;; parse two: select 1 ;; parse : select 1 ;; sync
		a  bind =one (1) ;; sync ;; bind =two (1) ;; sync ;; bind = (1) ;; sync
		   => prepared statement \"two\" requires 0
		a  bind =three ;; sync ;; describe =three ;; sync
		a  parse one: select 1 ;; sync ;; parse two: select 2 ;; sync
		   => \"two\" already exists
		a  query execute one (1)
		a  query execute two (1)
		a  query prepare one as select 2
		a  query execute four; select 1
		a  query deallocate four
		b  parse two: select 1 ;; sync
		b  bind =two (1, 2) ;; sync
		b  bind =one ;; sync
		a  execute nowhere ;; sync ;; describe nowhere ;; sync
		a  bind two=two ;; bind two=one ;; sync
		a  query close two; fetch from one
		a  query selekt one
	`},
	{name: "row 24: a statement's own name is what its client sees of it", text: `
		a  parse mine: select 'text' ;; bind =mine ;; execute ;; sync
		b  parse other: select 'text' ;; bind =other ;; execute ;; sync
		a  query begin
		a  bind mine=mine ;; execute mine/1 ;; sync
		a  query select name from pg_cursors order by name
		a  query commit
		a  query do $$ begin raise exception 'prepared statement "mine" does not exist' using errcode = '26000'; end $$
		   => 26000
		a  bind =mine ;; execute ;; sync
		   => text
	`},
	{name: "row 28: a function that deallocates everything harms nobody else", text: `
		a  query create function away() returns text language plpgsql as $$ begin execute 'deallocate all'; return 'done'; end $$
		b  parse s: select 'b' ;; sync
		a  parse s: select 'a' ;; sync
		a  query do $$ begin execute 'deallocate all'; end $$
		b  bind =s ;; execute ;; sync
		   => row "b"
		a  query select away()
		b  bind =s ;; execute ;; sync ;; bind =s ;; execute ;; sync
		   => row "b"
		a  run select away() ;; sync
		b  describe =s ;; sync
		a  query begin ;; query select away() ;; query rollback
		b  query begin ;; bind =s ;; execute ;; sync ;; query commit
		   => COMMIT
	`},
	{name: "row 28: a function that deallocates another's text by name harms nobody else", text: `
		b  parse s: select 'b' ;; sync
		a  query do $$ declare n text; begin for n in select name from pg_prepared_statements loop execute format('deallocate %I', n); end loop; end $$
		b  bind =s ;; execute ;; sync
		   => row "b"
		b  query begin
		b  bind =s ;; execute ;; sync
		b  query commit
		   => COMMIT
	`},
	{name: "row 22: names and texts of any size", text: `
		a  parse {n*2000}: select 'long' ;; bind ={n*2000} ;; execute ;; sync
		   => long
		a  bind ={n*2000} (1) ;; sync
		a  close ={n*2000} ;; bind ={n*2000} ;; sync
		   => 26000
		a  bind {p*3000}= ;; sync
		a  run select 'portal' ;; bind {p*3000}= ;; describe {p*3000} ;; execute {p*3000} ;; close {p*3000} ;; sync
		b  query select 'b'
	`},
	{name: "row 22: DEALLOCATE and others in texts of any size", pools: []int{2}, text: `
		a  parse s: select 's' ;; sync
		a  query select length('{x*20000}'); deallocate s; select 1
		a  bind =s ;; execute ;; sync
		   => 26000
		a  query prepare s as select length('{x*70000}')
		a  query execute s
		a  parse t: select 't' ;; sync
		a  run deallocate /* {x*100000} */ t ;; sync
		a  bind =t ;; execute ;; sync
		   => 26000
		a  query set /* {x*100000} */ work_mem = '1111kB'
		b  query show work_mem
		a  query show work_mem
		   => 1111kB
		a  parse long: select length('{x*900000}') ;; bind =long ;; execute ;; sync
		b  parse long: select length('{x*900000}') ;; bind =long ;; execute ;; sync
		a  bind =long ;; execute ;; sync
	`},
	{name: "row 22: a startup value of any size is refused in PostgreSQL's words", text: `
		a  join work_mem={x*5000}
		   => refused 22023
		b  join options='-c work_mem={x*100}'
		   => refused 22023
		c  join no_such_thing=1
		   => refused 42704
		d  join timezone={x*200}
		e  join search_path={x*6000}
	`},
	{name: "row 21: ten thousand names of a KiB each", text: `
		a  10000 times parse n{i}{x*1000}: select 1 ;; sync
		b  query select 'b'
		a  bind =n9999{x*1000} ;; execute ;; sync ;; bind =n1{x*1000} ;; execute ;; sync
		a  10000 times close =n{i}{x*1000} ;; sync
		a  bind =n1{x*1000} ;; execute ;; sync
		   => 26000
	`},
}
