package integration

// batchScenarios are about what PostgreSQL skips behind an error, and what
// stands behind messages that have no Sync.
var batchScenarios = []scenario{
	{name: "row 4: a Parse behind an error does not replace the unnamed statement", text: `
		a  parse : set work_mem = '1111kB' ;; sync
		a  bind =unknown ;; parse : select 1 ;; sync ;; bind ;; execute ;; sync
		   => 26000
		   => SET
		b  query show work_mem
		a  query show work_mem
	`},
	{name: "a Parse that fails forgets the unnamed statement", text: `
		a  parse : set work_mem = '1111kB' ;; sync
		a  parse : selekt ;; sync ;; bind ;; execute ;; sync
		   => 26000
		b  query show work_mem
		a  parse : select 'one' ;; sync
		a  parse : select $1::nothing ;; sync ;; bind ;; execute ;; sync
		   => 26000
	`},
	{name: "a Close behind an error closes nothing", text: `
		a  parse s: select 'kept' ;; sync
		a  bind =unknown ;; close =s ;; sync ;; bind =s ;; execute ;; sync
		   => kept
		a  close =s ;; bind =s ;; execute ;; sync
		   => 26000
		a  bind =s ;; execute ;; sync
		   => 26000
	`},
	{name: "DEALLOCATE behind an error frees nothing", text: `
		a  parse s: select 'kept' ;; sync
		a  run select 1/0 ;; run deallocate s ;; sync ;; bind =s ;; execute ;; sync
		   => kept
		a  query select 1/0; deallocate s ;; bind =s ;; execute ;; sync
		   => kept
		a  run deallocate s ;; bind =s ;; execute ;; sync
		   => 26000
		b  query select 'b'
	`},
	{name: "DEALLOCATE ALL and DISCARD ALL behind an error free nothing", text: `
		a  parse s: select 'kept' ;; sync
		a  run select 1/0 ;; run deallocate all ;; sync ;; bind =s ;; execute ;; sync
		   => kept
		a  query select 1/0; discard all
		a  run select 1/0 ;; run discard all ;; sync ;; bind =s ;; execute ;; sync
		   => kept
		a  query begin
		a  query discard all
		   => 25001
		a  query rollback
		a  bind =s ;; execute ;; sync
		   => kept
	`},
	{name: "row 5: a Parse behind an error prepares nothing", text: `
		a  query create table t (n int)
		a  run select 1/0 ;; parse s0: insert into t values (1) ;; sync ;; bind =s0 ;; execute ;; sync
		   => 26000
		a  query select count(*) from t
		   => "0"
	`},
	{name: "a Parse behind any error prepares nothing", text: `
		a  query create table t (n int)
		a  parse : selekt ;; parse s0: insert into t values (1) ;; sync ;; bind =s0 ;; execute ;; sync
		   => 26000
		a  bind =nothing ;; parse s0: insert into t values (1) ;; sync ;; bind =s0 ;; execute ;; sync
		a  describe =nothing ;; parse s0: insert into t values (1) ;; sync ;; describe =s0 ;; sync
		a  execute nothing ;; parse s0: insert into t values (1) ;; sync ;; bind =s0 ;; execute ;; sync
		a  run copy t from stdin ;; fail no ;; parse s0: insert into t values (1) ;; sync ;; bind =s0 ;; execute ;; sync
		a  bind =s0 ;; sync ;; close =s0 ;; sync ;; parse s0: select 'made' ;; sync ;; bind =s0 ;; execute ;; sync
		   => made
		a  query select count(*) from t
	`},
	{name: "a Parse behind an error prepares nothing where another client has the text", text: `
		a  query create table t (n int)
		b  parse s0: insert into t values (1) ;; sync
		a  run select 1/0 ;; parse s0: insert into t values (1) ;; sync ;; bind =s0 ;; execute ;; sync
		   => 26000
		a  query select count(*) from t
		b  bind =s0 ;; execute ;; sync
		a  query select count(*) from t
	`},
	{name: "the second Parse of a name fails and leaves the first", text: `
		a  parse s: select 'first' ;; sync
		a  parse s: select 'second' ;; sync
		   => 42P05
		a  bind =s ;; execute ;; sync
		   => first
		a  parse s: select 'third' ;; bind =s ;; execute ;; sync ;; bind =s ;; execute ;; sync
		   => first
		a  close =s ;; parse s: select 'fourth' ;; bind =s ;; execute ;; sync
		   => fourth
		a  parse t: select 't' ;; parse t: select 'u' ;; sync ;; bind =t ;; execute ;; sync
		   => row "t"
	`},
	{name: "a name that is closed and prepared again in one write", text: `
		a  parse s: select 'first' ;; sync
		b  parse s: select 'other' ;; sync
		a  close =s ;; parse s: select 'second' ;; sync ;; bind =s ;; execute ;; sync
		   => second
		a  close =s ;; parse s: selekt ;; sync ;; bind =s ;; execute ;; sync
		   => 26000
		a  run select 1/0 ;; close =s ;; parse s: select 'third' ;; sync ;; bind =s ;; execute ;; sync
		b  bind =s ;; execute ;; sync
		   => other
	`},
	{name: "row 14: a query behind messages without a Sync", text: `
		a  query create table t (n int)
		a  run insert into t values (1) ;; query select 'query'
		   => INSERT 0 1; columns
		a  run select 1/0 ;; query select 'swallowed' ;; sync ;; query select 'a'
		a  parse s: select 's' ;; query select 'query' ;; bind =s ;; execute ;; sync
		a  run insert into t values (2) ;; query select 1/0 ;; run select 'not skipped' ;; sync
		   => not skipped
		a  query select count(*) from t
		b  query select 'b'
	`},
	{name: "row 14: a query behind messages without a Sync in writes of their own", text: `
		a  query create table t (n int)
		a  run insert into t values (1)
		a  query select 'query'
		a  run select 1/0
		a  query select 'swallowed'
		   => 22012
		a  sync
		a  run select 1/0
		a  flush
		a  query select 'swallowed'
		a  sync
		a  query select count(*) from t
	`},
	{name: "row 14: a FunctionCall behind messages without a Sync", text: `
		a  run select 'run' ;; call 1397 (-5) ;; query select 'a'
		a  run select 1/0 ;; call 2 ;; sync ;; query select 'a'
		a  run select 'run' ;; call 0 ;; run select 'b' ;; sync ;; query select 'c'
		a  run select 'run' ;; call 1397 (-5) ;; sync
		   => result "5"
	`},
	{name: "row 14: savepoints about batches without a Sync, as Postgrex has them", text: `
		a  query create table t (n int)
		a  query begin
		a  query savepoint s ;; run insert into t values (1) ;; query release s
		a  query savepoint s ;; run insert into t values (1/0) ;; query rollback to s ;; sync ;; query rollback to s
		a  run savepoint s ;; parse : selekt ;; flush
		a  sync
		a  query rollback to s ;; run insert into t values (2) ;; query commit
		b  query select count(*) from t
	`},
	{name: "row 14: what a query ends is committed or rolled back with it", pools: []int{2}, text: `
		a  query create table t (n int)
		a  run insert into t values (1) ;; query insert into t values (1/0)
		b  query select count(*) from t
		   => "0"
		a  run insert into t values (1) ;; query insert into t values (2)
		b  query select count(*) from t
		a  run insert into t values (1) ;; query rollback
		b  query select count(*) from t
		a  run insert into t values (1) ;; query begin
		a  query rollback
		b  query select count(*) from t
		a  run insert into t values (1) ;; query selekt
		b  query select count(*) from t
	`},
	{name: "an empty query, empty statements and Flush in a batch", text: `
		a  query  ;; run  ;; sync ;; flush ;; sync ;; query ; ;; run ; ;; flush ;; query
		a  flush ;; flush
		a  sync ;; sync ;; sync
		   => ready I (3 times)
		a  parse : select 1 ;; flush
		a  describe = ;; bind ;; describe ;; execute ;; flush
		a  sync
	`},
	{name: "row 27: an error of the pooler's own aborts the transaction too", text: `
		a  query create table t (n int)
		a  query begin
		a  query insert into t values (1)
		a  bind =never ;; sync
		   => 26000
		a  query commit
		   => ROLLBACK
		b  query select count(*) from t
		   => "0"
	`},
	{name: "row 27: any use of an unknown name aborts the transaction", text: `
		a  query create table t (n int)
		a  query begin ;; run insert into t values (1) ;; bind =never ;; sync ;; query commit
		a  query begin ;; run insert into t values (1) ;; describe =never ;; sync ;; query commit
		a  query begin ;; run insert into t values (1) ;; execute never ;; sync ;; query commit
		a  query begin ;; run insert into t values (1) ;; describe never ;; sync ;; query commit
		a  query begin ;; query insert into t values (1) ;; query execute never ;; query commit
		a  query begin ;; query insert into t values (1) ;; query deallocate never ;; query commit
		a  query begin ;; run insert into t values (1) ;; parse s: select 1 ;; parse s: select 1 ;; sync ;; query commit
		a  query begin ;; run insert into t values (1) ;; close =never ;; close never ;; sync ;; query commit
		   => COMMIT
		b  query select count(*) from t
		   => "1"
	`},
	{name: "row 25: a query and Terminate in one write", modes: allModes, text: `
		a  query create table t (n int)
		c  query insert into t values (1) ;; terminate
		   => INSERT 0 1; ready I; EOF
		d  run insert into t values (1) ;; sync ;; terminate
		   => INSERT 0 1; ready I; EOF
		e  query begin ;; query insert into t values (1) ;; terminate
		f  query insert into t values (1) ;; run insert into t values (1) ;; terminate
		g  query select repeat('x', 300000) ;; terminate
		h  run insert into t values (1/0) ;; sync ;; terminate
		   => 22012
		i  query copy t to stdout ;; terminate
		b  query select count(*) from t
		   => "3"
	`},
	{name: "row 16: 12,000 statements before one Sync", text: `
		a  12000 times run select 1 ;; sync
		   => SELECT 1; ready I
		b  query select 'b'
		a  3000 times run select 1 ;; run select 1/0 ;; 3000 times run select 1 ;; sync ;; query select 'a'
	`},
	{name: "row 16: thousands of other messages before one Sync", text: `
		a  5000 times parse : select 1 ;; sync
		a  12000 times sync
		a  5000 times query select 1
		a  5000 times close =nothing ;; sync
		a  parse s: select 's' ;; 5000 times bind =s ;; execute ;; sync
		a  run select 1/0 ;; 12000 times run select 1 ;; sync
		a  5000 times flush ;; sync
		b  query select 'b'
	`},
}
