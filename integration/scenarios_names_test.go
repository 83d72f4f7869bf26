package integration

// nameScenarios were found by dialogues that are made up: what a statement is
// described as where it is not on the server, and what statements that name
// others find.
var nameScenarios = []scenario{
	{name: "a statement without rows is described although its table is gone", pools: []int{2}, text: `
		a  query create table gone (n int)
		a  parse s: delete from gone where n::text = $1::text ;; sync
		b  query listen b
		a  query drop table gone
		a  describe =s ;; sync
		b  query unlisten b
		a  bind =s (1) ;; execute ;; sync
		   => 42P01
		a  query begin; select 1/0
		a  describe =s ;; sync
		a  query rollback
	`},
	{name: "an unnamed statement without rows is described although its table is gone", pools: []int{2}, text: `
		a  query create table gone (n int)
		a  parse : delete from gone where n::text = $1::text ;; describe = ;; sync
		b  query listen b
		b  query drop table gone
		a  describe = ;; sync
		b  query unlisten b
		a  bind = (1) ;; execute ;; sync
		   => 42P01
	`},
	{name: "a statement that executes another is described as it was at its Parse", pools: []int{2}, text: `
		a  parse e: execute p ;; sync
		b  query listen b
		a  parse p: select 1 as a ;; sync
		a  describe =e ;; sync
		b  query unlisten b
		a  bind =e () ;; execute ;; sync
	`},
	{name: "a statement that executes one whose columns have changed", pools: []int{1}, text: `
		a  query create table t (a int, b text); insert into t values (1, 'one')
		a  parse p: update t set b = 'u' where a::text = $1::text returning * ;; sync
		a  query select 1
		b  query alter table t alter a type text
		a  parse : execute p ('1') ;; bind () ;; describe ;; execute ;; sync
		   => 0A000
		a  parse : execute p ('1') ;; sync ;; describe = ;; sync ;; bind = () ;; execute ;; sync
		a  query execute p ('1')
	`},
	{name: "an unnamed statement that executes one which was not there at its Parse", pools: []int{1}, text: `
		a  parse : execute p ;; parse p: select 1 as a ;; sync ;; describe = ;; sync
		a  bind () ;; describe ;; execute ;; sync
		a  describe = ;; sync
	`},
	{name: "a statement with rows that executes one which is gone", pools: []int{1, 2}, text: `
		a  parse p: select 1 as a ;; parse e: execute p ;; parse : execute p ;; describe = ;; sync
		a  close =p ;; sync
		a  describe =e ;; sync
		   => 26000
		a  describe = ;; sync
		   => 26000
		a  bind =e () ;; describe ;; execute ;; sync
		a  parse : execute p ;; bind () ;; describe ;; execute ;; sync
	`},
	{name: "a statement that executes one whose columns change later", pools: []int{1}, text: `
		a  query create table t (a int, b text); insert into t values (1, 'one')
		a  parse p: update t set b = 'u' where a::text = $1::text returning * ;; sync
		a  parse e: execute p ('1') ;; describe =e ;; sync
		a  parse : execute p ('1') ;; describe = ;; sync
		b  parse r: alter table t alter a type text ;; bind =r () ;; execute ;; sync
		a  describe =e ;; sync
		   => 0A000
		a  bind =e () ;; describe ;; execute ;; sync
	`},
	{name: "an unnamed statement that executes another is bound anew in its batch", pools: []int{1}, text: `
		a  parse p: select 'x' ;; sync
		a  parse : execute p ;; bind () ;; describe ;; execute
		a  bind c1= (2) binary
		a  sync
		   => 08P01
		a  parse : execute p ;; describe = ;; sync ;; bind () ;; execute ;; sync
		b  query select 1
		a  bind () ;; execute ;; bind () ;; execute ;; sync
	`},
	{name: "a statement that executes another, which does something to names", pools: []int{1, 2}, text: `
		a  parse d: deallocate p ;; parse p: select 1 ;; sync
		a  parse x: execute d (1) ;; bind =x () ;; execute
		a  bind =p ()
		a  sync
		   => 26000
		a  parse m: prepare made as select 'made' ;; parse y: execute m ;; sync
		a  bind =y () ;; execute ;; sync ;; query execute made
		a  query execute m; execute made
		   => 42P05
		a  bind =y () ;; execute ;; sync
		a  query deallocate made
		b  query select 1
		a  query execute m; execute made
		a  parse p: select 2 ;; sync ;; query execute d; execute p
		   => 26000
	`},
	{name: "a query behind what was only prepared is in no transaction", pools: []int{1}, text: `
		a  call 0 ;; parse p: set role = scenario_role ;; parse q: select timestamptz '2021-01-01 00:00' ;; query deallocate p
		a  query select 1 ;; parse q: select 2 ;; query select 3
		a  call 0 ;; parse u: select timestamptz '2021-01-01 00:00' ;; call 1397 (-5)
		a  parse : select 1 ;; bind () ;; execute ;; call 1397 (-5) ;; parse v: select timestamptz '2021-01-01 00:00' ;; query select 2
		a  sync
		a  sync
		a  call 0 ;; parse r: select timestamptz '2021-01-01 00:00' ;; parse r: select 1 ;; query select 4
		a  sync
	`},
	{name: "an unnamed statement finds what its batch has done to names", pools: []int{1}, text: `
		a  parse : prepare p as select 'sql' ;; sync
		a  close =p ;; parse p: select 1 ;; bind = () ;; execute ;; sync
		   => 42P05
		a  parse : deallocate p ;; sync
		a  bind = () ;; execute ;; sync
		a  bind = () ;; execute ;; sync
		   => 26000
		a  parse : execute p ;; sync
		   => ParseComplete
		a  parse p: select 2 ;; bind = () ;; execute ;; sync
		a  close =p ;; parse p: select 3 ;; sync ;; parse : execute p ;; close =p ;; parse p: select 4 ;; bind = () ;; execute ;; sync
	`},
}
