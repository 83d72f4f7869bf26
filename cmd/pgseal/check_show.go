package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/pgseal/pgseal/internal/doctor"
)

// textWidth is that of the text output, in columns.
const textWidth = 80

var severityColour = map[doctor.Severity]string{doctor.Error: "31", doctor.Warning: "33", doctor.Note: "36"}

// reportText writes a report for people.
type reportText struct {
	bytes.Buffer
	colours bool
}

func showText(w io.Writer, r *doctor.Report, colours bool) error {
	t := &reportText{colours: colours}
	fmt.Fprintf(t, "pgseal check of %s\n", r.Config)
	for _, subject := range r.Subjects() {
		fmt.Fprintf(t, "\n%s\n", t.paint("1", strings.ToUpper(subject[:1])+subject[1:]))
		for _, f := range r.Findings {
			if f.Subject == subject {
				t.finding(f)
			}
		}
		for _, g := range r.Good {
			if g.Subject == subject {
				t.item("32", "ok", g.Text)
			}
		}
		for _, u := range r.Unseen {
			if u.Subject == subject {
				t.item("36", "unseen", u.Text)
			}
		}
	}
	fmt.Fprintf(t, "\n%s, %s, %s from %s.\n", doctor.Count(r.Count(doctor.Error), "error"), doctor.Count(r.Count(doctor.Warning), "warning"),
		doctor.Count(r.Count(doctor.Note), "note"), doctor.Count(r.Checks, "check"))
	if !r.Connect {
		fmt.Fprintln(t, "Servers were not checked; use --connect.")
	}
	_, err := w.Write(t.Bytes())
	return err
}

func (t *reportText) finding(f doctor.Finding) {
	t.item(severityColour[f.Severity], string(f.Severity), f.What+" ["+f.ID+"]")
	where := f.File
	if f.Line > 0 {
		where += fmt.Sprintf(":%d", f.Line)
	}
	if f.Key != "" {
		where += " " + f.Key
	}
	t.item("", "  where", where)
	t.item("", "  why", f.Why)
	t.item("", "  change", f.Change)
}

// item writes a label and text beside it, broken between words.
func (t *reportText) item(colour, label, text string) {
	const indent = 11
	column := indent
	fmt.Fprintf(t, "  %s", t.paint(colour, fmt.Sprintf("%-*s", indent-2, label)))
	for i, word := range strings.Fields(text) {
		switch {
		case i > 0 && column+1+utf8.RuneCountInString(word) > textWidth:
			fmt.Fprintf(t, "\n%*s", indent, "")
			column = indent
		case i > 0:
			t.WriteByte(' ')
			column++
		}
		t.WriteString(word)
		column += utf8.RuneCountInString(word)
	}
	t.WriteByte('\n')
}

func (t *reportText) paint(colour, text string) string {
	if !t.colours || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
