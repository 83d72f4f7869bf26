package hba

import (
	"errors"
	"strings"

	"github.com/pgseal/pgseal/internal/pgconf"
)

// Maps are the lines of one pg_ident.conf: which names of the system or of a
// certificate may log in as which roles. A nil *Maps holds none.
type Maps struct{ list []mapping }

// mapping is one line.
type mapping struct {
	file         string
	line         int
	name         string
	system, role token
}

// ParseMaps reads the file at path, and those that it includes. All faults are
// reported together, each as an *Error. A file without a line is fine.
func ParseMaps(source Source, path string) (*Maps, error) {
	lines, err := pgconf.Read(source, path)
	errs := []error{err}
	maps := &Maps{}
	for _, l := range lines {
		m, err := parseMapping(l)
		if err != nil {
			errs = append(errs, l.Fault(err))
			continue
		}
		maps.list = append(maps.list, m)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return maps, nil
}

func parseMapping(l pgconf.Line) (mapping, error) {
	m := mapping{file: l.File, line: l.Number}
	if len(l.Fields) < 3 {
		return m, errors.New("missing entry at end of line")
	}
	for _, field := range l.Fields[:3] {
		if len(field) > 1 {
			return m, errors.New("multiple values in ident field")
		}
	}
	var systemErr, roleErr error
	m.name = l.Fields[0][0].Text
	m.system, systemErr = newToken(l.Fields[1][0])
	m.role, roleErr = newToken(l.Fields[2][0])
	return m, errors.Join(systemErr, roleErr)
}

// Allows reports whether a client whose name is known to be system may log in
// as role, by the map of that name. An empty map name asks for the same name,
// letter by letter.
func (m *Maps) Allows(name, system, role string, look Lookups) bool {
	if name == "" {
		return system == role
	}
	if m == nil {
		return false
	}
	for _, line := range m.list {
		if line.name != name {
			continue
		}
		fits, broken := line.allows(system, role, look)
		if fits || broken {
			return fits
		}
	}
	return false
}

// allows looks at one line. broken says that the line can't be followed, which
// ends the search: it asks for text of parentheses that took no part.
func (m mapping) allows(system, role string, look Lookups) (fits, broken bool) {
	want := m.role
	if m.system.regexp == nil {
		if m.system.Text != system {
			return false, false
		}
		return matchRole([]token{want}, role, look), false
	}
	found, first, has := m.system.regexp.capture(system)
	if !found {
		return false, false
	}
	_, isGroup := want.group()
	if before, after, ok := strings.Cut(want.Text, `\1`); ok && !isGroup && want.regexp == nil {
		if !has {
			return false, true
		}
		// What a client's name brings in has no special meaning.
		want = token{Token: pgconf.Token{Text: before + first + after, Quoted: true}}
	}
	return matchRole([]token{want}, role, look), false
}

// Groups returns the lines whose decision depends on [Lookups.Member], each as
// an *Error without a cause.
func (m *Maps) Groups() (places []Error) {
	for _, line := range m.list {
		if _, ok := line.role.group(); ok {
			places = append(places, Error{File: line.file, Line: line.line})
		}
	}
	return places
}
