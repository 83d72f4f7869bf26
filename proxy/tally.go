package proxy

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Of the places that a tally counts a name in, the emptiest is right, unless
// other names fell on all of them: it counts too many then, and never too few.
const (
	tallyRows    = 4
	tallyColumns = 2048
)

// tally counts failures by name over about a minute, in 128 KiB however many
// names there are (a count-min sketch, whose counts run out). The places of a
// name can't be foretold, so nobody can fill those of another on purpose. Its
// owner locks it.
type tally struct {
	seed  maphash.Seed
	begun time.Time
	rows  [tallyRows][tallyColumns]place
}

type place struct {
	level float64
	at    time.Duration // since the tally begun
}

func newTally() *tally { return &tally{seed: maphash.MakeSeed(), begun: time.Now()} }

// full reports whether name may not fail once more: it did so limit times, and
// one of these runs out in each limit-th part of a minute. Zero is no limit.
func (t *tally) full(name string, limit int, now time.Time) bool {
	return limit > 0 && t.level(name, limit, now) > float64(limit)-1
}

func (t *tally) add(name string, limit int, now time.Time) {
	if limit <= 0 {
		return
	}
	level := t.level(name, limit, now) + 1
	for row, column := range t.places(name) {
		if p := &t.rows[row][column]; p.level < level {
			p.level = level
		}
	}
}

// level brings the places of name up to now and returns the least.
func (t *tally) level(name string, limit int, now time.Time) float64 {
	at := now.Sub(t.begun)
	least := float64(limit)
	for row, column := range t.places(name) {
		p := &t.rows[row][column]
		p.level = max(0, p.level-(at-p.at).Minutes()*float64(limit))
		p.at = at
		least = min(least, p.level)
	}
	return least
}

func (t *tally) places(name string) (columns [tallyRows]uint16) {
	hash := maphash.String(t.seed, name)
	for row := range columns {
		columns[row] = uint16(hash>>(16*row)) % tallyColumns
	}
	return columns
}

const (
	recentTime = time.Hour // how long a login is remembered
	recentHalf = 1 << 14   // how many are remembered at least, while they are that recent
)

// login is who came in from where.
type login struct {
	source netip.Prefix
	role   string
}

// recent remembers the logins of the last hour, the latest 16384 of them at
// least and twice as many at most. The zero value is ready for use; its owner
// locks it.
type recent struct{ young, old map[login]time.Time }

func (r *recent) add(l login, now time.Time) {
	if len(r.young) >= recentHalf {
		if _, there := r.young[l]; !there {
			r.old, r.young = r.young, nil
		}
	}
	if r.young == nil {
		r.young = map[login]time.Time{}
	}
	r.young[l] = now
}

func (r *recent) has(l login, now time.Time) bool {
	at, there := r.young[l]
	if !there {
		at, there = r.old[l]
	}
	return there && now.Sub(at) < recentTime
}
