package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// linesPerSecond is how many lines of one message are written in each
	// second. Of those beyond one in oneIn is.
	linesPerSecond = 100
	oneIn          = 100

	// leftOutPeriod is the time between lines that tell what was left out.
	leftOutPeriod = 5 * time.Second
)

// sampler leaves lines out of the log where too many say the same, as in a
// storm of failed handshakes. It counts them, and leaves out no error. The zero
// value leaves out nothing; its methods may be called from any goroutine.
type sampler struct {
	on atomic.Bool

	mu    sync.Mutex
	rates map[string]*rate // by message, of which there are as many as docs/logs.md has
	total uint64           // left out since the start
}

// rate is what became of the lines of one message.
type rate struct {
	second  int64 // since 1970
	lines   int   // in that second
	leftOut uint64
}

func newSampler(on bool) *sampler {
	s := &sampler{}
	s.on.Store(on)
	return s
}

// admits reports whether a line is to be written.
func (s *sampler) admits(e zapcore.Entry) bool {
	if e.Level >= zapcore.ErrorLevel || !s.on.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rates[e.Message]
	if r == nil {
		if s.rates == nil {
			s.rates = map[string]*rate{}
		}
		r = &rate{}
		s.rates[e.Message] = r
	}
	if now := e.Time.Unix(); now != r.second {
		r.second, r.lines = now, 0
	}
	r.lines++
	if r.lines <= linesPerSecond || (r.lines-linesPerSecond)%oneIn == 0 {
		return true
	}
	r.leftOut++
	s.total++
	return false
}

// leftOut returns how many lines were left out since the start.
func (s *sampler) leftOut() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// take returns by message how many lines were left out since it was called last.
func (s *sampler) take() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[string]uint64{}
	for message, r := range s.rates {
		if r.leftOut > 0 {
			list[message], r.leftOut = r.leftOut, 0
		}
	}
	return list
}

// tell writes to the log what was left out of it, now and then until ctx ends,
// and once more then.
func (s *sampler) tell(ctx context.Context, log *zap.Logger) {
	tick := time.NewTicker(leftOutPeriod)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		list := s.take()
		for _, message := range slices.Sorted(maps.Keys(list)) {
			log.Warn("lines of the log were left out", zap.String("message", message), zap.Uint64("lines", list[message]))
		}
	}
}

// sampled is a log that a sampler leaves lines out of. Who calls Write has
// decided already: so does the audit stream, which loses none.
type sampled struct {
	zapcore.Core
	sampler *sampler
}

// With implements zapcore.Core.
func (c sampled) With(fields []zapcore.Field) zapcore.Core {
	return sampled{c.Core.With(fields), c.sampler}
}

// Check implements zapcore.Core.
func (c sampled) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(e.Level) || !c.sampler.admits(e) {
		return ce
	}
	return c.Core.Check(e, ce)
}
