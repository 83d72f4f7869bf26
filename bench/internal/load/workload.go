package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/pgseal/pgseal/bench/internal/client"
)

// Names of workloads and protocols, as results show them.
const (
	SelectOnly = "select-only"
	TPCB       = "TPC-B"

	Simple   = "simple"
	Extended = "extended"
	Prepared = "prepared"
	// Described is what lib/pq does of each query with parameters: it is parsed
	// and described in one round trip, and bound in the next.
	Described = "described"
)

// accountsPerBranch is the size of pgbench's tables for each unit of scale.
const accountsPerBranch = 100_000

// Workload is what each transaction does, over the tables of pgbench.
type Workload struct {
	Name, Protocol string
	Scale          int
}

// selectSQL and the TPC-B-like statements below do what pgbench's built-in
// scripts are documented to do (PostgreSQL documentation, pgbench, "What Is
// the 'Transaction' Actually Performed in pgbench?").
const selectSQL = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"

var tpcbSQL = []string{
	"UPDATE pgbench_accounts SET abalance = abalance + $2 WHERE aid = $1",
	selectSQL,
	"UPDATE pgbench_tellers SET tbalance = tbalance + $2 WHERE tid = $1",
	"UPDATE pgbench_branches SET bbalance = bbalance + $2 WHERE bid = $1",
	"INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
}

// Prepare readies a connection for the workload.
func (w Workload) Prepare(c *client.Conn) error {
	if w.Protocol != Prepared {
		return nil
	}
	if w.Name == SelectOnly {
		return c.Prepare("s", selectSQL)
	}
	for i, sql := range tpcbSQL {
		if err := c.Prepare("t"+strconv.Itoa(i), sql); err != nil {
			return err
		}
	}
	return nil
}

// Run does one transaction.
func (w Workload) Run(c *client.Conn, rng *rand.Rand) error {
	aid := strconv.Itoa(1 + rng.IntN(accountsPerBranch*w.Scale))
	if w.Name == SelectOnly {
		return w.statement(c, "s", selectSQL, aid)
	}
	delta := strconv.Itoa(rng.IntN(10_001) - 5000)
	bid, tid := strconv.Itoa(1+rng.IntN(w.Scale)), strconv.Itoa(1+rng.IntN(10*w.Scale))
	args := [][]string{{aid, delta}, {aid}, {tid, delta}, {bid, delta}, {tid, bid, aid, delta}}
	if _, err := c.Query("BEGIN"); err != nil {
		return err
	}
	for i, sql := range tpcbSQL {
		if err := w.statement(c, "t"+strconv.Itoa(i), sql, args[i]...); err != nil {
			return err
		}
	}
	_, err := c.Query("END")
	return err
}

// statement runs one statement. In the simple protocol the parameters, all of
// them numbers that we made, become part of the text.
func (w Workload) statement(c *client.Conn, name, sql string, args ...string) error {
	var err error
	switch w.Protocol {
	case Prepared:
		_, err = c.Prepared(name, args...)
	case Extended:
		_, err = c.Extended(sql, args...)
	case Described:
		if err = c.Describe("", sql); err == nil {
			_, err = c.Prepared("", args...)
		}
	default:
		_, err = c.Query(inline(sql, args))
	}
	return err
}

func inline(sql string, args []string) string {
	out := make([]byte, 0, len(sql)+32)
	for i := 0; i < len(sql); i++ {
		if sql[i] == '$' && i+1 < len(sql) && '1' <= sql[i+1] && int(sql[i+1]-'1') < len(args) {
			i++
			out = append(out, args[sql[i]-'1']...)
			continue
		}
		out = append(out, sql[i])
	}
	return string(out)
}

// Tables makes the tables of pgbench at a scale and fills them. It drops those
// that are there.
func Tables(c *client.Conn, scale int) error {
	for _, sql := range []string{
		"DROP TABLE IF EXISTS pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history",
		"CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
		"CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84)) WITH (fillfactor=100)",
		"CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor=100)",
		"CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88)) WITH (fillfactor=100)",
		fmt.Sprintf("INSERT INTO pgbench_branches (bid, bbalance) SELECT i, 0 FROM generate_series(1, %d) i", scale),
		fmt.Sprintf("INSERT INTO pgbench_tellers (tid, bid, tbalance) SELECT i, (i - 1) / 10 + 1, 0 FROM generate_series(1, %d) i", 10*scale),
		fmt.Sprintf("INSERT INTO pgbench_accounts (aid, bid, abalance, filler) SELECT i, (i - 1) / %d + 1, 0, '' FROM generate_series(1, %d) i", accountsPerBranch, accountsPerBranch*scale),
		"ALTER TABLE pgbench_branches ADD PRIMARY KEY (bid)",
		"ALTER TABLE pgbench_tellers ADD PRIMARY KEY (tid)",
		"ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid)",
		"VACUUM ANALYZE pgbench_accounts",
		"VACUUM ANALYZE pgbench_branches",
		"VACUUM ANALYZE pgbench_tellers",
	} {
		if _, err := c.Query(sql); err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
	}
	return nil
}

// Scale reads for which scale the tables were made.
func Scale(c *client.Conn) (int, error) {
	r, err := c.Query("SELECT count(*) FROM pgbench_branches")
	if err != nil {
		return 0, fmt.Errorf("the tables of pgbench: %w", err)
	}
	n := 0
	if len(r.First) == 1 {
		n, err = strconv.Atoi(r.First[0])
	}
	if err != nil || n < 1 {
		return 0, fmt.Errorf("the tables of pgbench are empty")
	}
	return n, nil
}
