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

	// leftOutPeriod is the time between lines that tell what was left out.
	leftOutPeriod = 5 * time.Second
)

// sampler leaves lines out of the log where too many say the same, as in a
// storm of failed handshakes, counts them, and leaves out no error. zap's sampler
// decides, by the level and the message, both of which are constant. The zero
// value leaves out nothing; the methods may be called from any goroutine.
type sampler struct {
	on atomic.Bool

	mu    sync.Mutex
	left  map[string]uint64 // left out since tell told, by message
	total uint64            // left out since the start
}

// sample returns a log to core without the lines that the sampler leaves out.
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

// leftOut returns how many lines were left out since the start.
func (s *sampler) leftOut() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
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
		s.mu.Lock()
		left := s.left
		s.left = nil
		s.mu.Unlock()
		for _, message := range slices.Sorted(maps.Keys(left)) {
			log.Warn("log messages suppressed", zap.String("message", message), zap.Uint64("lines", left[message]))
		}
	}
}

// sampled is zap's sampler, passed by where it has nothing to decide. Who calls
// Write has decided already: so does the audit stream, which loses no line.
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
