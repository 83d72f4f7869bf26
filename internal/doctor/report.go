package doctor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pgseal/pgseal/internal/config"
)

// Severity tells how bad a finding is.
type Severity string

// Severities, the worst first.
const (
	Error   Severity = "error"   // a hole, or something that will not work
	Warning Severity = "warning" // weaker than it should be
	Note    Severity = "note"    // to be known
)

// Finding is something that should be changed.
type Finding struct {
	ID       string   `json:"id"` // of the check, never changes
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"`        // what it belongs to: "listener 0.0.0.0:6432"
	What     string   `json:"what"`           // one sentence
	File     string   `json:"file,omitempty"` // where to change it
	Line     int      `json:"line,omitempty"`
	Key      string   `json:"key,omitempty"`
	Database string   `json:"database,omitempty"`
	Host     string   `json:"host,omitempty"`
	Why      string   `json:"why"`
	Change   string   `json:"change"` // the line to write or the command to run
}

// Remark is something that was looked at and is good, or that could not be
// looked at.
type Remark struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// Report is what an examination found.
type Report struct {
	Config   string    `json:"config"`
	Connect  bool      `json:"connect"`
	Checks   int       `json:"checks"` // how many were made
	Findings []Finding `json:"findings"`
	Good     []Remark  `json:"good"`
	Unseen   []Remark  `json:"unseen"` // what could not be looked at, and why
}

// Count returns how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Count says in words how many there are of something.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Subjects returns the subjects in the order in which they were looked at.
func (r *Report) Subjects() []string {
	var list []string
	add := func(s string) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	for _, g := range r.Good {
		add(g.Subject)
	}
	for _, f := range r.Findings {
		add(f.Subject)
	}
	for _, u := range r.Unseen {
		add(u.Subject)
	}
	slices.SortStableFunc(list, func(a, b string) int { return rank(a) - rank(b) })
	return list
}

// Faults returns the report on a configuration that can't be used: err is that
// of config.Load. Nothing else can be looked at.
func Faults(path string, err error) *Report {
	r := &Report{Config: path, Checks: 1, Findings: []Finding{}, Good: []Remark{}, Unseen: []Remark{}}
	for _, e := range flatten(err) {
		f := Finding{
			ID: configCheck.ID, Severity: configCheck.Severity, Why: configCheck.Why,
			Subject: subjectConfig, File: path, What: e.Error(), Change: "correct this line; config.example.yaml lists every key",
		}
		var at *config.Error
		if errors.As(e, &at) {
			f.File, f.Line, f.Key, f.What = at.File, at.Line, at.Key, at.Err.Error()
		}
		if f.Key != "" {
			f.What = fmt.Sprintf("%s: %s", f.Key, f.What)
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// flatten returns the errors that were joined.
func flatten(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range list.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}
