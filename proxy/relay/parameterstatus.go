package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/params"
)

func (p *parameters) setReported(list []wire.Parameter) { p.reported, p.fresh = list, false }

// report takes a ParameterStatus. It returns whether the client gets it at
// once, and whether it is news: what our own queries bring about is kept back
// until they are over.
func (p *parameters) report(body []byte, hidden bool) (tell, news bool) {
	now, err := wire.ParseParameterStatus(body)
	if err != nil {
		return !hidden, false
	}
	list := params.Replace(p.ex.server.params.Reported, now)
	if params.Same(list, p.ex.server.params.Reported) {
		return !hidden, false
	}
	p.ex.server.params.Reported, p.reports = list, true
	p.defaults = p.defaults || p.cfg.Shared && now.Name != params.ApplicationName // unless the session has set it, which is seen when nothing is suspected
	if hidden {
		p.withheld = true
		return false, true
	}
	if i := params.Find(p.reported, now.Name); i < 0 || p.reported[i] != now {
		p.setReported(params.Replace(p.reported, now))
	}
	return true, true
}

// alignReported makes what was reported to the client and what the server reports one list
// if they are equal, and reports whether they are.
func (p *parameters) alignReported() bool {
	equal, changed := params.Unify(&p.reported, &p.ex.server.params.Reported)
	p.reports = p.reports || changed // by another list
	return equal
}

// catchUp appends ParameterStatus messages for what was last reported to the
// client otherwise, when none of our own queries is under way.
func (p *parameters) catchUp(dst []byte) []byte {
	p.withheld = false
	if p.alignReported() {
		return dst
	}
	now := p.ex.server.params.Reported
	for _, reported := range now {
		if i := params.Find(p.reported, reported.Name); i < 0 || p.reported[i] != reported {
			dst = wire.AppendParameterStatus(dst, reported)
		}
	}
	p.setReported(now)
	return dst
}

// hides reports whether a message is kept from the client: all that answers our
// own queries and messages, but for what concerns the client's session anyway,
// and everything once the client has gone.
func (a *answers) hides(typ byte, e *entry) bool {
	x := a.ex
	switch {
	case a.life.left:
		return true
	case e == nil || typ == wire.NotificationResponse:
		return false
	case e.kind == copySync:
		return x.copy.marked || typ == wire.ReadyForQuery && x.copy.state == resolving
	case e.is(ours):
		if e.note != nil && e.note.failed && e.note.waitingType == wire.Query {
			return typ != wire.ReadyForQuery
		}
		if e.is(restore) {
			return typ != wire.ReadyForQuery
		}
		// What is ours within the client's batch fails in its stead.
		return typ != wire.ErrorResponse || !e.inBatch()
	case e.is(restoreFollows):
		return typ == wire.ReadyForQuery || typ == wire.ParameterStatus
	}
	return false
}

// appendReports appends ParameterStatus messages for what our own queries have
// changed, once none of them is under way.
func (a *answers) appendReports(dst []byte) []byte {
	if !a.params.withheld || a.life.left || a.life.trial || a.life.refused != nil {
		return dst
	}
	if e := a.ex.ledger.first(); e != nil && (e.is(ours) || e.is(restoreFollows)) {
		return dst
	}
	return a.params.catchUp(dst)
}
