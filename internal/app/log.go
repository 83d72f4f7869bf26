package app

import (
	"io"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgseal/pgseal/internal/config"
)

// logBacklog is how many bytes of log may wait for whoever reads it. Beyond
// that lines are counted instead of kept: pgseal must not stop because its log
// is not read.
const logBacklog = 4 << 20

// logging is the part of the section log, but for the audit stream and what the
// proxy and the statistics read of it. The format is that of the start.
type logging struct {
	plain
	config config.Log
}

func (l *logging) load(_ *App, f config.File, _ *setup) error {
	l.config = f.Log
	return nil
}

func (l *logging) same(old *setup) bool { return *l == old.logging }

func (l *logging) apply(a *App) { a.output.configure(l.config) }

// output is where the log goes.
type output struct {
	level   zap.AtomicLevel
	sampler sampler
	lines   *logLines
}

// newOutput returns a log of constant messages with typed fields, and what writes
// it to w until its lines are ended. Logging never waits for w.
func newOutput(c config.Log, w io.Writer) (log *zap.Logger, o *output) {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.SecondsDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if c.Format == "console" {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeDuration = zapcore.StringDurationEncoder
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	o = &output{level: zap.NewAtomicLevel(), lines: newLogLines(w)}
	o.configure(c)
	log = zap.New(o.sampler.sample(zapcore.NewCore(encoder, o.lines, o.level)))
	go o.lines.run(func(lost int) {
		log.Error("log messages lost, standard error is blocked", zap.Int("lines", lost))
	})
	return log, o
}

func (o *output) configure(c config.Log) {
	o.level.SetLevel(c.ZapLevel())
	o.sampler.on.Store(c.Sampling)
}

// logLines is a log that never makes its writer wait: event loops write to it.
// zapcore.BufferedWriteSyncer does, once its buffer is full and nobody reads.
type logLines struct {
	out  io.Writer
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	waiting []byte
	lost    int
	ended   bool
}

// newLogLines returns a log to w, which run has to be called of.
func newLogLines(w io.Writer) *logLines {
	return &logLines{out: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write implements zapcore.WriteSyncer.
func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	if len(l.waiting)+len(line) > logBacklog {
		l.lost++
	} else {
		l.waiting = append(l.waiting, line...)
	}
	l.mu.Unlock()
	l.nudge()
	return len(line), nil
}

// Sync implements zapcore.WriteSyncer. The lines are on their way.
func (l *logLines) Sync() error { return nil }

func (l *logLines) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run writes what waits until end is called and all is written. Two buffers
// take turns: one is filled while the other is written.
func (l *logLines) run(report func(lost int)) {
	defer close(l.done)
	var written []byte
	for {
		lines, lost, ended := l.swap(written)
		if lost > 0 {
			report(lost)
		}
		switch {
		case len(lines) > 0:
			l.out.Write(lines)
		case ended:
			return
		default:
			<-l.wake
		}
		if written = lines; cap(written) > logBacklog/16 {
			written = nil
		}
	}
}

// swap takes the lines that wait, and has those that follow put into empty.
func (l *logLines) swap(empty []byte) (lines []byte, lost int, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, lost = l.waiting, l.lost
	l.waiting, l.lost = empty[:0], 0
	return lines, lost, l.ended
}

// end waits until all lines are written, but not for ever, and reports whether
// they were.
func (l *logLines) end() bool {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.nudge()
	select {
	case <-l.done:
		return true
	case <-time.After(time.Second):
		return false
	}
}
