package relay

import (
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/ownsql"
	"github.com/pgseal/pgseal/proxy/relay/params"
)

// maxCanceled is how often a session's state probes may be canceled before its
// state is taken for unknown.
const maxCanceled = 3

// stateProbe is a query that asks PostgreSQL what a session has left on its server, and
// the answer. It is asked between transactions, where rolled-back changes are
// gone and only what will last is left.
type stateProbe struct {
	asked    effects.Set
	answer   ownsql.Answer
	done     bool
	canceled bool
}

// beginProbe returns the query to be sent to a server that is at rest.
func (s *sessionState) beginProbe() []byte {
	asked := s.toAsk()
	s.probe = &stateProbe{asked: asked}
	s.suspect = 0
	s.ex.push(entry{kind: query, flags: ours | probesState})
	s.ex.server.unnamed = 0 // a simple query ends it; the client's is carried there again
	return wire.AppendQuery(nil, ownsql.Ask(asked, s.custom.Names, s.ex.server.sentinel, s.ex.server.params.Grants()))
}

// learn takes what a state probe has found for the truth about the session. known is
// false if nothing was found out; forgotten says that statements which were
// prepared before the text that opaque is about are gone.
func (s *sessionState) learn() (known, forgotten bool) {
	v := s.probe
	s.probe = nil
	switch {
	case v.canceled && s.canceled < maxCanceled:
		s.canceled++
		s.suspect |= v.asked // ask again
		return false, false
	case v.answer.Failed:
		s.pin(effects.UnknownState)
		return false, false
	}
	if forgotten = v.answer.Found&effects.DeallocateAll != 0; forgotten {
		s.ex.server.forgetCopies()
	}
	switch {
	case v.answer.TooLarge || v.asked&effects.Carried != 0 && s.custom.Overflow:
		s.pin(effects.LargeSettings)
	case v.asked&effects.Carried != 0:
		s.pins &^= effects.LargeSettings | effects.Privileged
		if s.cfg.Policy != Ignore {
			s.pin(v.answer.Found & effects.Privileged)
		}
		s.carry(v.answer.Settings, v.asked&effects.Role != 0)
	}
	if v.asked&effects.SessionAuth != 0 && v.answer.User != s.cfg.User {
		v.answer.Found |= effects.SessionAuth
	}
	s.pins &^= v.asked & effects.Probed
	if s.cfg.Policy != Ignore {
		s.pin(v.answer.Found & effects.Probed)
	}
	return true, forgotten
}

// carry takes what is set in the server's session for the client's wishes, and
// what was reset to mean the startup value.
func (s *sessionState) carry(set []wire.Parameter, withRole bool) {
	list := make([]wire.Parameter, 0, len(set))
	for _, p := range set {
		if params.FindFold(list, p.Name) < 0 {
			list = append(list, p)
		}
	}
	if i := params.Find(s.params.wishes, params.Role); !withRole && i >= 0 {
		list = append(list, s.params.wishes[i])
	}
	s.ex.server.params.Set = list
	wishes := list
	for _, p := range s.params.startup {
		if params.FindFold(wishes, p.Name) < 0 {
			wishes = append(wishes[:len(wishes):len(wishes)], p)
		}
	}
	s.params.wish(wishes)
	s.checkSearchPath()
}

// checkSearchPath keeps a client on its server whose search_path names pg_temp:
// what it creates may be temporary, and hide what others have.
func (s *sessionState) checkSearchPath() {
	s.pins &^= effects.TemporaryPath
	if !s.cfg.Shared || s.cfg.Policy == Ignore {
		return
	}
	for _, list := range [][]wire.Parameter{s.params.reported, s.params.wishes} {
		if i := params.FindFold(list, "search_path"); i >= 0 && strings.Contains(strings.ToLower(list[i].Value), "pg_temp") {
			s.pin(effects.TemporaryPath)
		}
	}
}
