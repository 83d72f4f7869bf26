package main

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// auditRetry is the pause after audit lines could not be written.
const auditRetry = time.Second

// auditStats counts, since the start, what went wrong with an audit file.
type auditStats struct {
	Errors uint64 // attempts to write, or to open it anew
	Lost   uint64 // lines
}

// auditFile is the file of the audit stream. Who writes to its log never waits:
// lines that can't be written wait instead, up to the log's backlog, and those
// beyond it are counted, and told in the ordinary log.
type auditFile struct {
	path   string
	audit  *zap.Logger
	log    *zap.Logger // the ordinary one
	lines  *logLines
	again  chan struct{} // nudges a write that failed
	closed chan struct{}

	mu    sync.Mutex
	file  *os.File
	stats auditStats
}

// openAudit opens the file at path for appending, or makes it, readable for its
// owner only.
func openAudit(path string, log *zap.Logger) (*auditFile, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	a := &auditFile{path: path, log: log, file: f, again: make(chan struct{}, 1), closed: make(chan struct{})}
	a.lines = newLogLines(a)
	enc := zap.NewProductionEncoderConfig()
	enc.MessageKey, enc.LevelKey = "event", zapcore.OmitKey
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	a.audit = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(enc), a.lines, zap.DebugLevel))
	go a.lines.run(a.lose)
	return a, nil
}

func openAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// Write implements io.Writer for the lines: it does not return before all of b
// is in the file, or the file is closed.
func (a *auditFile) Write(b []byte) (int, error) {
	for rest, failing := b, false; ; {
		a.mu.Lock()
		f := a.file
		a.mu.Unlock()
		n, err := f.Write(rest)
		rest = rest[n:]
		switch {
		case err == nil && failing:
			a.log.Info("audit lines are written again", zap.String("path", a.path))
			return len(b), nil
		case err == nil:
			return len(b), nil
		case errors.Is(err, os.ErrClosed):
			continue // it was opened anew meanwhile
		case !failing:
			failing = true
			a.log.Error("audit lines can't be written and wait", zap.String("path", a.path), zap.Error(err))
		}
		a.count(auditStats{Errors: 1})
		select {
		case <-time.After(auditRetry):
		case <-a.again:
		case <-a.closed:
			a.lose(bytes.Count(rest, []byte("\n")))
			return len(b) - len(rest), err
		}
	}
}

// lose tells of lines that will never be written.
func (a *auditFile) lose(lines int) {
	a.count(auditStats{Lost: uint64(lines)})
	a.log.Error("audit lines were lost", zap.String("path", a.path), zap.Int("lines", lines))
}

func (a *auditFile) count(more auditStats) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Errors += more.Errors
	a.stats.Lost += more.Lost
}

// reopen goes on in the file that has the name now, as after a rotation. If that
// fails, it goes on in the one from before.
func (a *auditFile) reopen() {
	f, err := openAppend(a.path)
	if err != nil {
		a.count(auditStats{Errors: 1})
		a.log.Error("audit file can't be opened anew, lines go on to the old one", zap.Error(err))
		return
	}
	a.mu.Lock()
	old := a.file
	a.file = f
	a.mu.Unlock()
	old.Close()
	select {
	case a.again <- struct{}{}:
	default:
	}
}

// close writes what waits, if that can be done soon.
func (a *auditFile) close() {
	written := a.lines.end()
	close(a.closed)
	if !written {
		<-a.lines.done
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.file.Close()
}

// auditStream says where audit lines go: to a file, or to the ordinary log.
type auditStream struct {
	file *auditFile // nil: the log
	log  *zap.Logger
}

func newAuditStream(path string, log *zap.Logger) (*auditStream, error) {
	if path == "" {
		return &auditStream{log: log.Named("audit").WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return unfiltered{c} }))}, nil
	}
	file, err := openAudit(path, log)
	if err != nil {
		return nil, err
	}
	return &auditStream{file: file, log: file.audit}, nil
}

func (s *auditStream) reopen() {
	if s.file != nil {
		s.file.reopen()
	}
}

func (s *auditStream) close() {
	if s.file != nil {
		s.file.close()
	}
}

func (s *auditStream) stats() (stats auditStats) {
	if s.file != nil {
		s.file.mu.Lock()
		defer s.file.mu.Unlock()
		stats = s.file.stats
	}
	return stats
}

// unfiltered writes lines of every level: the audit stream has none to leave
// out.
type unfiltered struct{ zapcore.Core }

func (unfiltered) Enabled(zapcore.Level) bool { return true }

func (u unfiltered) With(fields []zapcore.Field) zapcore.Core { return unfiltered{u.Core.With(fields)} }

func (u unfiltered) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, u)
}
