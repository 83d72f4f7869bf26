package engine

import "time"

// tick is the precision of timeouts: they are kept within it, and what is due
// within one tick is handled in one go.
const tick = 50 * time.Millisecond

// timeouts is a heap of connections by the time at which their timeout is
// due. Only connections that have one are in it.
type timeouts struct{ heap []*loopConn }

func (t *timeouts) less(i, j int) bool { return t.heap[i].due.Before(t.heap[j].due) }

func (t *timeouts) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].dueAt, t.heap[j].dueAt = i, j
}

// set adds c, moves it, or removes it if due is zero.
func (t *timeouts) set(c *loopConn, due time.Time) {
	switch {
	case due.IsZero() && c.dueAt < 0:
		return
	case due.IsZero():
		i, last := c.dueAt, len(t.heap)-1
		t.swap(i, last)
		t.heap[last] = nil
		t.heap = t.heap[:last]
		c.dueAt = -1
		if i < last {
			t.fix(i)
		}
	case c.dueAt < 0:
		c.due, c.dueAt = due, len(t.heap)
		t.heap = append(t.heap, c)
		t.fix(c.dueAt)
	default:
		c.due = due
		t.fix(c.dueAt)
	}
}

// fix restores the order around i.
func (t *timeouts) fix(i int) {
	for i > 0 && t.less(i, (i-1)/2) {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(t.heap) && t.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

// next returns how long a loop may sleep before the first timeout is due,
// rounded up to a whole tick. There has to be one.
func (t *timeouts) next(now time.Time) time.Duration {
	wait := max(t.heap[0].due.Sub(now), 0)
	return (wait + tick - 1) / tick * tick
}

// expired removes and returns the first connection whose timeout is due, or
// nil.
func (t *timeouts) expired(now time.Time) *loopConn {
	if len(t.heap) == 0 || t.heap[0].due.After(now) {
		return nil
	}
	c := t.heap[0]
	t.set(c, time.Time{})
	return c
}
