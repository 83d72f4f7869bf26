package app

import (
	"io"
	"sync"
	"time"
)

// logBacklog is how many bytes of log may wait for whoever reads it. Beyond
// that lines are counted instead of kept: pgseal must not stop because its log
// is not read.
const logBacklog = 4 << 20

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
