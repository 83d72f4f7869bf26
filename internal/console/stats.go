package console

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// statsPeriod is how often the counters are read for averages: the default of
// PgBouncer's stats_period.
const statsPeriod = time.Minute

// Figures of SHOW STATS per database, in its order.
const (
	assignments = iota
	transactions
	queries
	received
	sent
	transactionTime
	queryTime
	waitTime
	clientParses
	serverParses
	binds
	figures
)

// aSecond says that the average of a figure is per second.
const aSecond = -1

// figureNames are PgBouncer's names of the figures, which differ by command.
var figureNames = [figures]struct {
	column  string // of SHOW STATS_TOTALS; in SHOW STATS behind total_ and avg_
	stats   string // in SHOW STATS behind total_, if it differs
	average string // in SHOW STATS behind avg_, if it differs
	sum     string // in SHOW TOTALS, if it differs
	per     int    // the figure that the average is taken over, or aSecond
}{
	assignments:     {column: "server_assignment_count", per: aSecond},
	transactions:    {column: "xact_count", per: aSecond},
	queries:         {column: "query_count", per: aSecond},
	received:        {column: "bytes_received", stats: "received", average: "recv", sum: "client_bytes", per: aSecond},
	sent:            {column: "bytes_sent", stats: "sent", average: "sent", sum: "server_bytes", per: aSecond},
	transactionTime: {column: "xact_time", per: transactions},
	queryTime:       {column: "query_time", per: queries},
	waitTime:        {column: "wait_time", per: assignments},
	clientParses:    {column: "client_parse_count", sum: "ps_client_parse_count", per: aSecond},
	serverParses:    {column: "server_parse_count", sum: "ps_server_parse_count", per: aSecond},
	binds:           {column: "bind_count", sum: "ps_bind_count", per: aSecond},
}

// figureList are the figures of a database, or their averages. Times are in
// microseconds.
type figureList [figures]uint64

func figuresOf(t *stats.PoolTotals) figureList {
	return figureList{
		t.Assignments, t.Transactions, t.Queries, t.Received, t.Sent, uint64(t.TransactionTime.Microseconds()),
		uint64(t.QueryTime.Sum.Microseconds()), uint64(t.WaitTime.Sum.Microseconds()), t.ClientParses, t.ServerParses, t.Binds,
	}
}

func (s *figureList) add(o figureList) {
	for i := range s {
		s[i] += o[i]
	}
}

// since returns the averages over a time that began with old. What has shrunk
// was counted from nothing again.
func (s figureList) since(old figureList, took time.Duration) (average figureList) {
	for i := range s {
		if s[i] >= old[i] {
			s[i] -= old[i]
		}
	}
	for i, f := range figureNames {
		switch {
		case f.per != aSecond && s[f.per] > 0:
			average[i] = s[i] / s[f.per]
		case f.per == aSecond && took > 0:
			average[i] = uint64(float64(s[i]) / took.Seconds())
		}
	}
	return average
}

// reading is what was counted until a moment, by database.
type reading struct {
	at time.Time
	by map[string]figureList
}

// history holds the last two readings. Averages are taken since the older one,
// as in PgBouncer, so that they tell of one statsPeriod at least, but for the
// first, and of two at most.
type history struct {
	mu           sync.Mutex
	older, newer reading
}

func (h *history) push(r reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.older, h.newer = h.newer, r
}

func (h *history) oldest() reading {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.older
}

// Run reads the counters from time to time, for averages, until ctx ends.
func (c *Console) Run(ctx context.Context) {
	ticks := time.NewTicker(statsPeriod)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			c.history.push(c.read())
		}
	}
}

// read adds up what all pools have counted. The console is a database that
// counts its commands.
func (c *Console) read() reading {
	commands := c.commands.Load()
	r := reading{time.Now(), map[string]figureList{asDatabase: {transactions: commands, queries: commands}}}
	for _, p := range c.sources.Pools.Snapshots() {
		s := r.by[p.Database]
		s.add(figuresOf(&p.Totals))
		r.by[p.Database] = s
	}
	return r
}

// eachDatabase makes a row of each database that has pools, by name.
func (c *Console) eachDatabase(show func(name string, total, average figureList) row) (rows []row) {
	now, old := c.read(), c.history.oldest()
	for _, name := range slices.Sorted(maps.Keys(now.by)) {
		total := now.by[name]
		rows = append(rows, show(name, total, total.since(old.by[name], now.at.Sub(old.at))))
	}
	return rows
}

func (r row) with(list figureList) row {
	for _, n := range list {
		r = append(r, n)
	}
	return r
}

// Columns of the commands, made from the names of the figures.
var statsColumns, totalsColumns, averagesColumns = func() (string, string, string) {
	var totals, averages, plain, last []string
	for i, f := range figureNames {
		totals = append(totals, "total_"+cmp.Or(f.stats, f.column))
		averages = append(averages, "avg_"+cmp.Or(f.average, f.column))
		plain = append(plain, f.column)
		if i >= clientParses { // PgBouncer's SHOW STATS_AVERAGES names these alone so
			last = append(last, "avg_"+f.column)
		}
	}
	spec := func(names ...[]string) string {
		return "database text, " + strings.Join(slices.Concat(names...), " numeric, ") + " numeric"
	}
	return spec(totals, averages), spec(plain), spec(plain[:clientParses], last)
}()

func showStats(c *Console) []row {
	return c.eachDatabase(func(name string, total, average figureList) row {
		return append(row{name}.with(total).with(average), total[queries])
	})
}

func showStatsTotals(c *Console) []row {
	return c.eachDatabase(func(name string, total, _ figureList) row { return row{name}.with(total) })
}

func showStatsAverages(c *Console) []row {
	return c.eachDatabase(func(name string, _, average figureList) row { return row{name}.with(average) })
}

// showTotals shows the sums over all databases.
func showTotals(c *Console) (rows []row) {
	now, old := c.read(), c.history.oldest()
	var total, before figureList
	for _, s := range now.by {
		total.add(s)
	}
	for _, s := range old.by {
		before.add(s)
	}
	average := total.since(before, now.at.Sub(old.at))
	for prefix, list := range [...]figureList{total, average} {
		for i, f := range figureNames {
			rows = append(rows, row{[...]string{"total_", "avg_"}[prefix] + cmp.Or(f.sum, f.column), list[i]})
		}
	}
	return rows
}
