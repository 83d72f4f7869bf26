package proxy

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// Who an error comes from.
const (
	ErrorOurs   = "pgseal"
	ErrorServer = "server"
)

// ErrorClass is a kind of error that clients were sent.
type ErrorClass struct {
	Source string // ErrorOurs or ErrorServer
	Class  string // the first two characters of its SQLSTATE, or "other"
}

// ErrorEvent is an error that a client was sent.
type ErrorEvent struct {
	Time     time.Time
	Client   uint64 // the session's number in the log
	Database string // what the client asked for, also where it did not log in
	User     string
	Source   string // ErrorOurs or ErrorServer
	Severity string
	Code     string // SQLSTATE
	Message  string // empty for a server's, since it may hold data
}

const (
	keptErrors  = 100
	keptName    = 63  // bytes of a role's or database's name
	keptMessage = 200 // bytes of an error's text
)

// errorLog counts the errors that clients were sent and remembers the last. The
// zero value is ready for use, by any goroutine.
type errorLog struct {
	mu     sync.Mutex
	counts map[ErrorClass]uint64
	last   [keptErrors]ErrorEvent
	next   int // place in last
}

func (l *errorLog) add(e ErrorEvent) {
	class := ErrorClass{e.Source, classOf(e.Code)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[ErrorClass]uint64{}
	}
	l.counts[class]++
	l.last[l.next] = e
	l.next = (l.next + 1) % keptErrors
}

// ErrorCounts returns how many errors clients were sent since the start. The
// caller owns the map, which has few entries whatever servers send.
func (p *Server) ErrorCounts() map[ErrorClass]uint64 {
	p.errors.mu.Lock()
	defer p.errors.mu.Unlock()
	all := make(map[ErrorClass]uint64, len(p.errors.counts))
	for class, n := range p.errors.counts {
		all[class] = n
	}
	return all
}

// LastErrors returns the last errors that clients were sent, the newest first:
// a hundred at most.
func (p *Server) LastErrors() []ErrorEvent {
	p.errors.mu.Lock()
	defer p.errors.mu.Unlock()
	list := make([]ErrorEvent, 0, keptErrors)
	for i := range keptErrors {
		if e := &p.errors.last[(p.errors.next+keptErrors-1-i)%keptErrors]; !e.Time.IsZero() {
			list = append(list, *e)
		}
	}
	return list
}

// noteError notes an error that the client is sent: ours, or that in the body
// of a server's message.
func (s *session) noteError(ours *wire.Error, theirs []byte) {
	e := ErrorEvent{Time: time.Now(), Client: s.id, Database: short(s.database, keptName), User: short(s.user, keptName), Source: ErrorServer}
	if ours != nil {
		e.Severity, e.Code = ours.Severity, ours.Code
		if !ours.Foreign {
			e.Source, e.Message = ErrorOurs, short(ours.Message, keptMessage)
		}
	} else {
		e.Severity, e.Code = severityAndCode(theirs)
	}
	s.proxy.errors.add(e)
}

// severityAndCode reads the body of an ErrorResponse as far as it is there.
func severityAndCode(body []byte) (severity, code string) {
	for len(body) > 1 && body[0] != 0 {
		end := bytes.IndexByte(body[1:], 0)
		if end < 0 {
			break
		}
		switch value := body[1 : 1+end]; body[0] {
		case 'V':
			severity = short(string(value), len("WARNING"))
		case 'C':
			code = short(string(value), len(wire.CodeInternal))
		}
		body = body[2+end:]
	}
	return severity, code
}

// short returns a copy of text that takes no more than limit bytes and is valid
// UTF-8.
func short(text string, limit int) string {
	return strings.ToValidUTF8(strings.Clone(text[:min(len(text), limit)]), "")
}

// errorClasses are those of PostgreSQL (appendix "PostgreSQL Error Codes").
var errorClasses = strings.Fields("00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F " +
	"34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX")

func classOf(code string) string {
	if len(code) == 5 {
		if i, ok := slices.BinarySearch(errorClasses, code[:2]); ok {
			return errorClasses[i]
		}
	}
	return "other"
}
