package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/bench/internal/stats"
)

// width is that of every plot, in user units. It is what a phone of 400 pixels
// has room for, so that text is never scaled down.
const width = 360.0

// scene is a drawing: paths below, labels above, all in user units from the
// upper left corner. The page's template writes it as SVG and escapes its text.
type scene struct {
	Width, Height float64
	Alt           string // the same in words, figures included
	Paths         []path
	Labels        []label
}

// path is a shape in SVG's path language; its class gives it colour and stroke.
type path struct{ Class, D string }

type label struct {
	Class  string
	X, Y   string
	Anchor string // start, middle or end
	Text   string
}

// series is what one target contributes to a plot.
type series struct {
	name   string
	style  int // of its colour and its marker
	values []stats.Summary
}

func (s *scene) text(x, y float64, anchor, class, text string) {
	s.Labels = append(s.Labels, label{class, coord(x), coord(y), anchor, text})
}

func (s *scene) line(class string, xy ...float64) {
	var d strings.Builder
	for i := 0; i+1 < len(xy); i += 2 {
		d.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + coord(xy[i]) + " " + coord(xy[i+1]))
	}
	s.Paths = append(s.Paths, path{class, d.String()})
}

func (s *scene) box(class string, x, y, w, h float64) {
	s.Paths = append(s.Paths, path{class, "M" + coord(x) + " " + coord(y) + "h" + coord(w) + "v" + coord(h) + "h" + coord(-w) + "z"})
}

// markers are closed outlines around the origin, of about the same weight.
var markers = []string{
	"m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",    // circle
	"m-3.6 -3.6h7.2v7.2h-7.2z",               // square
	"m0 -4.8l4.6 8.2h-9.2z",                  // triangle
	"m0 -5l5 5l-5 5l-5 -5z",                  // diamond
	"m0 4.8l4.6 -8.2h-9.2z",                  // triangle, on its tip
	"m-1.5 -4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z", // cross
}

func (s *scene) marker(style int, x, y float64) {
	s.Paths = append(s.Paths, path{"dot " + styleClass(style), "M" + coord(x) + " " + coord(y) + markers[style%len(markers)]})
}

func styleClass(style int) string { return "s" + strconv.Itoa(style%len(markers)) }

// coord writes a coordinate with one decimal, which is finer than the eye.
func coord(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(v*10)/10+0, 'f', -1, 64)
}

// styles gives each target its colour and marker: the usual ones always the
// same, so that reports can be laid side by side, the others what is left.
func styles(targets []string) map[string]int {
	given := map[string]int{}
	usual := []string{"pgseal", "pgbouncer", "direct", "haproxy"}
	used := map[int]bool{}
	for _, name := range targets {
		if i := slices.Index(usual, name); i >= 0 {
			given[name], used[i] = i, true
		}
	}
	next := 0
	for _, name := range targets {
		if _, ok := given[name]; ok {
			continue
		}
		for used[next] {
			next++
		}
		given[name], used[next] = next, true
	}
	return given
}

// shorten keeps head and tail of a name that is longer than its room.
func shorten(name string, room int) string {
	r := []rune(plain(name))
	if len(r) <= room {
		return string(r)
	}
	tail := room / 2
	return string(r[:room-tail-1]) + "…" + string(r[len(r)-tail:])
}

// linearTicks divides 0..most into three to six even steps that are easy to read.
// The last one is at or above most.
func linearTicks(most float64) []float64 {
	if !(most > 0) || most > math.MaxFloat64/10 {
		return []float64{0, 1}
	}
	size := math.Pow(10, math.Floor(math.Log10(most)))
	step := size * 2
	for _, f := range []float64{0.2, 0.25, 0.5, 1} {
		if most <= size*f*5 {
			step = size * f
			break
		}
	}
	ticks := []float64{0}
	for i := 1; ticks[len(ticks)-1] < most && i < 10; i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return ticks
}

// logTicks are 1, 2 and 5 times powers of ten that enclose low..high, only the
// powers where there would be many.
func logTicks(low, high float64) []float64 {
	if !(low > 0) || !(high >= low) || math.IsInf(high, 0) {
		return []float64{1, 10}
	}
	factors := []float64{1, 2, 5}
	if high/low > 1000 {
		factors = []float64{1}
	}
	var ticks []float64
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, f := range factors {
			ticks = append(ticks, f*math.Pow(10, e))
		}
	}
	for len(ticks) > 2 && ticks[1] <= low {
		ticks = ticks[1:]
	}
	for len(ticks) > 2 && ticks[len(ticks)-2] >= high {
		ticks = ticks[:len(ticks)-1]
	}
	return ticks
}

// spreadOut moves positions apart until they are gap from each other, in their
// order and between top and bottom as far as there is room.
func spreadOut(ys []float64, gap, top, bottom float64) []float64 {
	order := make([]int, len(ys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case ys[a] < ys[b]:
			return -1
		case ys[a] > ys[b]:
			return 1
		}
		return 0
	})
	out := slices.Clone(ys)
	floor := bottom
	for i := len(order) - 1; i >= 0; i-- {
		out[order[i]] = min(out[order[i]], floor)
		floor = out[order[i]] - gap
	}
	ceiling := top
	for _, i := range order {
		out[i] = max(out[i], ceiling)
		ceiling = out[i] + gap
	}
	return out
}
