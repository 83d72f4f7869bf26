package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pgseal/pgseal/bench/internal/result"
)

// WriteMarkdown writes report.md: every figure with its interval and ratio, and
// the circumstances. It is the form that docs/benchmarks.md quotes. Errors come
// first; an error is returned only if w gives one.
func WriteMarkdown(w io.Writer, run *result.Run) error {
	var b bytes.Buffer
	v := newView(run)
	fmt.Fprintf(&b, "# pgseal-bench, %s\n\n", run.Meta.Started.UTC().Format(time.DateOnly))
	v.markdownProblems(&b)
	v.markdownMeta(&b)
	for _, sec := range v.sections {
		fmt.Fprintf(&b, "\n## %s\n", cellText(sec.title))
		if sec.what != "" {
			fmt.Fprintf(&b, "\n%s\n", sec.what)
		}
		for _, t := range sec.tables {
			v.markdownTable(&b, t)
		}
	}
	b.WriteString("\n## What this can't tell\n\n")
	for _, l := range limits {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (v view) markdownProblems(b *bytes.Buffer) {
	if n := len(v.problems); n > 0 {
		fmt.Fprintf(b, "**This run has %s: do not quote its figures.**\n\n", plural(n, "error"))
		for _, p := range v.problems {
			fmt.Fprintf(b, "- %s\n", cellText(p))
		}
		b.WriteByte('\n')
	}
	for _, l := range v.run.Meta.LeftOut {
		fmt.Fprintf(b, "Left out: %s (%s).\n\n", cellText(l.Name), cellText(l.Why))
	}
}

func (v view) markdownMeta(b *bytes.Buffer) {
	m := v.run.Meta
	fmt.Fprintf(b, "Median of %s, its interval in brackets, then the ratio to %s with *better*, *worse* or *same* (the ratio's interval holds 1).\n\n",
		rounds(v), cellText(v.baseline))
	b.WriteString("| | |\n| --- | --- |\n")
	for _, f := range facts(m) {
		fmt.Fprintf(b, "| %s | %s |\n", f[0], cellText(f[1]))
	}
	b.WriteString("\nTo repeat it:\n\n")
	b.WriteString(fenced(plain(m.Command)))
	b.WriteString("\n| target | version | TLS | cipher | certificate |\n| --- | --- | --- | --- | --- |\n")
	for _, t := range v.run.Targets {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", cellText(t.Name), cellText(t.Version), cellText(t.TLS), cellText(t.Cipher), cellText(t.Certificate))
	}
	for _, t := range v.run.Targets {
		if t.Settings != "" {
			fmt.Fprintf(b, "\n<details><summary>settings of %s</summary>\n\n%s\n</details>\n", cellText(t.Name), fenced(t.Settings))
		}
	}
}

// facts are the circumstances of a run, name and value.
func facts(m result.Meta) [][2]string {
	return [][2]string{
		{"machine", fmt.Sprintf("%s, %s, %s of memory", m.CPU, plural(m.Cores, "core"), memory(m.Memory))},
		{"kernel", m.Kernel},
		{"PostgreSQL", m.PostgreSQL},
		{"load from", m.Load},
		{"load generator took", loadShare(m)},
		{"Go", m.Go},
		{"started, took", m.Started.UTC().Format("2006-01-02 15:04 MST") + ", " + duration(m.Seconds)},
	}
}

func (v view) markdownTable(b *bytes.Buffer, t table) {
	fmt.Fprintf(b, "\n### %s (%s)\n\n| |", cellText(metricTitle(t.metric)), direction(t.metric))
	for _, target := range v.run.Targets {
		fmt.Fprintf(b, " %s |", cellText(target.Name))
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(v.run.Targets)) + "\n")
	for _, r := range t.rows {
		fmt.Fprintf(b, "| %s |", cellText(r.name))
		for _, c := range r.cells {
			fmt.Fprintf(b, " %s |", markdownCell(c))
		}
		b.WriteByte('\n')
	}
}

func markdownCell(c cell) string {
	parts := []string{"–"}
	if c.value.N > 0 {
		parts[0] = number(c.value.Median)
		if s := spread(c.value); s != "" {
			parts = append(parts, "["+s+"]")
		}
	}
	if c.ratio.N > 0 {
		parts = append(parts, fmt.Sprintf("%s %s", ratio(c.ratio.Median), judged(c.verdict)))
	}
	if c.failed > 0 {
		parts = append(parts, fmt.Sprintf("**%d failed**", c.failed))
	}
	return strings.Join(parts, " ")
}

var markdownEscaper = strings.NewReplacer("\\", "\\\\", "|", "\\|", "`", "\\`", "*", "\\*", "_", "\\_",
	"[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;", "&", "&amp;", "#", "\\#")

// cellText makes foreign text one harmless line of Markdown.
func cellText(s string) string { return markdownEscaper.Replace(plain(s)) }

// fenced puts text between fences that are longer than any run of backticks in
// it, so that it can't leave them.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(plain(l), " ")
	}
	return fence + "\n" + strings.Join(lines, "\n") + "\n" + fence + "\n"
}
