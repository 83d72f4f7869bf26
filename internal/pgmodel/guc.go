package pgmodel

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// source is GucSource: what a value came from. A source replaces a default
// only where that came from the same source or an earlier one.
type source int

const (
	sourceDefault source = iota
	sourceFile
	sourceRole
	sourceClient
	sourceSession
)

type stamped struct {
	text   string
	source source
}

// setting is a run-time parameter with the stack of guc.c, which has an entry
// for each level of nested transactions that changed it.
type setting struct {
	name string
	stamped
	reset stamped
	last  string // as reported
	stack []gucStack
}

// gucStack is GucStack.
type gucStack struct {
	level         int
	state         gucState
	prior, masked stamped
}

type gucState byte

const (
	gucSet gucState = iota
	gucLocal
	gucSetLocal
)

func canonical(name string) string { return strings.ToLower(name) }

// configuration is what sessions start from.
type configuration struct {
	values     map[string]string            // postgresql.conf
	generation int                          // counts reloads of it
	roles      map[string]map[string]string // ALTER ROLE ... SET
}

// settings are those of a session, as guc.c keeps them. What changes them is
// told the level of nested transactions that it is done at; 0 is outside of any,
// by a test.
type settings struct {
	version    int
	conf       *configuration
	generation int // of it
	all        map[string]*setting
	stacked    []*setting // that have a stack
	reported   []*setting // by ParameterStatus
}

// start gives a new session its settings: from the configuration, its role's
// defaults, and the startup packet. It returns what is reported at once.
func (g *settings) start(startup []wire.Parameter) (greeting []wire.Parameter) {
	for _, key := range knownNames {
		k := known[key]
		s := &setting{name: k.name, stamped: stamped{k.boot, sourceDefault}}
		s.reset, g.all[key] = s.stamped, s
		if g.version >= k.reported {
			g.reported = append(g.reported, s)
		}
	}
	g.reload()
	user := "" // that has logged in
	for _, p := range startup {
		if p.Name == "user" {
			user = p.Value
		}
	}
	for key, text := range map[string]string{
		"session_authorization": user,
		"server_version":        strconv.Itoa(g.version) + ".0",
	} {
		s := g.all[key]
		s.text, s.reset.text = text, text
	}
	for key, v := range g.conf.roles[user] {
		g.preset(key, v, sourceRole)
	}
	for _, p := range startup {
		switch p.Name {
		case "user", "database", "replication":
		case "options":
			fields := strings.Fields(p.Value)
			for i, f := range fields {
				if name, v, ok := strings.Cut(strings.TrimPrefix(f, "-c"), "="); ok && (f != name || i > 0 && fields[i-1] == "-c") {
					g.preset(canonical(name), v, sourceClient)
				}
			}
		default:
			if !wire.IsProtocolOption(p.Name) {
				g.preset(canonical(p.Name), p.Value, sourceClient)
			}
		}
	}
	for _, s := range g.reported {
		s.last = s.text
		greeting = append(greeting, wire.Parameter{Name: s.name, Value: s.text})
	}
	return greeting
}

// preset is set_config_option with makeDefault.
func (g *settings) preset(key, text string, from source) {
	s, err := g.find(key, true)
	if err != nil {
		return
	}
	text, err = s.read(text)
	if err != nil {
		return
	}
	v := stamped{text, from}
	if s.reset.source <= from {
		s.reset = v
	}
	for i := range s.stack {
		if s.stack[i].prior.source <= from {
			s.stack[i].prior = v
		}
	}
	if s.source <= from {
		s.stamped = v
	}
}

// find finds a setting. A name with a dot may be made up.
func (g *settings) find(name string, create bool) (*setting, *Error) {
	if s := g.all[name]; s != nil {
		return s, nil
	}
	key := canonical(name)
	if s := g.all[key]; s != nil {
		return s, nil
	}
	if !create || !strings.Contains(name, ".") {
		return nil, errorf("42704", "unrecognized configuration parameter %q", name)
	}
	s := &setting{name: name}
	g.all[key] = s
	return s, nil
}

// show is the value of a setting.
func (g *settings) show(name string) (string, *Error) {
	s, err := g.find(name, false)
	if err != nil {
		return "", err
	}
	return s.text, nil
}

// read checks and normalizes a value, as check hooks and show hooks do.
func (s *setting) read(text string) (string, *Error) {
	k, ok := known[canonical(s.name)]
	if !ok {
		return text, nil
	}
	v, ok := k.read(s.text, text)
	if !ok {
		return "", errorf("22023", "invalid value for parameter %q: %q", s.name, text)
	}
	return v, nil
}

// set is SET, or SET LOCAL.
func (g *settings) set(level int, name, text string, local bool) *Error {
	s, err := g.find(name, true)
	if err != nil {
		return err
	}
	if text, err = s.read(text); err != nil {
		return err
	}
	g.push(level, s, local)
	s.stamped = stamped{text, sourceSession}
	return nil
}

// reset is RESET, which is transactional as SET is.
func (g *settings) reset(level int, name string, local bool) *Error {
	s, err := g.find(name, true)
	if err != nil {
		return err
	}
	g.push(level, s, local)
	s.stamped = s.reset
	return nil
}

// setUser is SET SESSION AUTHORIZATION, which ends SET ROLE too.
func (g *settings) setUser(level int, user string, local bool) *Error {
	if err := g.set(level, "session_authorization", user, local); err != nil {
		return err
	}
	return g.set(level, "role", "none", local)
}

// resetUser is RESET SESSION AUTHORIZATION.
func (g *settings) resetUser(level int, local bool) *Error {
	if err := g.reset(level, "session_authorization", local); err != nil {
		return err
	}
	return g.reset(level, "role", local)
}

// currentUser is GetUserId.
func (g *settings) currentUser() string {
	if role := g.all["role"].text; role != "none" {
		return role
	}
	return g.all["session_authorization"].text
}

// resetAll is RESET ALL, which leaves the role alone.
func (g *settings) resetAll(level int) {
	for key, s := range g.all {
		if !isUser(key) && s.source == sourceSession {
			g.push(level, s, false)
			s.stamped = s.reset
		}
	}
}

// isUser reports whether a setting says who the session is.
func isUser(key string) bool { return key == "role" || key == "session_authorization" }

// changed returns what the session has set.
func (g *settings) changed() map[string]string {
	m := map[string]string{}
	for key, s := range g.all {
		if !isUser(key) && s.source == sourceSession {
			m[s.name] = s.text
		}
	}
	return m
}

// push is push_old_value.
func (g *settings) push(level int, s *setting, local bool) {
	if level == 0 {
		return
	}
	if n := len(s.stack); n > 0 && s.stack[n-1].level >= level {
		top := &s.stack[n-1]
		switch {
		case !local:
			top.state = gucSet
		case top.state == gucSet:
			top.masked, top.state = s.stamped, gucSetLocal
		}
		return
	}
	state := gucSet
	if local {
		state = gucLocal
	}
	if len(s.stack) == 0 {
		g.stacked = append(g.stacked, s)
	}
	s.stack = append(s.stack, gucStack{level: level, state: state, prior: s.stamped})
}

// leave is AtEOXact_GUC: it leaves the levels from level on.
func (g *settings) leave(commit bool, level int) {
	for _, s := range g.stacked {
		for len(s.stack) > 0 && s.stack[len(s.stack)-1].level >= level {
			s.pop(commit)
		}
	}
	g.stacked = slices.DeleteFunc(g.stacked, func(s *setting) bool { return len(s.stack) == 0 })
}

// pop ends one level. Its entry moves to the level below where that has none.
func (s *setting) pop(commit bool) {
	n := len(s.stack) - 1
	top := s.stack[n]
	switch {
	case !commit:
		s.stamped = top.prior
	case top.level == 1:
		switch top.state {
		case gucLocal:
			s.stamped = top.prior
		case gucSetLocal:
			s.stamped = top.masked
		}
	case n == 0 || s.stack[n-1].level < top.level-1:
		s.stack[n].level--
		return
	default:
		below := &s.stack[n-1]
		switch top.state {
		case gucSet:
			below.state = gucSet
		case gucLocal:
			if below.state == gucSet {
				below.masked, below.state = top.prior, gucSetLocal
			}
		case gucSetLocal:
			below.masked, below.state = top.masked, gucSetLocal
		}
	}
	s.stack = s.stack[:n]
}

// report is ReportChangedGUCOptions. PostgreSQL 15 reports in the order of
// names, later releases in that of the changes, the last one first; the model
// keeps to names.
func (g *settings) report(out *output) {
	for _, s := range g.reported {
		if s.text != s.last {
			s.last = s.text
			out.buf = wire.AppendParameterStatus(out.buf, wire.Parameter{Name: s.name, Value: s.text})
		}
	}
}

// reload applies postgresql.conf, as a backend does when it starts and when it
// reads a message after a SIGHUP.
func (g *settings) reload() {
	g.generation = g.conf.generation
	for _, key := range slices.Sorted(maps.Keys(g.conf.values)) {
		g.preset(key, g.conf.values[key], sourceFile)
	}
}
