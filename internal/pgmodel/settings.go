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
	stack []guc
}

// guc is GucStack.
type guc struct {
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

// known are the settings of the model in PostgreSQL's spelling: default value,
// release since when they are reported, and how a value is read.
var known = map[string]struct {
	name, boot string
	reported   int
	read       func(old, text string) (string, bool)
}{
	"application_name":              {"application_name", "", 1, anyText},
	"client_encoding":               {"client_encoding", "UTF8", 1, oneOf("UTF8", "LATIN1", "SQL_ASCII")},
	"datestyle":                     {"DateStyle", "ISO, MDY", 1, readDateStyle},
	"default_transaction_read_only": {"default_transaction_read_only", "off", 1, oneOf("off")},
	"in_hot_standby":                {"in_hot_standby", "off", 1, oneOf("off")},
	"integer_datetimes":             {"integer_datetimes", "on", 1, oneOf("on")},
	"is_superuser":                  {"is_superuser", "on", 1, oneOf("on")},
	"scram_iterations":              {"scram_iterations", "4096", 16, oneOf("4096")},
	"server_encoding":               {"server_encoding", "UTF8", 1, oneOf("UTF8")},
	"server_version":                {"server_version", "", 1, oneOf()},
	"deadlock_timeout":              {"deadlock_timeout", "1s", 99, readMilliseconds},
	"extra_float_digits":            {"extra_float_digits", "1", 99, oneOf("0", "1", "2", "3")},
	"intervalstyle":                 {"IntervalStyle", "postgres", 1, oneOf("postgres", "postgres_verbose", "sql_standard", "iso_8601")},
	"role":                          {"role", "none", 99, readRole},
	"search_path":                   {"search_path", `"$user", public`, 18, anyText},
	"session_authorization":         {"session_authorization", "", 1, readRole},
	"statement_timeout":             {"statement_timeout", "0", 99, readMilliseconds},
	"timezone":                      {"TimeZone", "UTC", 1, oneOf("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo")},
	"work_mem":                      {"work_mem", "4MB", 99, readKilobytes},
	"standard_conforming_strings":   {"standard_conforming_strings", "on", 1, oneOf("on")},
}

var knownNames = slices.Sorted(maps.Keys(known))

func canonical(name string) string { return strings.ToLower(name) }

// loadSettings gives a new session its settings: from the configuration, its
// role's defaults, and the startup packet.
func (b *Backend) loadSettings(startup []wire.Parameter) {
	for _, key := range knownNames {
		k := known[key]
		s := &setting{name: k.name, stamped: stamped{k.boot, sourceDefault}}
		s.reset, b.settings[key] = s.stamped, s
		if b.cluster.Version >= k.reported {
			b.reported = append(b.reported, s)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.cluster.config)) {
		b.preset(key, b.cluster.config[key], sourceFile)
	}
	for _, p := range startup {
		if p.Name == "user" {
			b.user = p.Value
		}
	}
	for key, text := range map[string]string{
		"session_authorization": b.user,
		"server_version":        strconv.Itoa(b.cluster.Version) + ".0",
	} {
		s := b.settings[key]
		s.text, s.reset.text = text, text
	}
	for key, v := range b.cluster.roles[b.user] {
		b.preset(key, v, sourceRole)
	}
	for _, p := range startup {
		switch p.Name {
		case "user", "database", "replication":
		case "options":
			fields := strings.Fields(p.Value)
			for i, f := range fields {
				if name, v, ok := strings.Cut(strings.TrimPrefix(f, "-c"), "="); ok && (f != name || i > 0 && fields[i-1] == "-c") {
					b.preset(canonical(name), v, sourceClient)
				}
			}
		default:
			if !wire.IsProtocolOption(p.Name) {
				b.preset(canonical(p.Name), p.Value, sourceClient)
			}
		}
	}
}

// preset is set_config_option with makeDefault.
func (b *Backend) preset(key, text string, from source) {
	s, err := b.setting(key, true)
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

// setting finds a setting. A name with a dot may be made up.
func (b *Backend) setting(name string, create bool) (*setting, *Error) {
	if s := b.settings[name]; s != nil {
		return s, nil
	}
	key := canonical(name)
	if s := b.settings[key]; s != nil {
		return s, nil
	}
	if !create || !strings.Contains(name, ".") {
		return nil, errorf("42704", "unrecognized configuration parameter %q", name)
	}
	s := &setting{name: name}
	b.settings[key] = s
	return s, nil
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

// change is SET, or SET LOCAL.
func (b *Backend) change(name, text string, local bool) *Error {
	s, err := b.setting(name, true)
	if err != nil {
		return err
	}
	if text, err = s.read(text); err != nil {
		return err
	}
	b.push(s, local)
	s.stamped = stamped{text, sourceSession}
	return nil
}

// resetOne is RESET, which is transactional as SET is.
func (b *Backend) resetOne(name string, local bool) *Error {
	s, err := b.setting(name, true)
	if err != nil {
		return err
	}
	b.push(s, local)
	s.stamped = s.reset
	return nil
}

// setUser is SET SESSION AUTHORIZATION, or its RESET, which ends SET ROLE too.
func (b *Backend) setUser(s *stmt) *Error {
	if s.kind == kindReset || s.isDefault {
		if err := b.resetOne("session_authorization", s.local); err != nil {
			return err
		}
		return b.resetOne("role", s.local)
	}
	if err := b.change("session_authorization", s.value, s.local); err != nil {
		return err
	}
	return b.change("role", "none", s.local)
}

// resetAll is RESET ALL, which leaves the role alone.
func (b *Backend) resetAll() {
	for key, s := range b.settings {
		if key != "role" && key != "session_authorization" && s.source == sourceSession {
			b.push(s, false)
			s.stamped = s.reset
		}
	}
}

// push is push_old_value.
func (b *Backend) push(s *setting, local bool) {
	if b.xact == nil {
		return // set by a test, outside of any transaction
	}
	level := len(b.xact.subs) + 1
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
		b.stacked = append(b.stacked, s)
	}
	s.stack = append(s.stack, guc{level: level, state: state, prior: s.stamped})
}

// endSettings is AtEOXact_GUC: it leaves the levels from level on.
func (b *Backend) endSettings(commit bool, level int) {
	for _, s := range b.stacked {
		for len(s.stack) > 0 && s.stack[len(s.stack)-1].level >= level {
			s.leave(commit)
		}
	}
	b.stacked = slices.DeleteFunc(b.stacked, func(s *setting) bool { return len(s.stack) == 0 })
}

// leave ends one level. Its entry moves to the level below where that has none.
func (s *setting) leave(commit bool) {
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

// reportSettings is ReportChangedGUCOptions. PostgreSQL 15 reports in the order
// of names, later releases in that of the changes, the last one first; the
// model keeps to names.
func (b *Backend) reportSettings() {
	for _, s := range b.reported {
		if s.text != s.last {
			s.last = s.text
			b.out = wire.AppendParameterStatus(b.out, wire.Parameter{Name: s.name, Value: s.text})
		}
	}
}

// reload applies postgresql.conf as a backend does when it reads a message
// after a SIGHUP.
func (b *Backend) reload() {
	b.generation = b.cluster.generation
	for _, key := range slices.Sorted(maps.Keys(b.cluster.config)) {
		b.preset(key, b.cluster.config[key], sourceFile)
	}
}

func anyText(_, text string) (string, bool) { return text, true }

func oneOf(values ...string) func(old, text string) (string, bool) {
	return func(_, text string) (string, bool) {
		for _, v := range values {
			if strings.EqualFold(v, text) {
				return v, true
			}
		}
		return "", false
	}
}

// roleNames are roles that everybody may become. All are superusers, so that a
// change of role shows in its name only.
var roleNames = []string{"none", "a", "b", "postgres"}

func readRole(_, text string) (string, bool) {
	return text, slices.Contains(roleNames, text)
}

// readDateStyle keeps of the old value what the new one does not mention.
func readDateStyle(old, text string) (string, bool) {
	style, order, _ := strings.Cut(old, ", ")
	haveOrder := false
	for _, word := range strings.Split(text, ",") {
		switch w := strings.ToUpper(strings.TrimSpace(word)); w {
		case "ISO", "SQL":
			style = w
		case "POSTGRES":
			style = "Postgres"
		case "GERMAN":
			style = "German"
			if !haveOrder {
				order = "DMY"
			}
		case "DMY", "MDY", "YMD":
			order, haveOrder = w, true
		default:
			return "", false
		}
	}
	return style + ", " + order, true
}
