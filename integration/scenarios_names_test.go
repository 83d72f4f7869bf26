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
