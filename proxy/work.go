package proxy

import "time"

// work follows what a client has had done, for the counters of its pool.
type work struct {
	queryBegan       time.Duration // by clock; zero: none is under way
	transactionBegan time.Duration
}

// tellAfter is after how many bytes a pool is told of a transaction that goes
// on.
const tellAfter = 1 << 20

// clock costs half of what time.Now does.
func clock() time.Duration { return time.Since(begin) }

// countLink notes that the client got a server for what it is about to send. mu
// is held.
func (s *session) countLink() {
	if s.client != nil {
		now := clock()
		s.work = work{now, now}
	}
}

// countClient notes how many bytes of the client's were dealt with. mu is held.
func (s *session) countClient(used int) {
	if used == 0 {
		return
	}
	s.relay.work.Received += uint64(used)
	if s.work.queryBegan != 0 || !s.relay.linked {
		return
	}
	s.work.queryBegan = clock()
	if s.work.transactionBegan == 0 {
		s.work.transactionBegan = s.work.queryBegan
	}
}

// countServer notes how many bytes went to the client, and what came to its end
// with them. mu is held.
func (s *session) countServer(sent int) {
	r := &s.relay
	r.work.Sent += uint64(sent)
	if r.done == (done{}) {
		if r.work.Sent+r.work.Received >= tellAfter {
			s.tellPool()
		}
		return
	}
	now := clock()
	if s.work.queryBegan != 0 {
		s.pool.QueriesTook(now-s.work.queryBegan, r.done.queries)
	}
	more := r.batch || r.clientBody > 0 || r.pending.owesClient() // the client has sent the next
	s.work.queryBegan = 0
	if more {
		s.work.queryBegan = now
	}
	r.work.Queries += r.done.queries
	if r.done.transactions > 0 {
		r.work.Transactions += r.done.transactions
		if s.work.transactionBegan != 0 {
			r.work.TransactionTime += now - s.work.transactionBegan
		}
		s.work.transactionBegan = 0
		if more || !r.inNone() {
			s.work.transactionBegan = now
		}
		s.tellPool()
	}
	r.done = done{}
}

// countRest tells the pool what it was not told yet, and returns the totals.
func (s *session) countRest() totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellPool()
	return s.totals
}

// tellPool adds to the pool's counters what they lack. mu is held.
func (s *session) tellPool() {
	s.relay.work.ServerParses += s.relay.extended.parses
	s.relay.extended.parses = 0
	s.totals.add(&s.relay.work)
	s.pool.Count(&s.relay.work)
}
