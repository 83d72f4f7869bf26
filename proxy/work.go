package proxy

import (
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

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

var begin = time.Now()

// countLink notes that the client got a server for what it is about to send. mu
// is held.
func (s *session) countLink() {
	if s.phase != phaseLogin {
		now := clock()
		s.work = work{now, now}
	}
}

// countClient notes how many bytes of the client's were dealt with. mu is held.
func (s *session) countClient(used int) {
	if used == 0 {
		return
	}
	s.counted.Received += uint64(used)
	if s.work.queryBegan != 0 || !s.relay.Held() {
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
	s.counted.Sent += uint64(sent)
	queries, transactions := s.relay.Finished()
	if queries == 0 {
		if s.counted.Sent+s.counted.Received >= tellAfter {
			s.tellPool()
		}
		return
	}
	now := clock()
	if s.work.queryBegan != 0 {
		s.pool.QueriesTook(now-s.work.queryBegan, queries)
	}
	more := s.relay.Sends() // the client has sent the next
	s.work.queryBegan = 0
	if more {
		s.work.queryBegan = now
	}
	s.takeCounts()
	if transactions > 0 {
		if s.work.transactionBegan != 0 {
			s.counted.TransactionTime += now - s.work.transactionBegan
		}
		s.work.transactionBegan = 0
		if more || s.relay.Status() != wire.StatusIdle {
			s.work.transactionBegan = now
		}
		s.tellPool()
	}
}

// takeCounts takes what the relay has counted. mu is held.
func (s *session) takeCounts() {
	c := s.relay.TakeCounts()
	w := &s.counted
	w.Queries += c.Queries
	w.Transactions += c.Transactions
	w.ClientParses += c.ClientParses
	w.ServerParses += c.ServerParses
	w.Binds += c.Binds
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
	s.takeCounts()
	s.totals.add(&s.counted)
	s.pool.Count(&s.counted)
}
