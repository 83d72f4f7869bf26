package integration

// leavings are ways to leave.
var leavings = []string{"leave", "rst", "terminate"}

// leavingScenarios are row 11: a client that leaves within a batch has
// committed nothing.
func leavingScenarios() (list []scenario) {
	for _, way := range leavings {
		list = append(list,
			scenario{name: "row 11: an insert that was flushed, then " + way, modes: allModes, text: `
				a  query create table t (n int)
				c  run insert into t values (1) ;; flush
				   => INSERT 0 1
				c  ` + way + `
				c  pause 100
				b  query select count(*) from t
				   => row "0"
			`},
			scenario{name: "row 11: an insert that was not even flushed, then " + way, modes: allModes, text: `
				a  query create table t (n int)
				c  run insert into t values (1)
				c  pause 30
				c  ` + way + `
				c  pause 100
				b  query select count(*) from t
				   => row "0"
			`},
			scenario{name: "row 11: a prepared insert behind a portal that is not at its end, then " + way, modes: allModes, text: `
				a  query create table t (n int)
				c  parse i: insert into t values ($1) returning n ;; parse s: select generate_series(1, 10) ;; sync
				c  bind =i (1) ;; execute ;; bind =s ;; execute /3 ;; flush
				   => PortalSuspended
				c  ` + way + `
				c  pause 100
				b  query select count(*) from t
				   => row "0"
			`},
			scenario{name: "row 11: an insert in a transaction, then " + way, modes: allModes, text: `
				a  query create table t (n int)
				c  query begin
				c  run insert into t values (1) ;; flush
				c  ` + way + `
				d  query begin ;; query insert into t values (2)
				d  ` + way + `
				e  query insert into t values (3); begin; insert into t values (4)
				e  ` + way + `
				e  pause 100
				b  query select array_agg(n) from t
			`},
			scenario{name: "row 11: an insert behind one that was synced, then " + way, modes: allModes, text: `
				a  query create table t (n int)
				c  run insert into t values (1) ;; sync ;; run insert into t values (2) ;; flush
				c  ` + way + `
				c  pause 100
				b  query select array_agg(n) from t
				   => row "{1}"
			`},
			scenario{name: "row 11: an error and a flush, then " + way, modes: allModes, text: `
				a  query create table t (n int)
				c  run insert into t values (1) ;; run select 1/0 ;; flush
				   => 22012
				c  ` + way + `
				c  pause 100
				b  query select count(*) from t
			`},
			scenario{name: "what a client leaves of settings and statements, then " + way, modes: allModes, text: `
				c  query set work_mem = '1111kB'; prepare s as select 1; create temp table x (n int); listen c
				c  parse t: select 2 ;; sync ;; query begin; set local timezone = 'Asia/Tokyo'
				c  ` + way + `
				c  pause 100
				b  query show work_mem; show timezone
				b  query select to_regclass('x'), (select count(*) from pg_listening_channels())
				b  query execute s
				b  bind =t ;; sync
				b  parse t: select 3 ;; bind =t ;; execute ;; sync
			`})
	}
	return list
}

// cancelScenarios are about queries that are cancelled.
var cancelScenarios = []scenario{
	{name: "a cancelled query", modes: allModes, text: `
		a~  query select pg_sleep(10), 'a'
		a  cancel
		   => 57014
		b  query select 'b'
		a  query begin
		a~  run select pg_sleep(10), 'a' ;; sync ;; query select 'skipped' ;; sync
		a  cancel
		   => 57014
		a  query commit
		   => ROLLBACK
		a~  query select 1; select pg_sleep(10), 'a'; select 2 ;; query select 3
		a  cancel
	`},
	{name: "a cancelled query in a batch without a Sync", text: `
		a~  run select pg_sleep(10), 'a' ;; run select 1 ;; query select 'swallowed' ;; sync ;; query select 'a'
		a  cancel
		   => 57014
		b  query select 'b'
		a  parse s: select 's' ;; sync
		a~  parse t: select 't' ;; run select pg_sleep(10), 'a' ;; parse u: select 'u' ;; sync ;; bind =t ;; execute ;; sync ;; bind =u ;; execute ;; sync
		a  cancel
		b  query select 'b'
		a  bind =s ;; execute ;; sync
	`},
}
