package compare

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pgseal/pgseal/bench/internal/stats"
)

// Print writes what got worse, what improved, then the counts, what they were
// held against, and the notes. Foreign text loses its control characters.
func (c Comparison) Print(w io.Writer, threshold float64) error {
	var b strings.Builder
	for _, v := range []stats.Verdict{stats.Worse, stats.Improved} {
		for _, change := range c.Changes {
			if change.Verdict == v {
				fmt.Fprintf(&b, "%-8s  %s\n", v, clean(change.String()))
			}
		}
	}
	fmt.Fprintf(&b, "%d improved, %d worse, %d within the noise, %d undecided\n",
		c.Count(stats.Improved), c.Count(stats.Worse), c.Count(stats.Within), c.Count(stats.Undecided))
	fmt.Fprintf(&b, "beyond the noise: intervals apart by more than %s %%\n", trimmed(threshold*100))
	fmt.Fprintf(&b, "held against: %s\n", c.against())
	if n := c.Count(stats.Undecided); n > 0 {
		fmt.Fprintf(&b, "undecided: fewer than %d rounds in either run, or no figure in one of them\n", stats.MinRounds)
	}
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", clean(note))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}

// String tells one change in a line.
func (c Change) String() string {
	head := fmt.Sprintf("%s, %s, %s: %s", c.Target, c.Scenario, c.Case, c.Metric.Title)
	if c.Why != "" {
		return head + " " + c.Why
	}
	relative := stats.Change(c.Before, c.After) * 100
	percent := fmt.Sprintf("%+.1f %%", relative)
	if math.IsInf(relative, 0) {
		percent = "from zero"
	}
	if c.Peer != "" {
		return fmt.Sprintf("%s %.3f× of %s, before %.3f× (%s)", head, c.After.Median, c.Peer, c.Before.Median, percent)
	}
	return fmt.Sprintf("%s %s %s, before %s (%s)", head, trimmed(c.After.Median), c.Metric.Unit, trimmed(c.Before.Median), percent)
}

// against says how many comparisons used which peer.
func (c Comparison) against() string {
	count := map[string]int{}
	for _, change := range c.Changes {
		if change.Why == "" {
			count[change.Peer]++
		}
	}
	var list []string
	for _, peer := range append(slices.Clone(peers), "") {
		switch n := count[peer]; {
		case n == 0:
		case peer == "":
			list = append(list, fmt.Sprintf("no peer (%d; the figures themselves, which differ between machines)", n))
		default:
			list = append(list, fmt.Sprintf("%s (%d)", peer, n))
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

func trimmed(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) {
			return ' '
		}
		return r
	}, s)
}
