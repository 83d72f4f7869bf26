package stats

import (
	"maps"
	"sync"
)

// Counts counts events that are seldom by what they were. The zero value is
// ready for use, by any goroutine. Its user sees to it that there are few
// different keys.
type Counts[K comparable] struct {
	mu sync.Mutex
	by map[K]uint64
}

// Inc counts one event.
func (c *Counts[K]) Inc(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[K]uint64{}
	}
	c.by[key]++
}

// Read returns how often each event has come. The caller owns the map.
func (c *Counts[K]) Read() map[K]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		return map[K]uint64{}
	}
	return maps.Clone(c.by)
}
