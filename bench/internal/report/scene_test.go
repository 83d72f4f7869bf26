package report

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pgseal/pgseal/bench/internal/resulttest"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

func TestNumbersHaveThreeDigitsAndThousandsHaveCommas(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 7: "7", 0.1234: "0.123", 1.2345: "1.23", 9.999: "10.0", 12.345: "12.3", 99.99: "100", 123.4: "123",
		999.7: "1,000", 1234: "1,234", 1234567.8: "1,234,568", -1234: "-1,234", 2e18: "2e+18", math.Inf(1): "–",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
	if got := number(math.NaN()); got != "–" {
		t.Errorf("NaN: got %q", got)
	}
}

func TestTicksOfOneAxisAreWrittenAlike(t *testing.T) {
	for _, tc := range []struct {
		v, most float64
		want    string
	}{{0, 25000, "0"}, {5000, 25000, "5k"}, {25000, 25000, "25k"}, {5000, 5000, "5,000"}, {2.5e6, 5e6, "2.5M"}, {0.5, 1, "0.5"}} {
		if got := tick(tc.v, tc.most); got != tc.want {
			t.Errorf("%v of %v: got %q, want %q", tc.v, tc.most, got, tc.want)
		}
	}
}

func TestLinearTicksReachFromZeroToTheLargest(t *testing.T) {
	for _, most := range []float64{1e-9, 0.7, 1, 23.4, 99, 100, 101, 17234, 3e200} {
		ticks := linearTicks(most)
		last := ticks[len(ticks)-1]
		if ticks[0] != 0 || last < most || last > most*2.5 || len(ticks) < 3 || len(ticks) > 7 {
			t.Errorf("%v: %v", most, ticks)
		}
	}
	for _, odd := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if ticks := linearTicks(odd); !slices.Equal(ticks, []float64{0, 1}) {
			t.Errorf("%v: %v", odd, ticks)
		}
	}
}

func TestLogTicksEncloseTheFigures(t *testing.T) {
	for _, tc := range [][2]float64{{0.3, 20}, {1, 1}, {0.01, 5000}, {7, 7.1}, {100, 1000}} {
		ticks := logTicks(tc[0], tc[1])
		if ticks[0] > tc[0] || ticks[len(ticks)-1] < tc[1] || len(ticks) < 2 || len(ticks) > 11 || !slices.IsSorted(ticks) {
			t.Errorf("%v: %v", tc, ticks)
		}
	}
	for _, odd := range [][2]float64{{0, 1}, {math.Inf(1), 0}, {math.NaN(), 1}, {1, math.Inf(1)}} {
		if ticks := logTicks(odd[0], odd[1]); len(ticks) != 2 {
			t.Errorf("%v: %v", odd, ticks)
		}
	}
}

func TestLabelsKeepTheirOrderAndTheirDistance(t *testing.T) {
	got := spreadOut([]float64{100, 98, 99, 200}, 15, 20, 200)
	sorted := slices.Sorted(slices.Values(got))
	for i := 1; i < len(sorted); i++ {
		if sorted[i]-sorted[i-1] < 15 {
			t.Errorf("too near: %v", got)
		}
	}
	if !(got[1] < got[2] && got[2] < got[0] && got[0] < got[3] && got[3] <= 200) {
		t.Errorf("out of order: %v", got)
	}
}

func TestALongNameKeepsItsHeadAndItsTail(t *testing.T) {
	got := shorten("staging-pooler-eu-west-1", 10)
	if utf8.RuneCountInString(got) != 10 || !strings.HasPrefix(got, "stag") || !strings.HasSuffix(got, "est-1") {
		t.Errorf("got %q", got)
	}
	if got := shorten("pgbouncer", 10); got != "pgbouncer" {
		t.Errorf("got %q", got)
	}
}

func TestUsualTargetsAlwaysLookTheSameAndNoTwoLookAlike(t *testing.T) {
	a := styles([]string{"direct", "pgseal", "pgbouncer"})
	b := styles([]string{"mine", "pgbouncer", "yours", "pgseal"})
	if a["pgseal"] != b["pgseal"] || a["pgbouncer"] != b["pgbouncer"] {
		t.Errorf("%v, %v", a, b)
	}
	seen := map[int]bool{}
	for _, style := range b {
		if seen[style] {
			t.Errorf("two alike: %v", b)
		}
		seen[style] = true
	}
}

func TestNoMarkAndNoLabelLeavesItsPlot(t *testing.T) {
	v := newView(resulttest.Run(1, 5))
	all := v.overview()
	for _, sec := range v.sections {
		all = append(all, v.figures(sec)...)
	}
	for _, f := range all {
		for _, l := range f.Plot.Labels {
			x, _ := strconv.ParseFloat(l.X, 64)
			y, _ := strconv.ParseFloat(l.Y, 64)
			wide := 7.2 * float64(utf8.RuneCountInString(l.Text)) // generous for 12 pixels
			from := map[string]float64{"start": x, "middle": x - wide/2, "end": x - wide}[l.Anchor]
			if from < -1 || from+wide > f.Plot.Width+8 || y < 8 || y > f.Plot.Height {
				t.Errorf("%q: label %q reaches from %.0f to %.0f at %.0f", f.Title, l.Text, from, from+wide, y)
			}
		}
	}
}

func TestBetterIsToTheRightWhicheverWayTheMetricGoes(t *testing.T) {
	half := stats.Summarize([]float64{0.5, 0.5, 0.5})
	if logAdvantage(0.5, false) <= 0 || logAdvantage(0.5, true) >= 0 {
		t.Error("the direction is wrong")
	}
	if math.Abs(logAdvantage(2, true)-logAdvantage(0.5, false)) > 1e-12 {
		t.Error("twice and half are not equally far")
	}
	for higher, want := range map[bool]string{true: "worse", false: "better"} {
		if got := (ratioRow{ratio: half, higher: higher}).word(); got != want {
			t.Errorf("higher is better %v: got %q", higher, got)
		}
	}
	low, high := advantage(ratioRow{ratio: stats.Summarize([]float64{0.5, 0.6, 0.8})})
	if low > high || low <= 0 {
		t.Errorf("the interval is from %v to %v", low, high)
	}
}

func TestABarBeyondTheScaleShowsACut(t *testing.T) {
	for factor, want := range map[float64]int{2: 0, 20: 1} {
		r := ratioRow{name: "a", ratio: stats.Summarize([]float64{factor, factor, factor})}
		n := 0
		for _, p := range (ratioPlot{rows: []ratioRow{r}, reach: reachOf([]ratioRow{r})}).draw().Paths {
			if p.Class == "cut" {
				n++
			}
		}
		if n != want {
			t.Errorf("%v times: %d cuts, want %d", factor, n, want)
		}
	}
}
