package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var page = template.Must(template.New("page").Parse(pageText))

// The page's data. Its strings are foreign, and the template escapes them; only
// the style sheet, which is ours, is passed on as it is.
type (
	htmlPage struct {
		Style        template.CSS
		Title, Date  string
		Problems     []string
		ProblemCount string
		LeftOut      []result.LeftOut
		Rounds       string
		Baseline     string
		Overview     []figure
		Sections     []htmlSection
		Facts        [][2]string
		Command      string
		Targets      []result.Target
		Load         string
		Limits       []string
	}
	htmlSection struct {
		ID, Title, What string
		Figures         []figure
		Tables          []htmlTable
	}
	htmlTable struct {
		Title, Note string
		Heads       []string
		Rows        []htmlRow
	}
	htmlRow struct {
		Name  string
		Cells []htmlCell
	}
	htmlCell struct{ Value, Spread, Ratio, Word, Failed string }
)

// WriteHTML writes report.html: one page without scripts and without anything
// to load, light or dark as the reader's system is. Errors of the run stand
// first; an error is returned only if w gives one.
func WriteHTML(w io.Writer, run *result.Run) error {
	v := newView(run)
	data := htmlPage{
		Style: template.CSS(pageStyle), Title: strings.Join(v.names(), ", "),
		Date:     run.Meta.Started.UTC().Format(time.DateOnly),
		Problems: v.problems, ProblemCount: plural(len(v.problems), "error"),
		LeftOut: run.Meta.LeftOut, Rounds: rounds(v), Baseline: v.baseline,
		Overview: v.overview(), Facts: facts(run.Meta), Command: run.Meta.Command,
		Targets: run.Targets, Load: loadShare(run.Meta), Limits: limits,
	}
	for i, sec := range v.sections {
		data.Sections = append(data.Sections, htmlSection{
			ID: fmt.Sprintf("s%d", i), Title: sec.title, What: sec.what,
			Figures: v.figures(sec), Tables: v.htmlTables(sec),
		})
	}
	var b bytes.Buffer
	if err := page.Execute(&b, data); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if _, err := w.Write(bytes.Map(visible, b.Bytes())); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (v view) htmlTables(sec section) []htmlTable {
	var list []htmlTable
	for _, t := range sec.tables {
		out := htmlTable{Title: capital(metricTitle(t.metric)), Note: direction(t.metric), Heads: v.names()}
		for _, r := range t.rows {
			row := htmlRow{Name: r.name}
			for _, c := range r.cells {
				row.Cells = append(row.Cells, newHTMLCell(c))
			}
			out.Rows = append(out.Rows, row)
		}
		list = append(list, out)
	}
	return list
}

func newHTMLCell(c cell) htmlCell {
	x := htmlCell{Value: "–"}
	if c.value.N > 0 {
		x.Value, x.Spread = number(c.value.Median), spread(c.value)
	}
	if c.ratio.N > 0 {
		x.Ratio = ratio(c.ratio.Median)
		if c.verdict != stats.Undecided {
			x.Word = judged(c.verdict)
		}
	}
	if c.failed > 0 {
		x.Failed = fmt.Sprintf("%d failed", c.failed)
	}
	return x
}
