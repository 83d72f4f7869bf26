package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/pgseal/pgseal/bench/internal/stats"
)

// barPlot shows one figure of each target as bars from zero.
type barPlot struct {
	what   string
	unit   string
	series []series // with one value each
	notes  []string // beside the figure, such as its ratio
}

func (p barPlot) draw() scene {
	const row = 38.0
	s := scene{Width: width, Height: row*float64(len(p.series)) + 2, Alt: p.words()}
	most := 0.0
	for _, bar := range p.series {
		most = max(most, bar.values[0].High)
	}
	scale := func(v float64) float64 {
		if most <= 0 {
			return 0
		}
		return (width - 4) * max(0, v) / most
	}
	for i, bar := range p.series {
		y, v := row*float64(i), bar.values[0]
		s.marker(bar.style, 6, y+9)
		s.text(16, y+13, "start", "name", shorten(bar.name, 20))
		if v.N == 0 {
			s.text(width, y+13, "end", "tick", "not measured")
			s.line("axis", 0.5, y+18, 0.5, y+32)
			continue
		}
		s.text(width, y+13, "end", "figure", strings.TrimSpace(number(v.Median)+" "+p.notes[i]))
		s.box("bar "+styleClass(bar.style), 0, y+19, scale(v.Median), 12)
		s.line("axis", 0.5, y+18, 0.5, y+32)
		if v.N > 1 {
			s.line("range", scale(v.Low), y+25, scale(v.High), y+25)
		}
	}
	return s
}

func (p barPlot) words() string {
	var b strings.Builder
	b.WriteString(p.what + ".")
	for i, bar := range p.series {
		if bar.values[0].N == 0 {
			fmt.Fprintf(&b, " %s: not measured.", plain(bar.name))
			continue
		}
		fmt.Fprintf(&b, " %s: %s.", plain(bar.name), strings.TrimSpace(withUnit(bar.values[0].Median, p.unit)+" "+p.notes[i]))
	}
	return b.String()
}

// ratioPlot shows how a target does against the baseline: right of the middle
// is better, whatever the metric, and the scale is such that twice as good and
// half as good are equally far from it.
type ratioPlot struct {
	what     string
	baseline string
	style    int
	reach    float64 // of the scale, a logarithm, for plots side by side
	rows     []ratioRow
}

type ratioRow struct {
	name   string
	ratio  stats.Summary
	higher bool // a higher ratio is better
}

// furthest is the largest advantage, or disadvantage, that the scale reaches. A
// bar that goes on beyond it is shown with a cut.
const furthest = 4

func (p ratioPlot) draw() scene {
	const row, top, middle = 42.0, 30.0, width / 2
	s := scene{Width: width, Height: top + row*float64(len(p.rows)) + 4, Alt: p.words()}
	reach := max(p.reach, math.Log(1.5))
	x := func(log float64) float64 {
		return middle + (middle-10)*max(-1, min(1, log/reach))
	}
	s.text(0, 12, "start", "name", "◀ worse")
	s.text(middle, 12, "middle", "name", shorten(p.baseline, 16)+" = 1")
	s.text(width, 12, "end", "name", "better ▶")
	s.line("axis", middle, 18, middle, s.Height)
	for i, r := range p.rows {
		y := top + row*float64(i)
		s.text(0, y+10, "start", "halo", r.name)
		s.text(width, y+10, "end", "halo figure", ratio(r.ratio.Median)+" "+r.word())
		low, high := advantage(r)
		mid := logAdvantage(r.ratio.Median, r.higher)
		from, to := min(x(0), x(mid)), max(x(0), x(mid))
		s.box("bar "+styleClass(p.style), from, y+16, max(to-from, 1), 12)
		switch end := x(mid); {
		case math.Abs(mid) > reach:
			at := middle + (end-middle)*0.9
			s.line("cut", at-2, y+30, at+4, y+14)
		case r.ratio.N > 1:
			s.line("range", x(low), y+22, x(high), y+22)
		}
	}
	return s
}

// reachOf is how far the scale must go for all of these rows.
func reachOf(rows []ratioRow) float64 {
	reach := 0.0
	for _, r := range rows {
		low, high := advantage(r)
		reach = max(reach, math.Abs(low), math.Abs(high))
	}
	return min(reach, math.Log(furthest))
}

func (r ratioRow) word() string {
	return judged(stats.AgainstOne(r.ratio, r.higher))
}

// logAdvantage is above zero for better, below for worse.
func logAdvantage(ratio float64, higher bool) float64 {
	log := math.Log(max(ratio, 1e-9))
	if higher {
		return log
	}
	return -log
}

// advantage gives the interval of it, the lower end first.
func advantage(r ratioRow) (low, high float64) {
	a, b := logAdvantage(r.ratio.Low, r.higher), logAdvantage(r.ratio.High, r.higher)
	return min(a, b), max(a, b)
}

func (p ratioPlot) words() string {
	var b strings.Builder
	b.WriteString(p.what + ".")
	for _, r := range p.rows {
		fmt.Fprintf(&b, " %s: %s, %s.", r.name, ratio(r.ratio.Median), r.word())
	}
	return b.String()
}
