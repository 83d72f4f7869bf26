package proxy

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

const (
	keptErrors  = 100
	keptName    = 63  // bytes of a role's or database's name
	keptMessage = 200 // bytes of an error's text
)

// errorLog counts the errors that clients were sent and remembers the last. The
// zero value is ready for use, by any goroutine.
type errorLog struct {
	counts stats.Counts[stats.ErrorClass]
	mu     sync.Mutex // guards what follows
	last   [keptErrors]stats.Error
	next   int // place in last
}

func (l *errorLog) add(e stats.Error) {
	l.counts.Inc(stats.ErrorClass{Source: e.Source, Class: classOf(e.Code)})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[l.next] = e
	l.next = (l.next + 1) % keptErrors
}

// read returns the last errors, the newest first.
func (l *errorLog) read() []stats.Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]stats.Error, 0, keptErrors)
	for i := range keptErrors {
		if e := &l.last[(l.next+keptErrors-1-i)%keptErrors]; !e.Time.IsZero() {
			list = append(list, *e)
		}
	}
	return list
}

// note notes an error that a client is sent: ours, or that in the body of a
// server's message.
func (l *errorLog) note(c *clientConn, ours *wire.Error, theirs []byte) {
	e := stats.Error{Time: time.Now(), Client: c.id, Database: short(c.database, keptName), User: short(c.user, keptName), Source: stats.ErrorServer}
	if ours != nil {
		e.Severity, e.Code = ours.Severity, ours.Code
		if !ours.Foreign {
			e.Source, e.Message = stats.ErrorOurs, short(ours.Message, keptMessage)
		}
	} else {
		e.Severity, e.Code = severityAndCode(theirs)
	}
	l.add(e)
}

// severityAndCode reads the body of an ErrorResponse as far as it is there.
func severityAndCode(body []byte) (severity, code string) {
	wire.ErrorFields(body, func(field byte, value []byte) {
		switch field {
		case 'V':
			severity = short(string(value), len("WARNING"))
		case 'C':
			code = short(string(value), len(wire.CodeInternal))
		}
	})
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
