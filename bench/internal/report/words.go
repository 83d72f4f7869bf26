package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

// number shows three significant digits, and whole numbers from 1,000 on with
// commas between the thousands.
func number(v float64) string {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case abs >= 1e15:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case abs == math.Trunc(abs) && abs < 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 999.5:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case abs >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func thousands(digits string) string {
	head, tail := digits, ""
	for len(strings.TrimPrefix(head, "-")) > 3 {
		tail = "," + head[len(head)-3:] + tail
		head = head[:len(head)-3]
	}
	return head + tail
}

// tick shows a number at an axis that reaches to most, where room is short and
// all numbers should look alike.
func tick(v, most float64) string {
	for _, unit := range []struct {
		from, size float64
		suffix     string
	}{{1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}} {
		if most >= unit.from && v != 0 {
			return strconv.FormatFloat(v/unit.size, 'g', 4, 64) + unit.suffix
		}
	}
	return number(v)
}

func ratio(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) + "×" }

func withUnit(v float64, unit string) string {
	if unit == "" || unit == "×" {
		return number(v) + unit
	}
	return number(v) + " " + unit
}

// spread shows the interval, unless there is nothing between its ends.
func spread(s stats.Summary) string {
	if s.N < 2 {
		return ""
	}
	return number(s.Low) + "–" + number(s.High)
}

// direction says what is good about a metric.
func direction(m result.Metric) string {
	_, known := result.Lookup(m.Name)
	switch {
	case !known || !m.Judged():
		return "neither is better"
	case m.Higher:
		return "higher is better"
	}
	return "lower is better"
}

// judged is the verdict on a ratio to the baseline, in a word.
func judged(v stats.Verdict) string {
	return map[stats.Verdict]string{
		stats.Improved: "better", stats.Worse: "worse", stats.Within: "same", stats.Undecided: "too few rounds",
	}[v]
}

func metricTitle(m result.Metric) string {
	if m.Unit == "" {
		return m.Title
	}
	return m.Title + ", " + m.Unit
}

func rounds(v view) string {
	switch {
	case v.rounds[0] == v.rounds[1]:
		return plural(v.rounds[0], "round")
	}
	return fmt.Sprintf("%d to %d rounds", v.rounds[0], v.rounds[1])
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func duration(seconds float64) string {
	if math.IsNaN(seconds) || math.Abs(seconds) > 1e9 {
		return number(seconds) + " s"
	}
	return time.Duration(math.Round(seconds) * float64(time.Second)).String()
}

// loadShare says what the load generator took, of what there was.
func loadShare(m result.Meta) string {
	if m.LoadCPU <= 0 || m.Seconds <= 0 {
		return "not measured"
	}
	busy := m.LoadCPU / m.Seconds
	text := fmt.Sprintf("%s s of CPU over %s, %s cores on average", number(m.LoadCPU), duration(m.Seconds), number(busy))
	if m.Cores > 0 {
		text += fmt.Sprintf(" of the %d that it shares with all targets", m.Cores)
	}
	return text
}

func memory(bytes uint64) string {
	return strconv.FormatFloat(float64(bytes)/(1<<30), 'f', 1, 64) + " GiB"
}

// plain makes foreign text fit for one line: no control characters, which could
// move a terminal's cursor or worse, and no direction overrides.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return visible(r)
	}, s)
}

// visible drops what is neither seen nor a line's end; for strings.Map.
func visible(r rune) rune {
	if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf) {
		return -1
	}
	return r
}

// limits are what such a run can't tell, whatever its figures.
var limits = []string{
	"One machine: client, target and PostgreSQL share its cores, so throughput is what they reach together. CPU per transaction is the target's own.",
	"Loopback: no network, no loss, no distance. What a pooler saves or adds in round trips weighs more over a real one.",
	"A throwaway PostgreSQL with little data: its own work is small, so the poolers' shares look larger than they would behind heavy queries.",
	"Each target as configured here. Other settings, versions and kernels give other figures: measure your own with --target.",
}
