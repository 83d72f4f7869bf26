package pgmodel

import (
	"maps"
	"slices"
)

// State is what a session holds, for tests. Lists are sorted.
type State struct {
	Status     byte              // as in ReadyForQuery
	Settings   map[string]string // that the session has changed
	User       string            // of SET SESSION AUTHORIZATION
	Role       string
	Statements []string // prepared, without the unnamed one
	FromSQL    []string // of those: by PREPARE
	Unnamed    bool
	Portals    []string // with cursors
	Held       []string // cursors that outlive their transaction
	Temp       []string // tables
	Locks      []int64  // advisory ones of the session
	Listening  []string
}

// Inspect returns what the session holds now.
func (b *Backend) Inspect() State {
	s := State{
		Status:     b.status(),
		Settings:   map[string]string{},
		User:       b.settings["session_authorization"].text,
		Role:       b.settings["role"].text,
		Statements: slices.Sorted(maps.Keys(b.statements)),
		Unnamed:    b.unnamed != nil,
		Portals:    slices.Sorted(maps.Keys(b.portals)),
		Temp:       slices.Sorted(maps.Keys(b.temp)),
		Listening:  slices.Sorted(maps.Keys(b.listening)),
	}
	for name, set := range b.settings {
		if set.source == sourceSession && name != "role" && name != "session_authorization" {
			s.Settings[set.name] = set.text
		}
	}
	for name, p := range b.statements {
		if p.fromSQL {
			s.FromSQL = append(s.FromSQL, name)
		}
	}
	for name, p := range b.portals {
		if p.held {
			s.Held = append(s.Held, name)
		}
	}
	for n, l := range b.cluster.advisory {
		if l.holder == b && l.count > 0 {
			s.Locks = append(s.Locks, n)
		}
	}
	slices.Sort(s.FromSQL)
	slices.Sort(s.Held)
	slices.Sort(s.Locks)
	return s
}

// Get returns a setting as SHOW does. It is for Extra, as are the methods that
// follow.
func (b *Backend) Get(name string) (string, bool) {
	s, err := b.setting(name, false)
	if err != nil {
		return "", false
	}
	return s.text, true
}

// Set is SET or SET LOCAL; it is undone with the transaction.
func (b *Backend) Set(name, value string, local bool) error {
	if err := b.change(name, value, local); err != nil {
		return err
	}
	return nil
}

// Reset is RESET, or SET LOCAL ... TO DEFAULT.
func (b *Backend) Reset(name string, local bool) error {
	if err := b.resetOne(name, local); err != nil {
		return err
	}
	return nil
}

// Settings returns every setting, by its name, as SHOW does.
func (b *Backend) Settings() map[string]string {
	all := map[string]string{}
	for _, s := range b.settings {
		all[s.name] = s.text
	}
	return all
}

// User is the role that the session has logged in as.
func (b *Backend) User() string { return b.user }
