package status

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

// How bad something is, and how bad the worst of all is.
const (
	StateOK        = "ok"
	StateAttention = "attention" // should be looked at in office hours
	StateTrouble   = "trouble"   // clients suffer, or are about to
)

// Thresholds of findings. They are those of deploy/prometheus, except for
// waits, which the page reports earlier.
const (
	longWait    = time.Second
	tooLongWait = 5 * time.Second
	soonExpired = 14 * 24 * time.Hour
	nowExpired  = 3 * 24 * time.Hour
	maxFindings = 20
)

// Finding is something that is not as it should be, in one sentence.
type Finding struct {
	State string `json:"state"` // attention or trouble
	Text  string `json:"text"`
}

// Word is what people are shown of the state.
func (f Finding) Word() string {
	if f.State == StateTrouble {
		return "problem"
	}
	return "warning"
}

// findings collects what is wrong.
type findings []Finding

func (f *findings) add(state, format string, args ...any) {
	*f = append(*f, Finding{state, fmt.Sprintf(format, args...)})
}

// sorted returns the worst findings first, limited to what can be read.
func (f findings) sorted() []Finding {
	slices.SortStableFunc(f, func(a, b Finding) int { return b2i(b.State == StateTrouble) - b2i(a.State == StateTrouble) })
	if more := len(f) - maxFindings; more > 0 {
		f = append(f[:maxFindings], Finding{f[maxFindings].State, fmt.Sprintf("and %d more", more)})
	}
	if f == nil {
		return []Finding{}
	}
	return f
}

// headline says in a few words how it goes.
func headline(list []Finding) (state, text string) {
	switch len(list) {
	case 0:
		return StateOK, "All is well"
	case 1:
		return list[0].State, list[0].Text
	}
	troubles := 0
	for _, f := range list {
		troubles += b2i(f.State == StateTrouble)
	}
	var parts []string
	if troubles > 0 {
		parts = append(parts, plural(troubles, "problem"))
	}
	if rest := len(list) - troubles; rest > 0 {
		parts = append(parts, plural(rest, "warning"))
	}
	return list[0].State, strings.Join(parts, ", ")
}

// cause returns why a pool has no server connection. Clients are not told, but
// readers of this page may know.
func cause(err error) string {
	if told, ok := errors.AsType[*wire.Error](err); ok && told.Unwrap() != nil {
		err = told.Unwrap()
	}
	return clean(err.Error())
}

func (f *findings) pool(s *stats.Pool, minute *span) {
	name := clean(s.Database) + "/" + clean(s.User)
	if s.LastError != nil {
		f.add(StateTrouble, "%s has no server connection; the last attempt failed: %s", name, cause(s.LastError))
	} else if minute.failed > 0 {
		f.add(StateAttention, "%s of %s failed in the last minute", plural(int(minute.failed), "server connection"), name)
	}
	if minute.timeouts > 0 {
		f.add(StateTrouble, "%s of %s timed out waiting for a server connection in the last minute", plural(int(minute.timeouts), "client"), name)
	}
	if s.MaxWait < longWait {
		return
	}
	state, verb := StateAttention, "wait"
	if s.MaxWait >= tooLongWait {
		state = StateTrouble
	}
	if s.Waiting == 1 {
		verb = "waits"
	}
	f.add(state, "%s %s in %s, the longest for %s", plural(s.Waiting, "client"), verb, name, inWords(s.MaxWait))
}

func (f *findings) database(d *stats.Database) {
	switch {
	case d.Disabled:
		f.add(StateAttention, "database %s is disabled: it accepts no new clients", clean(d.Name))
	case d.Paused:
		f.add(StateAttention, "database %s is paused: its clients wait until RESUME", clean(d.Name))
	}
}

func (f *findings) room(busy, limit int) {
	switch {
	case limit > 0 && busy >= limit:
		f.add(StateTrouble, "client limit reached: %d of max_client_conn %d", busy, limit)
	case limit > 0 && busy*10 >= limit*9:
		f.add(StateAttention, "client limit almost reached: %d of max_client_conn %d", busy, limit)
	}
}

func (f *findings) certificate(c *CertificateRow) {
	if c.State == ExpiryOK || c.State == ExpiryNone {
		return
	}
	state := StateAttention
	if c.urgent {
		state = StateTrouble
	}
	what := map[string]string{stats.KindAuthority: "authority", stats.KindCRL: "CRL"}[c.Kind]
	if what == "" {
		what = "certificate"
	}
	where := c.Where[0]
	if more := len(c.Where) - 1; more > 0 {
		where += fmt.Sprintf(" and %d more", more)
	}
	f.add(state, "%s of %s (%s) %s", what, where, c.Name, c.Left)
}

func (f *findings) files(name string, s stats.ReloadStatus) {
	if s.LastError != nil {
		// The error begins with the name, where a store wrote it.
		f.add(StateAttention, "reload of %s failed, the old version is in force: %s", clean(name), clean(strings.TrimPrefix(s.LastError.Error(), name+": ")))
	}
}

// States of what expires.
const (
	ExpiryOK      = "ok"
	ExpirySoon    = "soon"
	ExpiryExpired = "expired"
	ExpiryNone    = "none" // it does not say
)

// expiry judges by the time left, and by less for what lives short.
func expiry(notBefore, notAfter, now time.Time) (state, left string, urgent bool) {
	life, rest := notAfter.Sub(notBefore), notAfter.Sub(now)
	switch {
	case notAfter.IsZero():
		return ExpiryNone, "does not expire", false
	case rest <= 0:
		return ExpiryExpired, "expired " + inWords(-rest) + " ago", true
	case rest < min(soonExpired, life/4):
		return ExpirySoon, "expires in " + inWords(rest), rest < min(nowExpired, life/10)
	}
	return ExpiryOK, "expires in " + inWords(rest), false
}
