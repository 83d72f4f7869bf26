package relay

import (
	"encoding/hex"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// Parameters with a meaning of their own.
const (
	roleName        = "role" // that SET ROLE sets
	noRole          = "none" // its value where that was not run
	applicationName = "application_name"
	dateStyle       = "DateStyle"
)

// parameters are a session's run-time parameters: what its client wished for,
// and what it was told of them. What a server only reports is nobody's wish.
type parameters struct {
	startup []wire.Parameter // of the startup packet: what RESET means
	wishes  settled          // those, and what was set since; holds between transactions
	told    []wire.Parameter // by ParameterStatus; is replaced, never changed
	held    bool             // reports were kept back that the client may have to be told of
	custom  bool             // some of those are custom: whether one is '' or was reset can't be seen
	exact   bool             // its texts reset parameters so that nobody could bring the startup values back in time
	context string           // see context.go
	fresh   bool             // context is up to date
}

func (p *parameters) wish(list []wire.Parameter) { p.wishes, p.fresh = settled{list}, false }

func (p *parameters) tell(list []wire.Parameter) { p.told, p.fresh = list, false }

// findFold returns the place of a name in a list, in any case, or -1.
func findFold(list []wire.Parameter, name string) int {
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return i
		}
	}
	return -1
}

// merge returns list with p in it, in the place of what has its name.
func merge(list []wire.Parameter, p wire.Parameter) []wire.Parameter {
	if i := findFold(list, p.Name); i >= 0 {
		list[i] = p
		return list
	}
	return append(list, p)
}

// same reports whether two lists are equal. Most of the time they are one.
func same(a, b []wire.Parameter) bool {
	if len(a) != len(b) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b)
}

// unify is same, and makes two lists that are equal one, so that to compare them
// again costs a look at a pointer. Of many lists the one that lies first in
// memory is left in the end. It reports whether it put another list in b.
func unify(a, b *[]wire.Parameter) (equal, changed bool) {
	switch {
	case len(*a) != len(*b):
		return false, false
	case len(*a) == 0 || &(*a)[0] == &(*b)[0]:
		return true, false
	case !slices.Equal(*a, *b):
		return false, false
	}
	if changed = reflect.ValueOf(*a).Pointer() < reflect.ValueOf(*b).Pointer(); changed {
		*b = *a
	} else {
		*a = *b
	}
	return true, changed
}

// meets reports whether a wish is met: it was set in the server's session, or
// the server was opened with it. That a default happens to equal it is not
// enough.
func (s *Server) meets(w wire.Parameter) bool {
	if i := findFold(s.set.list, w.Name); i >= 0 {
		return s.set.list[i].Value == w.Value
	}
	i := findFold(s.startup, w.Name)
	return i >= 0 && s.startup[i].Value == w.Value
}

// covers reports whether RESET on the server means what it means to a client
// with these startup values.
func (s *Server) covers(startup []wire.Parameter) bool {
	for _, p := range startup {
		if i := findFold(s.startup, p.Name); !strings.EqualFold(p.Name, applicationName) && (i < 0 || s.startup[i].Value != p.Value) {
			return false
		}
	}
	return true
}

// difference returns what has to be set and reset on a server so that the
// client's wishes are met and nobody else's are.
func (r *Relay) difference() (set []wire.Parameter, reset []string) {
	s := r.server
	if equal, _ := unify(&r.params.wishes.list, &s.set.list); equal {
		return nil, nil
	}
	wishes := r.params.wishes.list
	for _, w := range wishes {
		if !s.meets(w) {
			set = append(set, w)
		}
	}
	for _, p := range s.set.list {
		if findFold(wishes, p.Name) < 0 {
			reset = append(reset, p.Name)
		}
	}
	if i := findFold(set, dateStyle); i >= 0 {
		// "German" alone completes itself from the value in force, which must
		// not be that of another client.
		reset = append(reset, set[i].Name)
	}
	// What another's role may not set would fail, so that role goes first.
	if i := find(s.set.list, roleName); i >= 0 && len(set)+len(reset) > 0 {
		reset = slices.DeleteFunc(reset, func(name string) bool { return name == roleName })
		reset = slices.Insert(reset, 0, roleName)
		if k := find(wishes, roleName); k >= 0 && find(set, roleName) < 0 {
			set = append(set, wishes[k])
		}
	}
	return set, reset
}

// appendSetup appends the queries that make a server's session the client's, and
// says whether the client's messages have to wait for the answer. Only
// application_name changes nothing that they do.
func (r *Relay) appendSetup(dst []byte) (out []byte, wait bool) {
	s := r.server
	if s.unverified && s.probe == "" {
		s.unverified = false
	}
	if s.unverified && len(r.names.byName) > 0 {
		dst = wire.AppendNamed(dst, wire.Describe, 'S', s.probe)
		r.push(entry{kind: describe, flags: ours | probe})
		dst = wire.AppendSync(dst)
		r.push(entry{kind: syncing, flags: ours | probe})
		wait = true
	}
	if s.seeded && s.holder != r.cfg.ID {
		dst = wire.AppendQuery(dst, "SELECT pg_catalog.setseed("+strconv.FormatFloat(rand.Float64()*2-1, 'f', -1, 64)+")")
		r.push(entry{kind: query, flags: ours | aside})
		s.seeded, s.unnamed, wait = false, 0, true
	}
	if s.unlisted && s.holder != r.cfg.ID {
		dst = wire.AppendQuery(dst, "RESET ALL")
		r.push(entry{kind: query, flags: ours | setsUp})
		s.unlisted, s.unnamed, wait = false, 0, true
		s.set.list = slices.DeleteFunc(slices.Clone(s.set.list), func(p wire.Parameter) bool { return p.Name != roleName })
	}
	set, reset := r.difference()
	if len(set)+len(reset) == 0 {
		return dst, wait
	}
	for _, p := range set {
		wait = wait || !strings.EqualFold(p.Name, applicationName)
	}
	for _, name := range reset {
		wait = wait || !strings.EqualFold(name, applicationName)
	}
	s.unnamed = 0 // a simple query ends it
	r.push(entry{kind: query, flags: ours | setsUp | wishes})
	return wire.AppendQuery(dst, setQuery(set, reset, false)), wait
}

// report takes a ParameterStatus. It reports whether the client is to be told at
// once: what our own queries bring about is kept back until they are over.
func (r *Relay) report(body []byte, hidden bool) (tell bool) {
	p, err := wire.ParseParameterStatus(body)
	if err != nil {
		return !hidden
	}
	list := replace(r.server.reported, p)
	if same(list, r.server.reported) {
		return !hidden
	}
	r.server.reported, r.reports = list, true
	r.defaults = r.defaults || r.cfg.Shared && p.Name != applicationName // unless the session has set it, which is seen when nothing is suspected
	if hidden || r.life.left {
		r.params.held = true
		return false
	}
	if i := find(r.params.told, p.Name); i < 0 || r.params.told[i] != p {
		r.params.tell(replace(r.params.told, p))
	}
	if !r.cfg.Shared && !r.cfg.Stream && r.state.suspect == 0 {
		r.defaults = true // nothing in the session can have set it
	}
	if r.cfg.Shared && !r.ledger.empty() {
		r.state.suspect |= effects.Settings | effects.Analysis // something set it, whether its text showed or not
	}
	return true
}

// knowsAll reports whether the client was told what the server reports.
func (r *Relay) knowsAll() bool {
	equal, changed := unify(&r.params.told, &r.server.reported)
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
	now := r.server.reported
	for _, p := range now {
		if i := find(r.params.told, p.Name); i < 0 || r.params.told[i] != p {
			dst = wire.AppendParameterStatus(dst, p)
		}
	}
	r.params.tell(now)
	return dst
}

// setQuery returns one statement that sets and resets parameters. set_config
// takes a value as the startup packet does, where SET would read 'a, b' as one
// name.
func setQuery(set []wire.Parameter, reset []string, local bool) string {
	var q strings.Builder
	item := func(name, value string) {
		if q.Len() == 0 {
			q.WriteString("SELECT ")
		} else {
			q.WriteString(", ")
		}
		q.WriteString("pg_catalog.set_config(" + literal(name) + ", " + value + ", ")
		if local {
			q.WriteString("true)")
		} else {
			q.WriteString("false)")
		}
	}
	for _, name := range reset {
		item(name, "NULL")
	}
	for _, p := range set {
		if p.Name != roleName {
			item(p.Name, literal(p.Value))
		}
	}
	if i := find(set, roleName); i >= 0 { // last, since it may lack the privilege for the others
		item(roleName, literal(set[i].Value))
	}
	return q.String()
}

// bringBack returns a statement that sets those startup values which nobody has
// set in the session, because they were reset: for good, or for the transaction.
func bringBack(startup []wire.Parameter, local bool) string {
	var values []string
	for _, p := range startup {
		values = append(values, "("+literal(p.Name)+"::pg_catalog.text, "+literal(p.Value)+"::pg_catalog.text)")
	}
	is := "false"
	if local {
		is = "true"
	}
	return "SELECT pg_catalog.set_config(name, value, " + is + ") FROM (VALUES " + strings.Join(values, ", ") + ") AS base (name, value) WHERE " +
		"EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(base.name)" +
		" AND s.source OPERATOR(pg_catalog.<>) 'session')" +
		" OR pg_catalog.strpos(name, '.') OPERATOR(pg_catalog.>) 0 AND coalesce(pg_catalog.current_setting(name, true), '') OPERATOR(pg_catalog.=) ''" +
		" OR name OPERATOR(pg_catalog.=) '" + roleName + "' AND pg_catalog.current_setting('" + roleName + "') OPERATOR(pg_catalog.=) 'none'"
}

// literal returns an expression for s that reads the same whatever the server's
// client_encoding and standard_conforming_strings are: anything but the plainest
// ASCII travels as hexadecimal digits.
func literal(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '\'' || c == '\\' {
			return "pg_catalog.convert_from(pg_catalog.decode('" + hex.EncodeToString([]byte(s)) +
				"', 'hex'), pg_catalog.getdatabaseencoding())"
		}
	}
	return "'" + s + "'"
}
