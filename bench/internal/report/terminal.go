package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

// Terminal prints the run's headline figures: a table for each metric of each
// scenario, targets as columns, the ratio to PgBouncer (else to the first
// target) beside each figure. Errors come first. Foreign text loses its control
// characters. What w answers is not reported: a terminal that is gone needs no
// telling.
func Terminal(w io.Writer, run *result.Run) {
	var b bytes.Buffer
	v := newView(run)
	if n := len(v.problems); n > 0 {
		fmt.Fprintf(&b, "!!! %s IN THIS RUN: do not quote its figures\n", strings.ToUpper(plural(n, "error")))
		for _, p := range v.problems {
			fmt.Fprintf(&b, "!!! %s\n", plain(p))
		}
		b.WriteByte('\n')
	}
	for _, l := range run.Meta.LeftOut {
		fmt.Fprintf(&b, "left out: %s (%s)\n", plain(l.Name), plain(l.Why))
	}
	for _, sec := range v.sections {
		fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(plain(sec.title)))
		for _, t := range sec.tables {
			if t.headline {
				b.WriteByte('\n')
				v.terminalTable(&b, t)
			}
		}
	}
	fmt.Fprintf(&b, "\nMedians of %s. %s\n", rounds(v), v.legend())
	fmt.Fprintf(&b, "Load generator: %s.\n", loadShare(run.Meta))
	_, _ = w.Write(b.Bytes())
}

// legend explains the ratios, where there are any.
func (v view) legend() string {
	if len(v.run.Targets) < 2 {
		return "One target, so no ratios."
	}
	return fmt.Sprintf("×: ratio to %s, taken round by round; ~: no difference shown; ?: too few rounds to tell.", plain(v.baseline))
}

func (v view) terminalTable(b *bytes.Buffer, t table) {
	head := []string{plain(metricTitle(t.metric)) + " (" + direction(t.metric) + ")"}
	for _, target := range v.run.Targets {
		head = append(head, plain(target.Name))
	}
	compared := make([]bool, len(v.run.Targets)) // columns that have any ratio
	for _, r := range t.rows {
		for i, c := range r.cells {
			compared[i] = compared[i] || c.ratio.N > 0
		}
	}
	grid := [][]string{head}
	for _, r := range t.rows {
		line := []string{"  " + plain(r.name)}
		for i, c := range r.cells {
			line = append(line, terminalCell(c, compared[i]))
		}
		grid = append(grid, line)
	}
	widths := make([]int, len(head))
	for _, line := range grid {
		for i, text := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, line := range grid {
		var out strings.Builder
		for i, text := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i == 0 {
				out.WriteString(text + pad)
			} else {
				out.WriteString("  " + pad + text)
			}
		}
		b.WriteString(strings.TrimRight(out.String(), " ") + "\n")
	}
}

// terminalCell keeps figure and ratio at fixed widths, so that columns align.
func terminalCell(c cell, compared bool) string {
	text := "–"
	if c.value.N > 0 {
		text = number(c.value.Median)
	}
	if c.failed > 0 {
		text = fmt.Sprintf("%s !%d failed", text, c.failed)
	}
	switch {
	case !compared:
		return text
	case c.ratio.N == 0:
		return fmt.Sprintf("%s %8s", text, "")
	}
	mark := map[stats.Verdict]string{stats.Within: "~", stats.Undecided: "?"}[c.verdict]
	return fmt.Sprintf("%s %7s%1s", text, ratio(c.ratio.Median), mark)
}
