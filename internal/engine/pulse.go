package engine

import (
	"context"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// probeEvery is the time between two probes of a Pulse.
const probeEvery = time.Second

// Pulse periodically posts an empty task to the loops of an engine, and takes
// the time until each has: what a connection has to wait for its turn, too.
type Pulse struct {
	engine Engine

	mu    sync.Mutex
	loops []beat
}

// beat is how one loop answers.
type beat struct {
	asked time.Time // the probe under way; zero: none
	lags  *stats.Histogram
}

// NewPulse returns a Pulse of an engine. It needs a goroutine in Run.
func NewPulse(e Engine) *Pulse {
	p := &Pulse{engine: e, loops: make([]beat, len(e.Stats()))}
	for i := range p.loops {
		p.loops[i].lags = new(stats.Histogram)
	}
	return p
}

// Run probes until ctx ends. It has to end before the engine is closed.
func (p *Pulse) Run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		p.probe()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Pulse) probe() {
	now := time.Now()
	p.mu.Lock()
	for i := range p.loops {
		if p.loops[i].asked.IsZero() {
			p.loops[i].asked = now
		}
	}
	p.mu.Unlock()
	p.engine.Probe(p.answered)
}

// answered runs on a loop. One that was late answers several probes at once,
// of which the first counts.
func (p *Pulse) answered(loop int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.loops[loop]
	if !b.asked.IsZero() {
		b.lags.Add(time.Since(b.asked))
		b.asked = time.Time{}
	}
}

// Late returns for how long the slowest loop has owed an answer.
func (p *Pulse) Late() (late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.loops {
		if !b.asked.IsZero() {
			late = max(late, time.Since(b.asked))
		}
	}
	return late
}

// Stats returns those of the engine, with how long each loop took to answer.
func (p *Pulse) Stats() []stats.Loop {
	list := p.engine.Stats()
	for i := range list {
		list[i].Lag = p.loops[i].lags.Read()
	}
	return list
}
