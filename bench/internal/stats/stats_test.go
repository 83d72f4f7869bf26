package stats

import (
	"math"
	"slices"
	"testing"
)

var nan, inf = math.NaN(), math.Inf(1)

func TestASummaryOfKnownDataIsItsMedianAndInterval(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"nothing", nil, Summary{}},
		{"nothing finite", []float64{nan, inf, -inf}, Summary{}},
		{"one round", []float64{7}, Summary{1, 7, 7, 7, 7, 7}},
		{"an even number", []float64{4, 1}, Summary{2, 2.5, 1, 4, 1, 4}},
		{"zeros", []float64{0, 0, 0}, Summary{3, 0, 0, 0, 0, 0}},
		{"five, unsorted", []float64{5, 1, 4, 2, 3}, Summary{5, 3, 1, 5, 1, 5}},
		{"missing rounds", []float64{nan, 3, nan, 1, 2}, Summary{3, 2, 1, 3, 1, 3}},
		{"seven reach from end to end", []float64{1, 2, 3, 4, 5, 6, 7}, Summary{7, 4, 1, 7, 1, 7}},
		{"eight trim an outlier", []float64{1, 2, 3, 4, 5, 6, 7, 800}, Summary{8, 4.5, 1, 800, 2, 7}},
		{"eleven trim two", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, Summary{11, 6, 1, 11, 3, 9}},
		{"the largest numbers", []float64{math.MaxFloat64, math.MaxFloat64}, Summary{2, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64}},
	} {
		if got := Summarize(tc.values); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestSummarizeLeavesItsInputAlone(t *testing.T) {
	values := []float64{3, 1, 2}
	Summarize(values)
	if !slices.Equal(values, []float64{3, 1, 2}) {
		t.Errorf("the input became %v", values)
	}
}

func TestTheIntervalHoldsTheMedianAsOftenAsPromised(t *testing.T) {
	for n := 5; n <= 3000; n += 1 + n/7 {
		k := trim(n)
		held := func(k int) float64 {
			p := 1.0
			for i := 0; i <= k; i++ {
				p -= 2 * atMedian(n, i)
			}
			return p
		}
		if held(k) < coverage {
			t.Errorf("%d rounds, %d trimmed: held with only %.3f", n, k, held(k))
		}
		if held(k+1) >= coverage {
			t.Errorf("%d rounds: %d trimmed where %d would do", n, k, k+1)
		}
	}
}

func TestRatiosAreTakenRoundByRoundAndNeverFromAMissingOrZeroBase(t *testing.T) {
	a := []float64{2, 3, nan, 5, 1, 0, inf, -1, 9}
	b := []float64{4, nan, 2, 0, -1, 2, 1, 1}
	want := []float64{0.5, nan, nan, nan, nan, 0, nan, nan}
	got := Ratios(a, b)
	if len(got) != len(want) {
		t.Fatalf("got %d ratios, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
			t.Errorf("round %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestAPairedRatioIsSteadyWhereTheMachineIsNot(t *testing.T) {
	base := []float64{10, 20, 40, 15, 30} // the machine slows and recovers
	ours := []float64{8, 16, 32, 12, 24}
	got := Summarize(Ratios(ours, base))
	if got.Median != 0.8 || got.High-got.Low > 1e-9 {
		t.Errorf("got %+v, want 0.8 without spread", got)
	}
}

func TestAGeometricMeanTreatsHalfAndDoubleAlike(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{2, 0.5}, 1},
		{[]float64{1, 10, 100}, 10},
		{[]float64{3}, 3},
		{nil, nan},
		{[]float64{1, 0}, nan},
		{[]float64{1, nan}, nan},
		{[]float64{1, inf}, nan},
		{[]float64{1, -1}, nan},
	} {
		got := GeometricMean(tc.values)
		if math.IsNaN(tc.want) != math.IsNaN(got) || math.Abs(got-tc.want) > 1e-12 {
			t.Errorf("%v: got %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestGeometricMeansSpeakOfTheSameCasesInEveryRound(t *testing.T) {
	got := GeometricMeans([][]float64{{2, 4, nan, 1}, {0.5, 1, 1}})
	if len(got) != 3 || math.Abs(got[0]-1) > 1e-12 || math.Abs(got[1]-2) > 1e-12 || !math.IsNaN(got[2]) {
		t.Errorf("got %v, want 1, 2, NaN", got)
	}
	if got := GeometricMeans(nil); got != nil {
		t.Errorf("no cases gave %v", got)
	}
}

func of(values ...float64) Summary { return Summarize(values) }

func TestAChangeIsRealOnlyIfTheGapBetweenIntervalsExceedsTheThreshold(t *testing.T) {
	for _, tc := range []struct {
		name          string
		before, after Summary
		higher        bool
		want          Verdict
	}{
		{"more of what should be less", of(10, 10.1, 9.9), of(12, 12.1, 11.9), false, Worse},
		{"more of what should be more", of(10, 10.1, 9.9), of(12, 12.1, 11.9), true, Improved},
		{"less of what should be less", of(12, 12.1, 11.9), of(10, 10.1, 9.9), false, Improved},
		{"less of what should be more", of(12, 12.1, 11.9), of(10, 10.1, 9.9), true, Worse},
		{"steady but small", of(10, 10.1, 9.9), of(10.4, 10.45, 10.35), false, Within},
		{"medians far, intervals near", of(10, 10, 12), of(12.5, 14, 14), false, Within},
		{"a gap just above", of(10, 10, 10), of(10.51, 14, 14), false, Worse},
		{"a gap just below", of(10, 10, 10), of(10.49, 14, 14), false, Within},
		{"large but wide", of(10, 14, 9), of(13, 13, 13), false, Within},
		{"touching", of(10, 11, 12), of(12, 13, 14), false, Within},
		{"the same", of(5, 5, 5), of(5, 5, 5), false, Within},
		{"zero twice", of(0, 0, 0), of(0, 0, 0), false, Within},
		{"from zero", of(0, 0, 0), of(1, 2, 3), false, Worse},
		{"to zero", of(1, 2, 3), of(0, 0, 0), false, Improved},
		{"one round before", of(10), of(20, 20, 20), false, Undecided},
		{"two rounds after", of(10, 10, 10), of(20, 20), false, Undecided},
		{"too many missing", of(10, nan, nan), of(20, 20, 20), false, Undecided},
		{"nothing at all", of(), of(), false, Undecided},
	} {
		if got := Judge(tc.before, tc.after, tc.higher, Threshold); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestHalvingAndDoublingPassTheSameThreshold(t *testing.T) {
	one, two := of(1, 1, 1), of(2, 2, 2)
	for threshold, want := range map[float64]bool{0.99: true, 1.01: false} {
		up, down := Judge(one, two, true, threshold), Judge(two, one, false, threshold)
		if (up == Improved) != want || (down == Improved) != want {
			t.Errorf("threshold %v: doubling %v, halving %v", threshold, up, down)
		}
	}
}

func TestTheChangeOfAFigureIsRelativeToBefore(t *testing.T) {
	for _, tc := range []struct {
		before, after Summary
		want          float64
	}{
		{of(10), of(11), 0.1},
		{of(10), of(5), -0.5},
		{of(0), of(0), 0},
		{of(0), of(3), inf},
		{of(), of(3), nan},
		{of(3), of(nan), nan},
	} {
		got := Change(tc.before, tc.after)
		same := math.IsNaN(got) && math.IsNaN(tc.want) || got == tc.want || math.Abs(got-tc.want) < 1e-12
		if !same {
			t.Errorf("%v to %v: got %v, want %v", tc.before.Median, tc.after.Median, got, tc.want)
		}
	}
}

func TestARatioWhoseIntervalHoldsOneShowsNoDifference(t *testing.T) {
	for _, tc := range []struct {
		ratio Summary
		want  Verdict
	}{
		{of(0.8, 0.82, 0.79), Improved},
		{of(1.2, 1.3, 1.1), Worse},
		{of(0.9, 1, 1.1), Within},
		{of(1, 1, 1), Within},
		{of(0.5), Undecided},
		{of(), Undecided},
	} {
		if got := AgainstOne(tc.ratio, false); got != tc.want {
			t.Errorf("%+v: got %v, want %v", tc.ratio, got, tc.want)
		}
	}
}

func TestEveryVerdictHasAWord(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range []Verdict{Undecided, Within, Improved, Worse} {
		if v.String() == "" || seen[v.String()] {
			t.Errorf("verdict %d says %q", int(v), v.String())
		}
		seen[v.String()] = true
	}
}
