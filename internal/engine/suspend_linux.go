package engine

import "sync"

// Suspend implements Engine. Each connection is held as if another one had bytes
// of it that nobody takes.
func (e *Loops) Suspend() {
	e.onEach(func(l *loop) {
		if l.suspended {
			return
		}
		l.suspended = true
		for _, c := range l.conns {
			if c != nil {
				c.held.Add(1)
			}
		}
	})
}

// Resume implements Engine.
func (e *Loops) Resume() {
	e.onEach(func(l *loop) {
		if !l.suspended {
			return
		}
		l.suspended = false
		for _, c := range l.conns {
			if c != nil {
				c.release()
				c.protect(c.tellMissed)
			}
		}
	})
}

// tellMissed tells the handler of a peer that left meanwhile, where reading
// will not.
func (c *loopConn) tellMissed() {
	missed := c.missed
	c.missed = false
	if missed && !c.mayRead() {
		c.hangUp()
	}
}

// Unsent implements Engine.
func (e *Loops) Unsent() (n int) {
	var mu sync.Mutex
	e.onEach(func(l *loop) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range l.conns {
			if c != nil && c.io.unsent() {
				n++
			}
		}
	})
	return n
}

// onEach calls f on each loop, and returns when all have done it.
func (e *Loops) onEach(f func(l *loop)) {
	var done sync.WaitGroup
	done.Add(len(e.loops))
	for _, l := range e.loops {
		l.post(func() {
			defer done.Done()
			f(l)
		})
	}
	done.Wait()
}
