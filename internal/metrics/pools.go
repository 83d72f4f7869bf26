package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/stats"
)

// maxPools is how many pools have series of their own. A pool has about 60.
const maxPools = 200

// other stands for the database and user of the pools beyond that.
const other = "other"

// pair is what a pool is known by in labels.
type pair struct{ database, user string }

// folder adds up the pools that have no series of their own, so that what it
// has counted never shrinks although such pools come and go.
type folder struct {
	own    map[pair]bool             // have series of their own
	beyond map[pair]stats.PoolTotals // as last seen, of those that have not
	gone   stats.PoolTotals          // of those that were forgotten
}

func newFolder() *folder { return &folder{own: map[pair]bool{}, beyond: map[pair]stats.PoolTotals{}} }

// fold returns what to show of pools, by labels.
func (f *folder) fold(list []stats.Pool) map[pair]*stats.Pool {
	all := map[pair]*stats.Pool{}
	var order []pair
	for i := range list {
		s := &list[i]
		if s.Auto && s.Totals.ServersOpened == 0 {
			continue // nobody knows whether there is such a database
		}
		at := pair{label(s.Database), label(s.User)}
		if known := all[at]; known != nil { // names that differ only in bytes that are no UTF-8
			merge(known, s)
			continue
		}
		all[at] = s
		order = append(order, at)
	}
	for at := range f.own {
		if all[at] == nil {
			delete(f.own, at)
		}
	}
	for at, totals := range f.beyond {
		if all[at] == nil || all[at].Totals.Transactions < totals.Transactions { // it has gone, and come again
			f.gone.Add(&totals)
			delete(f.beyond, at)
		}
	}
	var rest *stats.Pool
	for _, at := range order {
		_, beyond := f.beyond[at]
		if f.own[at] || !beyond && len(f.own) < maxPools {
			f.own[at] = true
			continue
		}
		f.beyond[at] = all[at].Totals
		if rest == nil {
			rest = &stats.Pool{}
		}
		merge(rest, all[at])
		delete(all, at)
	}
	if rest == nil && f.gone.Assignments > 0 {
		rest = &stats.Pool{}
	}
	if rest != nil {
		rest.Totals.Add(&f.gone)
		if own := all[pair{other, other}]; own != nil { // somebody's names are these
			merge(rest, own)
		}
		all[pair{other, other}] = rest
	}
	return all
}

// merge adds what another pool has.
func merge(to, from *stats.Pool) {
	to.Size += from.Size
	to.Clients += from.Clients
	to.Waiting += from.Waiting
	to.MaxWait = max(to.MaxWait, from.MaxWait)
	to.Servers.Add(from.Servers)
	if to.LastError == nil {
		to.LastError = from.LastError
	}
	to.Totals.Add(&from.Totals)
}

// label makes a name fit for a label's value, which has to be UTF-8 and should
// not be longer than PostgreSQL's names are.
func label(name string) string {
	const longest = 63
	return strings.ToValidUTF8(name[:min(len(name), longest)], "�")
}

func (o out) pool(at pair, s *stats.Pool) {
	set := func(m *metric, v float64, labels ...string) {
		o.value(m, v, append([]string{at.database, at.user}, labels...)...)
	}
	set(pools.clients, float64(max(s.Clients-s.Waiting, 0)), "active") // one that leaves may be counted as waiting only
	set(pools.clients, float64(s.Waiting), "waiting")
	for _, state := range []struct {
		name string
		n    int
	}{
		{"active", s.Servers.Active}, {"being_canceled", s.Servers.BeingCanceled}, {"idle", s.Servers.Idle}, {"used", s.Servers.Used},
		{"tested", s.Servers.Tested}, {"login", s.Servers.Login}, {"closing", s.Servers.Closing},
	} {
		set(pools.servers, float64(state.n), state.name)
	}
	set(pools.size, float64(s.Size))
	set(pools.maxWait, s.MaxWait.Seconds())
	set(pools.unavailable, truth(s.LastError != nil))
	t := &s.Totals
	set(pools.transactions, float64(t.Transactions))
	set(pools.queries, float64(t.Queries))
	set(pools.received, float64(t.Received))
	set(pools.sent, float64(t.Sent))
	set(pools.transactionTime, t.TransactionTime.Seconds())
	set(pools.assigned, float64(t.Assignments))
	set(pools.waitTimeouts, float64(t.WaitTimeouts))
	set(pools.clientParses, float64(t.ClientParses))
	set(pools.serverParses, float64(t.ServerParses))
	set(pools.binds, float64(t.Binds))
	set(pools.opened, float64(t.ServersOpened))
	set(pools.failed, float64(t.ServersFailed))
	for _, reason := range slices.Sorted(maps.Keys(t.ServersClosed)) {
		set(pools.closed, float64(t.ServersClosed[reason]), reason)
	}
	o.times(pools.queryTime, &t.QueryTime, at.database, at.user)
	o.times(pools.waitTime, &t.WaitTime, at.database, at.user)
}
