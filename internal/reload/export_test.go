package reload

import "testing"

// What follows is for pair_test.go: tlsconf, with whose certificates it tests,
// imports this package.

var (
	NewTestLog = newLog
	OK         = ok
	Pass       = pass
	Write      = write
)

// Start is start, and returns where to send hints.
func Start(t *testing.T, w *Watcher) chan<- struct{} { return start(t, w).hints }

func (l logbook) Count(message string) int { return l.count(message) }
func (l logbook) Text() string             { return l.text() }
