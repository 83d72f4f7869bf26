package integration

// copyScenarios are about COPY in the extended protocol, where a Sync may be
// data that is thrown away. Each begins with a server that another client has
// set something on.
var copyScenarios = []scenario{
	{name: "row 1: CopyDone, Sync and CopyFail behind each other belong to the client that sent them", text: copyPrelude + `
		a  run copy t from stdin ;; done ;; sync ;; fail no ;; sync ;; query select 'a'
		   => COPY 0; ready I (2 times)
		   => "a"
	` + copyEnd},
	{name: "a Sync within a COPY is swallowed", text: copyPrelude + `
		a  run copy t from stdin ;; data 1\n ;; sync ;; data 2\n ;; sync ;; done ;; sync ;; query select 'a'
		   => COPY 2
	` + copyEnd},
	{name: "Syncs within a COPY are swallowed where its data comes piecemeal", text: copyPrelude + `
		a  run copy t from stdin ;; sync
		   => CopyInResponse
		a  data 1\n ;; sync
		a  flush ;; sync
		a  data 2\n ;; done ;; sync
		   => COPY 2
		a  query select 'a'
	` + copyEnd},
	{name: "a Sync within a COPY by a simple query is swallowed", text: copyPrelude + `
		a  query copy t from stdin ;; data 1\n ;; sync ;; flush ;; done ;; query select 'a' ;; sync
		   => COPY 1
	` + copyEnd},
	{name: "CopyData and CopyDone behind a COPY that did not begin are ignored", text: copyPrelude + `
		a  run copy nowhere from stdin ;; data 1\n ;; done ;; sync ;; query select 'a'
		   => 42P01
		a  query copy nowhere from stdin ;; data 1\n ;; done ;; query select 'a'
		a  run copy t from stdin where n / 0 = 1 ;; data 1\n ;; data 2\n ;; sync ;; done ;; sync ;; query select 'a'
		   => 22012
	` + copyEnd},
	{name: "the rest of a COPY that failed in its data is ignored up to the Sync", text: copyPrelude + `
		a  run copy t from stdin ;; data x\n ;; data 2\n ;; sync ;; data 3\n ;; done ;; sync ;; query select 'a'
		   => 22P02
		a  run copy t from stdin ;; data x\n ;; done ;; sync ;; query select 'a'
		a  query copy t from stdin ;; data x\n ;; data 1\n ;; sync ;; done ;; sync ;; query select 'a'
	` + copyEnd},
	{name: "a CopyFail ends a batch like any error", text: copyPrelude + `
		a  run copy t from stdin ;; data 1\n ;; fail enough ;; run select 1 ;; sync ;; query select 'a'
		   => 57014
		a  query copy t from stdin ;; data 1\n ;; fail enough ;; run select 1 ;; sync ;; query select 'a'
	` + copyEnd},
	{name: "a message out of place within a COPY ends the connection", text: copyPrelude + `
		c  run copy t from stdin ;; data 1\n ;; query select 'swallowed' ;; sync ;; query select 'c'
		   => 08P01
		   => EOF
		d  query copy t from stdin ;; data 1\n ;; query select 'swallowed' ;; query select 'd'
		   => 08P01
		e  run copy t from stdin ;; bind ;; execute ;; sync ;; query select 'e'
		f  query copy t from stdin
		f  terminate
	` + copyEnd},
	{name: "two COPYs in one batch", text: copyPrelude + `
		a  run copy t from stdin ;; data 1\n ;; done ;; run copy t from stdin ;; data 2\n ;; sync ;; done ;; sync ;; query select 'a'
		   => COPY 1; ParseComplete
		a  run copy t from stdin ;; data x\n ;; done ;; run copy t from stdin ;; data 2\n ;; sync ;; done ;; sync ;; query select 'a'
	` + copyEnd},
	{name: "two COPYs in one query", text: copyPrelude + `
		a  query copy t from stdin; select 'between'; copy t from stdin ;; data 1\n ;; done ;; data 2\n ;; done ;; query select 'a'
		   => between
		a  query copy t from stdin; copy t from stdin ;; data x\n ;; done ;; data 2\n ;; done ;; sync ;; query select 'a'
	` + copyEnd},
	{name: "a COPY behind an error in its batch does not begin", text: copyPrelude + `
		a  run select 1/0 ;; run copy t from stdin ;; data 1\n ;; sync ;; done ;; sync ;; query select 'a'
		   => 22012
	` + copyEnd},
	{name: "a COPY in a transaction that failed does not begin", text: copyPrelude + `
		a  query begin
		a  query select 1/0
		a  run copy t from stdin ;; data 1\n ;; done ;; sync ;; query rollback
		   => 25P02
	` + copyEnd},
	{name: "data of a COPY that there is none of is ignored", text: copyPrelude + `
		a  data 1\n ;; done ;; fail no ;; sync ;; query select 'a'
		a  data 1\n
		a  fail no
		a  query select 'a'
	` + copyEnd},
	{name: "a batch with several Syncs about a COPY", text: copyPrelude + `
		a  run select 1 ;; sync ;; run copy t from stdin ;; data 1\n ;; done ;; sync ;; run select 2 ;; sync ;; sync ;; query select 'a'
		a  run copy t from stdin ;; sync ;; sync ;; done ;; sync ;; sync ;; run select 2 ;; sync
	` + copyEnd},
	{name: "a statement of COPY is prepared once and run often", text: copyPrelude + `
		a  parse c: copy t from stdin ;; sync
		a  bind =c ;; execute ;; data 1\n ;; done ;; bind =c ;; execute ;; data 2\n ;; done ;; sync
		b  parse c: copy t from stdin ;; bind =c ;; execute ;; sync ;; data 3\n ;; done ;; sync
		a  bind =c ;; execute ;; done ;; sync ;; fail no ;; sync ;; query select 'a'
	` + copyEnd},
	{name: "COPY out amid a batch", text: copyPrelude + `
		a  run copy (select generate_series(1, 3)) to stdout ;; sync ;; run copy (select 1/0) to stdout ;; sync ;; query select 'a'
		   => CopyDone; COPY 3
		a  query copy (select 1) to stdout; copy (select 2) to stdout; select 1/0; select 3 ;; done ;; query select 'a'
	` + copyEnd},
	{name: "row 2: COPY with its data and Sync in one write, behind another client's parameters", text: `
		a  query create table t (n int)
		b  query set work_mem = '1111kB'
		a  run copy t from stdin ;; data 1\n ;; done ;; sync
		   => COPY 1
		b  query show work_mem
		a  run copy t from stdin ;; data 1\n ;; data 2\n ;; done ;; sync
		b  query show work_mem
		a  parse c: copy t from stdin ;; bind =c ;; execute ;; data 1\n ;; done ;; sync
		b  query show work_mem
		a  bind =c ;; execute ;; data 1\n ;; done ;; sync
		b  query show work_mem
		a  query begin ;; run copy t from stdin ;; data 1\n ;; done ;; sync ;; query commit
		b  query show work_mem
		a  query select count(*) from t
	`},
	{name: "a client that leaves within a COPY leaves nothing behind", modes: allModes, text: `
		a  query create table t (n int)
		c  run copy t from stdin ;; data 1\n ;; flush
		c  leave
		b  query select count(*) from t
		d  query copy t from stdin ;; data 1\n
		d  rst
		b  query select count(*) from t
		e  run copy t from stdin ;; data 1\n ;; sync ;; done ;; flush
		   => COPY 1
		e  leave
		b  query select count(*) from t
		f  run copy t from stdin ;; data 1\n ;; terminate
		b  query select count(*) from t
	`},
}

const (
	copyPrelude = `
		a  query create table t (n int)
		b  query set work_mem = '1111kB'
	`
	copyEnd = `
		b  query select 'b', count(*) from t
		a  query select 'a again'
		b  run select 'b again' ;; sync
	`
)
