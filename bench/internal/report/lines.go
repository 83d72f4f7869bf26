package report

import (
	"fmt"
	"math"
	"strings"
)

// linePlot is what a plot of lines shows. Every series has a value for each of
// the columns; those without samples leave a gap.
type linePlot struct {
	what    string // for those who can't see it
	columns []string
	at      []float64 // where each column stands, from 0 to 1
	below   string    // what the columns are
	unit    string
	log     bool    // of the upright axis
	most    float64 // at least that high, for plots side by side
	series  []series
}

// frame is the area of a plot between its axes.
type frame struct{ left, right, top, bottom float64 }

func (p linePlot) draw() scene {
	f := frame{left: 46, right: width - 96, top: 24, bottom: 206}
	s := scene{Width: width, Height: 248, Alt: p.words()}
	y := p.axes(&s, f)
	ends := make([]float64, 0, len(p.series))
	for _, line := range p.series {
		ends = append(ends, p.line(&s, f, line, y))
	}
	for i, at := range spreadOut(ends, 17, f.top, f.bottom) {
		if math.IsNaN(ends[i]) {
			continue
		}
		s.line("lead", f.right+6, ends[i], f.right+14, at)
		s.marker(p.series[i].style, f.right+19, at)
		s.text(f.right+27, at+4, "start", "name", shorten(p.series[i].name, 10))
	}
	return s
}

// axes draws both and answers how values become heights.
func (p linePlot) axes(s *scene, f frame) func(float64) float64 {
	low, high := math.Inf(1), p.most
	for _, line := range p.series {
		for _, v := range line.values {
			if v.N > 0 {
				high = max(high, v.High)
				if v.Low > 0 {
					low = min(low, v.Low)
				}
			}
		}
	}
	ticks := linearTicks(high)
	y := func(v float64) float64 { return f.bottom - (f.bottom-f.top)*v/ticks[len(ticks)-1] }
	if p.log {
		ticks = logTicks(low, high)
		first, span := math.Log(ticks[0]), math.Log(ticks[len(ticks)-1]/ticks[0])
		y = func(v float64) float64 {
			return f.bottom - (f.bottom-f.top)*(math.Log(max(v, ticks[0]))-first)/span
		}
	}
	for i, t := range ticks {
		s.line(map[bool]string{true: "axis", false: "grid"}[i == 0], f.left, y(t), f.right, y(t))
		s.text(f.left-6, y(t)+4, "end", "tick", tick(t, map[bool]float64{false: ticks[len(ticks)-1]}[p.log]))
	}
	s.text(0, 11, "start", "tick", p.unit)
	for i, name := range p.columns {
		x := p.x(f, i)
		s.line("axis", x, f.bottom, x, f.bottom+4)
		s.text(x, f.bottom+18, "middle", "tick", name)
	}
	s.text((f.left+f.right)/2, f.bottom+36, "middle", "tick", p.below)
	return y
}

// x leaves room beside the first and the last column, for markers and numbers.
func (p linePlot) x(f frame, column int) float64 {
	return f.left + 10 + (f.right-f.left-20)*p.at[column]
}

// line draws one target's and answers the height of its end, NaN without one.
func (p linePlot) line(s *scene, f frame, line series, y func(float64) float64) float64 {
	var xy []float64
	end, class := math.NaN(), styleClass(line.style)
	for i, v := range line.values {
		if v.N == 0 {
			continue
		}
		x := p.x(f, i)
		xy = append(xy, x, y(v.Median))
		end = y(v.Median)
		if v.N > 1 {
			s.line("whisker "+class, x, y(v.Low), x, y(v.High))
		}
	}
	s.line("line "+class, xy...)
	for i := 0; i+1 < len(xy); i += 2 {
		s.marker(line.style, xy[i], xy[i+1])
	}
	return end
}

func (p linePlot) words() string {
	var b strings.Builder
	b.WriteString(p.what + ".")
	for _, line := range p.series {
		fmt.Fprintf(&b, " %s:", plain(line.name))
		for i, v := range line.values {
			if v.N > 0 {
				fmt.Fprintf(&b, " %s %s,", p.columns[i], withUnit(v.Median, p.unit))
			}
		}
		b.WriteString(";")
	}
	return strings.NewReplacer(",;", ".", ":;", ": not measured.").Replace(b.String())
}
