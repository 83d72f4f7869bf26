package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// entry is a line of pgseal's log.
type entry struct {
	Level   string `json:"level"`
	Message string `json:"msg"`
	Name    string `json:"name"`
	Error   string `json:"error"`
	line    string
}

// logbook collects what pgseal writes to its standard error.
type logbook struct {
	file *os.File

	mu      sync.Mutex
	rest    []byte // of a line that is not complete yet
	entries []entry
	odd     []string // lines that are no log entries
}

// Write implements io.Writer.
func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return l.file.Write(p)
		}
		l.rest = slices.Clone(rest)
		e := entry{line: string(line)}
		if err := json.Unmarshal(line, &e); err != nil {
			l.odd = append(l.odd, e.line)
			continue
		}
		l.entries = append(l.entries, e)
	}
}

// all returns the entries so far.
func (l *logbook) all() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// count returns how many entries bear the message and contain all fragments.
func (l *logbook) count(message string, fragments ...string) int {
	n := 0
	for _, e := range l.all() {
		if e.Message == message && !slices.ContainsFunc(fragments, func(f string) bool { return !strings.Contains(e.line, f) }) {
			n++
		}
	}
	return n
}

// tells waits for the log to have such an entry. It is written after clients
// were told, and read through a pipe.
func (l *logbook) tells(message string, fragments ...string) bool {
	return poll(patience, func() bool { return l.count(message, fragments...) > 0 })
}

// tellsOnce is tells for what the log must not repeat.
func (l *logbook) tellsOnce(message string, fragments ...string) bool {
	return l.tells(message, fragments...) && l.count(message, fragments...) == 1
}

// unspeakable is what has no place in a log, in lower case: words of SQL and of
// PEM.
var unspeakable = []string{"select ", "insert into", "copy (", "pg_sleep", "set_config", "pgbench_", "-----begin", "scram-sha-256$"}

// check fails the test for what a log must not hold. expected are messages of
// errors that the test provoked.
func (l *logbook) check(t *testing.T, expected []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.odd) > 0 {
		t.Errorf("pgseal wrote what is no log line:\n%s", strings.Join(l.odd, "\n"))
	}
	for _, e := range l.entries {
		if e.Level != "debug" && e.Level != "info" && e.Level != "warn" && !slices.Contains(expected, e.Message) {
			t.Errorf("pgseal logged an error: %s", e.line)
		}
		if found := indiscretion(e.line); found != "" {
			t.Errorf("pgseal's log holds %s: %s", found, e.line)
		}
	}
}

// indiscretion says what is in a line that ought not to be.
func indiscretion(line string) string {
	for name, secret := range map[string]string{
		"the superuser's password": superPassword, "the password of app": appPassword,
		"the password of sealed": sealedPassword, "a wrong password": wrongPassword,
	} {
		if strings.Contains(line, secret) {
			return name
		}
	}
	lower := strings.ToLower(line)
	for _, words := range unspeakable {
		if strings.Contains(lower, words) {
			return fmt.Sprintf("%q", words)
		}
	}
	return ""
}

// tail returns the last lines.
func (l *logbook) tail() string {
	all := l.all()
	var b strings.Builder
	for _, e := range all[max(0, len(all)-30):] {
		b.WriteString(e.line + "\n")
	}
	return b.String()
}
