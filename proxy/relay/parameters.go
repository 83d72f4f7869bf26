package relay

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/ownsql"
	"github.com/pgseal/pgseal/proxy/relay/params"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// parameters are a session's run-time parameters: what its client wished for,
// and what was reported to it. What a server only reports is nobody's wish.
type parameters struct {
	cfg      *Config
	ex       *exchange
	startup  []wire.Parameter // of the startup packet: what RESET means
	wishes   []wire.Parameter // those, and what was set since; holds between transactions; is replaced, never changed
	reported []wire.Parameter // by ParameterStatus; is replaced, never changed
	withheld bool             // reports were kept back that the client may have to get
	custom   bool             // some of those are custom: whether one is '' or was reset can't be seen
	exact    bool             // its texts reset parameters so that nobody could bring the startup values back in time
	context  string           // see prepared.Context
	fresh    bool             // context is up to date
	reports  bool             // what the server reports has changed
	defaults bool             // and so have its defaults
}

func (p *parameters) wish(list []wire.Parameter) { p.wishes, p.fresh = list, false }

// greet takes what a live server reports for what is reported to the client at
// login, except for its own startup values.
func (p *parameters) greet(reported []wire.Parameter) {
	for _, w := range p.startup {
		if i := params.FindFold(reported, w.Name); i >= 0 && reported[i].Value != w.Value {
			reported = params.Replace(reported, wire.Parameter{Name: reported[i].Name, Value: w.Value})
		}
	}
	p.setReported(reported)
}

// asks reports whether the client asked for parameters that only a server can
// judge.
func (p *parameters) asks() bool {
	for _, w := range p.startup {
		if !strings.EqualFold(w.Name, params.ApplicationName) {
			return true
		}
	}
	return false
}

// needsExact reports whether the client can use only a server that was opened
// with its startup values.
func (p *parameters) needsExact() bool { return (p.exact || !p.cfg.Shared) && p.asks() }

// appendSetup appends the queries that make a server's session the client's, and
// says whether the client's messages have to wait for the answer. Only
// application_name changes nothing that they do. names says that the client has
// prepared statements.
func (p *parameters) appendSetup(dst []byte, names bool) (out []byte, wait bool) {
	s := p.ex.server
	if s.unverified && s.sentinel == "" {
		s.unverified = false
	}
	if s.unverified && names {
		dst = wire.AppendNamed(dst, wire.Describe, 'S', s.sentinel)
		p.ex.push(entry{kind: describe, flags: ours | checksSentinel})
		dst = wire.AppendSync(dst)
		p.ex.push(entry{kind: syncing, flags: ours | checksSentinel})
		wait = true
	}
	if s.seeded && s.holder != p.cfg.ID {
		dst = wire.AppendQuery(dst, "SELECT pg_catalog.setseed("+strconv.FormatFloat(rand.Float64()*2-1, 'f', -1, 64)+")")
		p.ex.push(entry{kind: query, flags: ours | bestEffort})
		s.seeded, s.unnamed, wait = false, 0, true
	}
	if s.params.Unlisted && s.holder != p.cfg.ID {
		dst = wire.AppendQuery(dst, "RESET ALL")
		p.ex.push(entry{kind: query, flags: ours | setsUp})
		s.params.Unlisted, s.unnamed, wait = false, 0, true
		s.params.Set = slices.DeleteFunc(slices.Clone(s.params.Set), func(w wire.Parameter) bool { return w.Name != params.Role })
	}
	set, reset := s.params.Difference(&p.wishes)
	if len(set)+len(reset) == 0 {
		return dst, wait
	}
	for _, w := range set {
		wait = wait || !strings.EqualFold(w.Name, params.ApplicationName)
	}
	for _, name := range reset {
		wait = wait || !strings.EqualFold(name, params.ApplicationName)
	}
	s.unnamed = 0 // a simple query ends it
	p.ex.push(entry{kind: query, flags: ours | setsUp | wishes})
	return wire.AppendQuery(dst, ownsql.Set(set, reset, false)), wait
}

// toRestore returns the startup values that have to be restored behind a
// statement with these effects, if it resets parameters: those that the server
// was not opened with.
func (p *parameters) toRestore(seen effects.Set) []wire.Parameter {
	startup := p.startup
	if seen&(effects.Resets|effects.Opaque) == 0 {
		return nil
	}
	if len(startup) == 0 || !p.ex.server.params.Covers(startup) {
		if seen&effects.Resets == 0 { // a custom parameter set to '' is meant so
			startup = slices.DeleteFunc(slices.Clone(startup), func(w wire.Parameter) bool { return strings.Contains(w.Name, ".") })
		}
		return startup
	}
	if i := params.FindFold(startup, params.ApplicationName); i >= 0 {
		return startup[i : i+1]
	}
	return nil
}

// analysed returns the values that analysis reads, as reported to the client or
// wished for by it.
func (p *parameters) analysed() string {
	if !p.fresh {
		p.context, p.fresh = prepared.Context(p.reported, p.wishes), true
	}
	return p.context
}
