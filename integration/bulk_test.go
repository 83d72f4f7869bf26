package integration

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"
)

// memoryLimit is how much pgseal may ever have resident, however much data
// passes through it.
const memoryLimit = 64 << 20

func TestAGigabyteOfCopyAndARowOf200MegabytesPassThroughLittleMemory(t *testing.T) {
	pg := sharedPostgres(t, "18")
	pg.database(t, "bulk")
	p := start(t, pg, options{binary: plainBinary, databases: map[string]settings{"bulk": {"dbname": "bulk"}}})
	began := time.Now()
	within := func(what string) {
		t.Helper()
		peak := p.peakMemory()
		t.Logf("%s: %v, up to %d MiB", what, time.Since(began).Round(time.Millisecond), peak>>20)
		began = time.Now()
		if peak >= memoryLimit {
			t.Fatalf("%s: pgseal took %d MiB", what, peak>>20)
		}
	}
	p.ask(t, "bulk", `\copy (SELECT repeat('x', 1023) FROM generate_series(1, 1048576)) TO '`+os.DevNull+`'`)
	within("COPY out of 1 GiB")

	// One line of it is kept: the server's disk is not under test.
	p.ask(t, "bulk", "CREATE UNLOGGED TABLE rows (line text)",
		`\copy rows FROM PROGRAM 'yes "$(printf ''%01023d'' 7)" | head -n 1048576; echo the end' WHERE line = 'the end'`)
	if got := p.ask(t, "bulk", "SELECT count(*) FROM rows", "DROP TABLE rows"); got != "1" {
		t.Errorf("got %s", got)
	}
	within("COPY in of 1 GiB")

	r := p.psql(t, "bulk", nil, "-o", os.DevNull, "-c", "SELECT repeat('x', 200000000)")
	if r.status != 0 {
		t.Errorf("psql ended with status %d: %s", r.status, r.stderr)
	}
	within("row of 200 MB by simple query")

	conn := p.pgx(t, "bulk", execMode)
	if rows := conn.PgConn().ExecParams(t.Context(), "SELECT repeat('x', $1)", [][]byte{[]byte("200000000")}, nil, nil, nil).Read(); rows.Err != nil || len(rows.Rows[0][0]) != 200_000_000 {
		t.Errorf("extended query: %v", rows.Err)
	}
	within("row of 200 MB by extended query")

	const size = 100_000_000
	long := bytes.Repeat([]byte{'x'}, size)
	if rows := conn.PgConn().ExecParams(t.Context(), "SELECT length($1::text)::text", [][]byte{long}, nil, nil, nil).Read(); rows.Err != nil || string(rows.Rows[0][0]) != strconv.Itoa(size) {
		t.Errorf("parameter of 100 MB: %v", rows.Err)
	}
	within("parameter of 100 MB")
}
