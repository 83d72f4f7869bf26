package proxy

import (
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/relay"
)

// tally counts what a client has had done, for the counters of its pool and for
// its last line in the log. Its conversation's lock guards it.
type tally struct {
	queryBegan       time.Duration // by clock; zero: none is under way
	transactionBegan time.Duration
	unreported       pool.Work // not added to the pool's counters yet
	totals           totals
}

// totals is what a session has had done.
type totals struct {
	transactions, queries uint64
	received, sent        uint64        // bytes from and to the client
	waited                time.Duration // for servers
}

// fields returns the totals for a log line.
func (t totals) fields() []zap.Field {
	return []zap.Field{
		zap.Uint64("transactions", t.transactions), zap.Uint64("queries", t.queries),
		zap.Uint64("received", t.received), zap.Uint64("sent", t.sent), zap.Duration("waited", t.waited),
	}
}

// reportAfter is after how many bytes the pool's counters are updated while a
// transaction goes on.
const reportAfter = 1 << 20

// clock costs half of what time.Now does.
func clock() time.Duration { return time.Since(begin) }

var begin = time.Now()

// began notes that the client got a server for what it is about to send.
func (t *tally) began() {
	t.queryBegan = clock()
	t.transactionBegan = t.queryBegan
}

// fromClient notes how many bytes of the client's were dealt with.
func (t *tally) fromClient(r *relay.Relay, used int) {
	if used == 0 {
		return
	}
	t.unreported.Received += uint64(used)
	if t.queryBegan != 0 || !r.Held() {
		return
	}
	t.queryBegan = clock()
	if t.transactionBegan == 0 {
		t.transactionBegan = t.queryBegan
	}
}

// toClient notes how many bytes went to the client, and what came to its end with
// them.
func (t *tally) toClient(r *relay.Relay, p *pool.Pool, sent int) {
	t.unreported.Sent += uint64(sent)
	queries, transactions := r.Finished()
	if queries == 0 {
		if t.unreported.Sent+t.unreported.Received >= reportAfter {
			t.report(r, p)
		}
		return
	}
	now := clock()
	if t.queryBegan != 0 {
		p.QueriesTook(now-t.queryBegan, queries)
	}
	more := r.Sends() // the client has sent the next
	t.queryBegan = 0
	if more {
		t.queryBegan = now
	}
	t.collect(r)
	if transactions > 0 {
		if t.transactionBegan != 0 {
			t.unreported.TransactionTime += now - t.transactionBegan
		}
		t.transactionBegan = 0
		if more || r.Status() != wire.StatusIdle {
			t.transactionBegan = now
		}
		t.report(r, p)
	}
}

// collect takes what the relay has counted.
func (t *tally) collect(r *relay.Relay) {
	c := r.TakeCounts()
	w := &t.unreported
	w.Queries += c.Queries
	w.Transactions += c.Transactions
	w.ClientParses += c.ClientParses
	w.ServerParses += c.ServerParses
	w.Binds += c.Binds
}

// report adds to the pool's counters what they lack.
func (t *tally) report(r *relay.Relay, p *pool.Pool) {
	t.collect(r)
	t.totals.transactions += t.unreported.Transactions
	t.totals.queries += t.unreported.Queries
	t.totals.received += t.unreported.Received
	t.totals.sent += t.unreported.Sent
	p.Count(&t.unreported)
}
