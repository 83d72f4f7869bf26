package guard

import (
	"hash/maphash"
	"time"
)

// Of the places that a sketch counts a name in, the emptiest is right, unless
// other names fell on all of them: it counts too many then, and never too few.
const (
	sketchRows    = 4
	sketchColumns = 2048
)

// sketch counts failures by name over about a minute, in 128 KiB however many
// names there are (a count-min sketch, whose counts run out). The places of a
// name can't be foretold, so nobody can fill those of another on purpose. Its
// owner locks it.
type sketch struct {
	seed  maphash.Seed
	begun time.Time
	rows  [sketchRows][sketchColumns]place
}

type place struct {
	level float64
	at    time.Duration // since the sketch begun
}

func newSketch() *sketch { return &sketch{seed: maphash.MakeSeed(), begun: time.Now()} }

// full reports whether name may not fail once more: it did so limit times, and
// one of these runs out in each limit-th part of a minute. Zero is no limit.
func (t *sketch) full(name string, limit int, now time.Time) bool {
	return limit > 0 && t.level(name, limit, now) > float64(limit)-1
}

func (t *sketch) add(name string, limit int, now time.Time) {
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
func (t *sketch) level(name string, limit int, now time.Time) float64 {
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

func (t *sketch) places(name string) (columns [sketchRows]uint16) {
	hash := maphash.String(t.seed, name)
	for row := range columns {
		columns[row] = uint16(hash>>(16*row)) % sketchColumns
	}
	return columns
}

const (
	recentTime = time.Hour // how long a login is remembered
	recentHalf = 1 << 14   // how many are remembered at least, while they are that recent
)

// recent remembers the logins of the last hour, the latest 16384 of them at
// least and twice as many at most. The zero value is ready for use; its owner
// locks it.
type recent struct{ young, old map[Login]time.Time }

func (r *recent) add(who Login, now time.Time) {
	if len(r.young) >= recentHalf {
		if _, there := r.young[who]; !there {
			r.old, r.young = r.young, nil
		}
	}
	if r.young == nil {
		r.young = map[Login]time.Time{}
	}
	r.young[who] = now
}

func (r *recent) has(who Login, now time.Time) bool {
	at, there := r.young[who]
	if !there {
		at, there = r.old[who]
	}
	return there && now.Sub(at) < recentTime
}
