package status

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

const (
	period   = 5 * time.Second // between samples
	kept     = 180             // samples: 15 minutes
	lately   = 12              // samples that make up the last minute
	maxPools = 100             // that are shown, and remembered, alone
)

// figure is a number of JSON with few digits; NaN is null.
type figure float64

var unknown = figure(math.NaN())

func (f figure) known() bool { return !math.IsNaN(float64(f)) }

// MarshalJSON implements json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) {
	if !f.known() || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(f), 'g', 4, 64), nil
}

// poolKey is what a pool is known by.
type poolKey struct{ database, user string }

// id identifies the pool without its names.
func (k poolKey) id() string {
	sum := sha256.Sum256([]byte(k.database + "\x00" + k.user))
	return hex.EncodeToString(sum[:8])
}

func keyOf(s *stats.Pool) poolKey { return poolKey{s.Database, s.User} }

// span is what was counted between two samples, or in several such spans.
type span struct {
	took                           time.Duration
	transactions, timeouts, failed uint64 // failed: servers that could not be opened
	query, wait                    stats.Distribution
}

func (s *span) add(o *span) {
	s.transactions += o.transactions
	s.timeouts += o.timeouts
	s.failed += o.failed
	s.query.Add(&o.query)
	s.wait.Add(&o.wait)
}

// rate returns transactions per second.
func (s *span) rate() figure {
	if s.took <= 0 {
		return unknown
	}
	return figure(float64(s.transactions) / s.took.Seconds())
}

// quantile returns seconds.
func quantile(d *stats.Distribution, q float64) figure {
	if d.Count() == 0 {
		return unknown
	}
	return figure(d.Quantile(q).Seconds())
}

// point is one sample of a chart. It is NaN what is not known.
type point struct{ rate, waiting, p99 float32 }

// course is how one pool, or all together, has done lately. Its rings are
// written at the place of the history's clock.
type course struct {
	last   stats.PoolTotals
	spans  [lately]span
	points [kept]point
}

func newCourse() *course {
	c := &course{}
	nan := float32(math.NaN())
	for i := range c.points {
		c.points[i] = point{nan, nan, nan}
	}
	return c
}

func (c *course) put(clock int, s span, waiting int) {
	c.spans[clock%lately] = s
	c.points[clock%kept] = point{float32(s.rate()), float32(waiting), float32(quantile(&s.query, 0.99))}
}

// minute returns what was counted in the last minute.
func (c *course) minute() (sum span) {
	for i := range c.spans {
		sum.took += c.spans[i].took
		sum.add(&c.spans[i])
	}
	return sum
}

// since returns what was counted since an earlier reading of the same pool, and
// false if it is another that has taken its place.
func since(last, now *stats.PoolTotals, took time.Duration) (span, bool) {
	if now.Assignments < last.Assignments || now.Transactions < last.Transactions || now.ServersFailed < last.ServersFailed {
		return span{}, false
	}
	s := span{
		took: took, transactions: now.Transactions - last.Transactions, timeouts: now.WaitTimeouts - last.WaitTimeouts,
		failed: now.ServersFailed - last.ServersFailed, query: now.QueryTime, wait: now.WaitTime,
	}
	s.query.Sub(&last.QueryTime)
	s.wait.Sub(&last.WaitTime)
	return s, true
}

// history is the last 15 minutes. How much memory it takes is bounded: pools
// beyond maxPools are remembered as one.
type history struct {
	mu     sync.Mutex
	clock  int       // samples so far
	at     time.Time // of the last
	all    *course
	pools  map[poolKey]*course
	rest   stats.PoolTotals
	inRest uint64 // a hash of which pools these are
}

func newHistory() *history { return &history{all: newCourse(), pools: map[poolKey]*course{}} }

// rank sorts pools: those in trouble first, then those that are most used. The
// first maxPools of them are shown.
func rank(list []stats.Pool) []stats.Pool {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b stats.Pool) int {
		return cmp.Or(
			-cmp.Compare(b2i(a.LastError != nil), b2i(b.LastError != nil)), -cmp.Compare(a.Waiting, b.Waiting),
			-cmp.Compare(a.Clients, b.Clients), -cmp.Compare(a.Totals.Transactions, b.Totals.Transactions),
		)
	})
	return list
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sample notes how the pools are at a moment.
func (h *history) sample(now time.Time, list []stats.Pool) {
	list = rank(list)
	h.mu.Lock()
	defer h.mu.Unlock()
	took := now.Sub(h.at)
	if h.at.IsZero() {
		took = 0
	}
	sum, waiting := span{took: took}, 0
	knew := h.clock > 0 && len(h.pools) < maxPools // all that there were
	alone := list[:min(len(list), maxPools)]
	courses := make(map[poolKey]*course, len(alone))
	for i := range alone {
		s := &alone[i]
		c, known := h.pools[keyOf(s)]
		if !known {
			c = newCourse()
		}
		done, ok := since(&c.last, &s.Totals, took)
		if !ok || !known && !knew {
			done = span{} // when it counted that is unknown
		}
		c.last = s.Totals
		c.put(h.clock, done, s.Waiting)
		sum.add(&done)
		courses[keyOf(s)] = c
		waiting += s.Waiting
	}
	h.pools = courses
	for i := len(alone); i < len(list); i++ {
		waiting += list[i].Waiting
	}
	if done, ok := h.sampleRest(list[len(alone):], took); ok {
		sum.add(&done)
	}
	h.all.put(h.clock, sum, waiting)
	h.clock++
	h.at = now
}

// sampleRest notes what the pools beyond maxPools have counted together, and
// returns false if they are not those of the last sample.
func (h *history) sampleRest(list []stats.Pool, took time.Duration) (span, bool) {
	slices.SortFunc(list, func(a, b stats.Pool) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User))
	})
	var sum stats.PoolTotals
	hash := fnv.New64a()
	for i := range list {
		sum.Add(&list[i].Totals)
		io.WriteString(hash, list[i].Database+"\x00"+list[i].User+"\x00")
	}
	done, ok := since(&h.rest, &sum, took)
	ok = ok && hash.Sum64() == h.inRest
	h.rest, h.inRest = sum, hash.Sum64()
	return done, ok
}

// minute returns the last minute of a pool; of one that is not remembered it
// is empty.
func (h *history) minute(k poolKey) (s span) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.pools[k]; c != nil {
		s = c.minute()
	}
	return s
}

// whole returns the last minute of all pools.
func (h *history) whole() span {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.minute()
}

// Charts are the last 15 minutes, the oldest sample first.
type Charts struct {
	Pool    string    `json:"pool,omitempty"` // its id; empty: all pools together
	Until   time.Time `json:"until"`          // when the last sample was taken
	Period  float64   `json:"period_seconds"`
	Rate    []figure  `json:"transactions_per_second"`
	Waiting []figure  `json:"waiting"`
	P99     []figure  `json:"query_p99_seconds"`
}

// charts returns those of the pool with the id, or of all together where no such
// pool is remembered.
func (h *history) charts(id string) Charts {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, out := h.all, Charts{Until: h.at, Period: period.Seconds()}
	for k := range h.pools {
		if id != "" && k.id() == id {
			c, out.Pool = h.pools[k], id
		}
	}
	for i := range kept {
		p := c.points[(h.clock+i)%kept]
		out.Rate, out.Waiting, out.P99 = append(out.Rate, figure(p.rate)), append(out.Waiting, figure(p.waiting)), append(out.P99, figure(p.p99))
	}
	return out
}
