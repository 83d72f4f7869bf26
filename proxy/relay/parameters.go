package relay

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/params"
	"github.com/pgseal/pgseal/proxy/relay/sessionsql"
)

// parameters are a session's run-time parameters: what its client wished for,
// and what it was told of them. What a server only reports is nobody's wish.
type parameters struct {
	startup []wire.Parameter // of the startup packet: what RESET means
	wishes  []wire.Parameter // those, and what was set since; holds between transactions; is replaced, never changed
	told    []wire.Parameter // by ParameterStatus; is replaced, never changed
	held    bool             // reports were kept back that the client may have to be told of
	custom  bool             // some of those are custom: whether one is '' or was reset can't be seen
	exact   bool             // its texts reset parameters so that nobody could bring the startup values back in time
	context string           // see sessionsql.Context
	fresh   bool             // context is up to date
}

func (p *parameters) wish(list []wire.Parameter) { p.wishes, p.fresh = list, false }

func (p *parameters) tell(list []wire.Parameter) { p.told, p.fresh = list, false }

// now returns the values that analysis reads in the session, and false where they
// are not known: something may have changed them since PostgreSQL was asked. A
// default that no server reports has no value in it.
func (r *Relay) now() (context string, certain bool) {
	if r.state.suspect&effects.Analysis != 0 || r.survey != nil {
		return "", false
	}
	p := &r.params
	if !p.fresh {
		p.context, p.fresh = sessionsql.Context(p.told, p.wishes), true
	}
	return p.context, true
}

// appendSetup appends the queries that make a server's session the client's, and
// says whether the client's messages have to wait for the answer. Only
// application_name changes nothing that they do.
func (r *Relay) appendSetup(dst []byte) (out []byte, wait bool) {
	s := r.x.server
	if s.unverified && s.probe == "" {
		s.unverified = false
	}
	if s.unverified && len(r.names.byName) > 0 {
		dst = wire.AppendNamed(dst, wire.Describe, 'S', s.probe)
		r.x.push(entry{kind: describe, flags: ours | probe})
		dst = wire.AppendSync(dst)
		r.x.push(entry{kind: syncing, flags: ours | probe})
		wait = true
	}
	if s.seeded && s.holder != r.cfg.ID {
		dst = wire.AppendQuery(dst, "SELECT pg_catalog.setseed("+strconv.FormatFloat(rand.Float64()*2-1, 'f', -1, 64)+")")
		r.x.push(entry{kind: query, flags: ours | aside})
		s.seeded, s.unnamed, wait = false, 0, true
	}
	if s.params.Unlisted && s.holder != r.cfg.ID {
		dst = wire.AppendQuery(dst, "RESET ALL")
		r.x.push(entry{kind: query, flags: ours | setsUp})
		s.params.Unlisted, s.unnamed, wait = false, 0, true
		s.params.Set = slices.DeleteFunc(slices.Clone(s.params.Set), func(p wire.Parameter) bool { return p.Name != params.Role })
	}
	set, reset := s.params.Difference(&r.params.wishes)
	if len(set)+len(reset) == 0 {
		return dst, wait
	}
	for _, p := range set {
		wait = wait || !strings.EqualFold(p.Name, params.ApplicationName)
	}
	for _, name := range reset {
		wait = wait || !strings.EqualFold(name, params.ApplicationName)
	}
	s.unnamed = 0 // a simple query ends it
	r.x.push(entry{kind: query, flags: ours | setsUp | wishes})
	return wire.AppendQuery(dst, sessionsql.Set(set, reset, false)), wait
}

// report takes a ParameterStatus. It reports whether the client is to be told at
// once: what our own queries bring about is kept back until they are over.
func (r *Relay) report(body []byte, hidden bool) (tell bool) {
	p, err := wire.ParseParameterStatus(body)
	if err != nil {
		return !hidden
	}
	list := params.Replace(r.x.server.params.Reported, p)
	if params.Same(list, r.x.server.params.Reported) {
		return !hidden
	}
	r.x.server.params.Reported, r.reports = list, true
	r.defaults = r.defaults || r.cfg.Shared && p.Name != params.ApplicationName // unless the session has set it, which is seen when nothing is suspected
	if hidden || r.life.left {
		r.params.held = true
		return false
	}
	if i := params.Find(r.params.told, p.Name); i < 0 || r.params.told[i] != p {
		r.params.tell(params.Replace(r.params.told, p))
	}
	if !r.cfg.Shared && !r.cfg.Stream && r.state.suspect == 0 {
		r.defaults = true // nothing in the session can have set it
	}
	if r.cfg.Shared && !r.x.ledger.empty() {
		r.state.suspect |= effects.Settings | effects.Analysis // something set it, whether its text showed or not
	}
	return true
}

// knowsAll reports whether the client was told what the server reports.
func (r *Relay) knowsAll() bool {
	equal, changed := params.Unify(&r.params.told, &r.x.server.params.Reported)
	r.reports = r.reports || changed // by another list
	return equal
}

// catchUp appends ParameterStatus messages for what the client was told
// otherwise, when no more of our own queries are under way.
func (r *Relay) catchUp(dst []byte) []byte {
	r.params.held = false
	if r.knowsAll() {
		return dst
	}
	now := r.x.server.params.Reported
	for _, p := range now {
		if i := params.Find(r.params.told, p.Name); i < 0 || r.params.told[i] != p {
			dst = wire.AppendParameterStatus(dst, p)
		}
	}
	r.params.tell(now)
	return dst
}
