package guard

import (
	"hash/maphash"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxEntries is how many failed names, and how many recent logins, are kept. Names are
// stored as hashes, so that their length does not matter: 4 MiB per table.
const maxEntries = 1 << 15

func newLRU[K comparable, V any]() *simplelru.LRU[K, V] {
	lru, _ := simplelru.NewLRU[K, V](maxEntries, nil) // fails for sizes below 1 only
	return lru
}

// failures counts failures by name over about a minute. It keeps the names that failed
// last; the others start with the highest count that was evicted, so a flood of names
// may make it count too many, but never too few. Its owner locks it.
type failures struct {
	seed   maphash.Seed
	byName *simplelru.LRU[uint64, failureCount]
	pushed failureCount // at least that of each name that was pushed out
}

// failureCount is how many failures had not expired at a time.
type failureCount struct {
	level float64
	at    time.Time
}

func newFailures() *failures {
	return &failures{seed: maphash.MakeSeed(), byName: newLRU[uint64, failureCount]()}
}

// full reports whether name has reached limit, of which one expires in each limit-th
// part of a minute. Zero is no limit.
func (f *failures) full(name string, limit int, now time.Time) bool {
	return limit > 0 && f.level(f.key(name), limit, now) > float64(limit)-1
}

func (f *failures) add(name string, limit int, now time.Time) {
	if limit <= 0 {
		return
	}
	key := f.key(name)
	level := f.level(key, limit, now) + 1
	if f.byName.Len() == maxEntries && !f.byName.Contains(key) {
		_, oldest, _ := f.byName.RemoveOldest()
		f.pushed = failureCount{max(f.pushed.left(limit, now), oldest.left(limit, now)), now}
	}
	f.byName.Add(key, failureCount{level, now})
}

func (f *failures) level(key uint64, limit int, now time.Time) float64 {
	count, kept := f.byName.Peek(key)
	if !kept {
		count = f.pushed
	}
	return min(float64(limit), count.left(limit, now))
}

func (f *failures) key(name string) uint64 { return maphash.String(f.seed, name) }

// left returns how many failures have not expired by now.
func (c failureCount) left(limit int, now time.Time) float64 {
	return max(0, c.level-now.Sub(c.at).Minutes()*float64(limit))
}
