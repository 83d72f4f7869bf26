package app

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

	// reportPeriod is the time between reports of what was suppressed.
	reportPeriod = 5 * time.Second
)

// sampler suppresses lines of the log that repeat too often, as in a storm of failed
// handshakes, and counts them. Errors are never suppressed. zap's sampler decides,
// by level and message, both of which are constant. The zero value suppresses
// nothing; the methods may be called from any goroutine.
type sampler struct {
	on atomic.Bool

	mu    sync.Mutex
	left  map[string]uint64 // since the last report, by message
	total uint64            // since the start
}

// sample returns a core that drops the lines suppressed by the sampler.
func (s *sampler) sample(core zapcore.Core) zapcore.Core {
	return sampled{zapcore.NewSamplerWithOptions(core, time.Second, linesPerSecond, oneIn, zapcore.SamplerHook(s.count)), s}
}

func (s *sampler) count(e zapcore.Entry, decision zapcore.SamplingDecision) {
	if decision&zapcore.LogDropped == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == nil {
		s.left = map[string]uint64{}
	}
	s.left[e.Message]++
	s.total++
}

// suppressed returns how many lines were suppressed since the start.
func (s *sampler) suppressed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// run logs periodically what was suppressed, until ctx ends, and once more then.
func (s *sampler) run(ctx context.Context, log *zap.Logger) {
	tick := time.NewTicker(reportPeriod)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		s.mu.Lock()
		left := s.left
		s.left = nil
		s.mu.Unlock()
		for _, message := range slices.Sorted(maps.Keys(left)) {
			log.Warn("log messages suppressed", zap.String("message", message), zap.Uint64("lines", left[message]))
		}
	}
}

// sampled is zap's sampler, bypassed if it has nothing to decide. Calls of Write
// are not sampled: the audit stream makes them, which loses no line.
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
	if e.Level < zapcore.ErrorLevel && c.sampler.on.Load() || !c.Enabled(e.Level) {
		return c.Core.Check(e, ce)
	}
	return ce.AddCore(e, c.Core)
}
