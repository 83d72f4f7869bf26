package relay

import (
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/params"
	"github.com/pgseal/pgseal/proxy/relay/sessionsql"
)

// maxCanceled is how often a session's surveys may be canceled before its state
// is taken for unknown.
const maxCanceled = 3

// survey is a question to PostgreSQL, what a session has left on its server, and
// the answer. It is asked between transactions, where rolled-back changes are
// gone and only what will last is left.
type survey struct {
	asked    effects.Set
	answer   sessionsql.Answer
	over     bool
	canceled bool
}

// beginSurvey returns the query to be sent to a server that is at rest.
func (r *Relay) beginSurvey() []byte {
	asked := r.toAsk()
	r.survey = &survey{asked: asked}
	r.state.suspect = 0
	r.x.push(entry{kind: query, flags: ours | asks})
	r.x.server.unnamed = 0 // a simple query ends it; the client's is carried there again
	return wire.AppendQuery(nil, sessionsql.Ask(asked, r.state.custom.Names, r.x.server.probe, r.x.server.params.Grants()))
}

// learn takes what a survey has found for the truth about the session. It reports
// false where nothing was found out.
func (r *Relay) learn() bool {
	v, e := r.survey, &r.state
	r.survey = nil
	switch {
	case v.canceled && e.canceled < maxCanceled:
		e.canceled++
		e.suspect |= v.asked // ask again
		return false
	case v.answer.Failed:
		e.pin(effects.UnknownState)
		return false
	}
	if v.answer.Found&effects.DeallocateAll != 0 {
		r.x.server.forgetCopies()
		r.forgetNames(e.opaque)
	}
	switch {
	case v.answer.TooLarge || v.asked&effects.Carried != 0 && e.custom.Overflow:
		e.pin(effects.LargeSettings)
	case v.asked&effects.Carried != 0:
		e.pins &^= effects.LargeSettings | effects.Privileged
		if r.cfg.Policy != Ignore {
			e.pin(v.answer.Found & effects.Privileged)
		}
		r.carry(v.answer.Settings, v.asked&effects.Role != 0)
	}
	if v.asked&effects.SessionAuth != 0 && v.answer.User != r.cfg.User {
		v.answer.Found |= effects.SessionAuth
	}
	e.pins &^= v.asked & effects.Surveyed
	if r.cfg.Policy != Ignore {
		e.pin(v.answer.Found & effects.Surveyed)
	}
	return true
}

// carry takes what is set in the server's session for the client's wishes, and
// what was reset to mean the startup value.
func (r *Relay) carry(set []wire.Parameter, withRole bool) {
	list := make([]wire.Parameter, 0, len(set))
	for _, p := range set {
		if params.FindFold(list, p.Name) < 0 {
			list = append(list, p)
		}
	}
	if i := params.Find(r.params.wishes, params.Role); !withRole && i >= 0 {
		list = append(list, r.params.wishes[i])
	}
	r.x.server.params.Set = list
	wishes := list
	for _, p := range r.params.startup {
		if params.FindFold(wishes, p.Name) < 0 {
			wishes = append(wishes[:len(wishes):len(wishes)], p)
		}
	}
	r.params.wish(wishes)
	r.seeSearchPath()
}

// seeSearchPath keeps a client on its server whose search_path names pg_temp:
// what it creates may be temporary, and hide what others have.
func (r *Relay) seeSearchPath() {
	e := &r.state
	e.pins &^= effects.TemporaryPath
	if !r.cfg.Shared || r.cfg.Policy == Ignore {
		return
	}
	for _, list := range [][]wire.Parameter{r.params.told, r.params.wishes} {
		if i := params.FindFold(list, "search_path"); i >= 0 && strings.Contains(strings.ToLower(list[i].Value), "pg_temp") {
			e.pin(effects.TemporaryPath)
		}
	}
}
