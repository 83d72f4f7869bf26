package app

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgseal/pgseal/internal/config"
)

// auditRetry is the pause after audit lines could not be written.
const auditRetry = time.Second

// auditStats counts, since the start, what went wrong with an audit file.
type auditStats struct {
	Errors uint64 // failed attempts to write or reopen it
	Lost   uint64 // lines
}

// auditFile is the file of the audit stream. Writing to its log never blocks: lines
// that cannot be written are buffered, up to the log's backlog, and those beyond it
// are counted and reported in the ordinary log.
type auditFile struct {
	path   string
	audit  *zap.Logger
	log    *zap.Logger // the ordinary one
	lines  *logLines
	again  chan struct{} // nudges a write that failed
	closed chan struct{}

	errors, lost atomic.Uint64 // see auditStats

	mu   sync.Mutex
	file *os.File
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
			a.log.Info("audit file writable again", zap.String("path", a.path))
			return len(b), nil
		case err == nil:
			return len(b), nil
		case errors.Is(err, os.ErrClosed):
			continue // it has been reopened meanwhile
		case !failing:
			failing = true
			a.log.Error("could not write to audit file, retrying", zap.String("path", a.path), zap.Error(err))
		}
		a.errors.Add(1)
		select {
		case <-time.After(auditRetry):
		case <-a.again:
		case <-a.closed:
			a.lose(bytes.Count(rest, []byte("\n")))
			return len(b) - len(rest), err
		}
	}
}

// lose counts and reports lines that will never be written.
func (a *auditFile) lose(lines int) {
	a.lost.Add(uint64(lines))
	a.log.Error("audit events lost", zap.String("path", a.path), zap.Int("lines", lines))
}

// reopen continues with the file that has the name now, as after a log rotation. If
// that fails, it continues with the old one.
func (a *auditFile) reopen() {
	f, err := openAppend(a.path)
	if err != nil {
		a.errors.Add(1)
		a.log.Error("could not reopen audit file, continuing with the old one", zap.Error(err))
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

// close flushes the file, if that can be done soon.
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

// audit is the part of log.audit_file: where audit lines go.
type audit struct {
	plain
	path    string // empty: the ordinary log
	log     *zap.Logger
	current *auditFile   // nil: the ordinary log
	opened  []*auditFile // since the start, to be closed at the end: a login under way may still write to any
}

func (s *audit) load(a *App, f config.File, old *setup) error {
	if *s = old.audit; !old.empty() && s.path == f.Log.AuditFile {
		return nil
	}
	return f.Fault("log.audit_file", s.open(f.Log.AuditFile, a.log))
}

// open has lines go to the file at path from now on.
func (s *audit) open(path string, log *zap.Logger) (err error) {
	s.path, s.current = path, nil
	if path == "" {
		s.log = log.Named("audit").WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return unfiltered{c} }))
		return nil
	}
	if s.current, err = openAudit(path, log); err != nil {
		return err
	}
	s.log = s.current.audit
	s.opened = append(slices.Clip(s.opened), s.current)
	return nil
}

func (s *audit) same(old *setup) bool { return s.path == old.audit.path }

// reopen has lines go on in the file that has the name now.
func (s *audit) reopen() {
	if s.current != nil {
		s.current.reopen()
	}
}

// close flushes the files. Nothing may write to any of them afterwards.
func (s *audit) close() {
	for _, file := range s.opened {
		file.close()
	}
}

// stats returns what went wrong with all files since the start.
func (s *audit) stats() (sum auditStats) {
	for _, file := range s.opened {
		sum.Errors += file.errors.Load()
		sum.Lost += file.lost.Load()
	}
	return sum
}

// unfiltered writes lines of every level: the audit stream has none to leave
// out.
type unfiltered struct{ zapcore.Core }

func (unfiltered) Enabled(zapcore.Level) bool { return true }

func (u unfiltered) With(fields []zapcore.Field) zapcore.Core { return unfiltered{u.Core.With(fields)} }

func (u unfiltered) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, u)
}
