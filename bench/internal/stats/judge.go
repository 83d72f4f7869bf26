package stats

import "math"

// Verdict is what Judge concludes.
type Verdict int

// The verdicts, from no knowledge to the worst.
const (
	Undecided Verdict = iota // fewer than MinRounds on either side
	Within                   // no change that could not be noise
	Improved
	Worse
)

// String gives the word for it that is shown to a user.
func (v Verdict) String() string {
	return [...]string{"undecided", "within the noise", "improved", "worse"}[v]
}

// Judge compares a figure before and after. The change is real if the nearer
// ends of the two intervals are further apart than threshold (0.05 for 5 % of
// the smaller one), so that halving and doubling weigh the same. A figure that
// was zero has no ratio: any change from it exceeds any threshold.
func Judge(before, after Summary, higherIsBetter bool, threshold float64) Verdict {
	if min(before.N, after.N) < MinRounds {
		return Undecided
	}
	rose := after.Low > before.High*(1+threshold)
	fell := before.Low > after.High*(1+threshold)
	switch {
	case !rose && !fell:
		return Within
	case rose == higherIsBetter:
		return Improved
	}
	return Worse
}

// Change is the relative change of the medians: 0.1 for ten percent more, +Inf
// from zero to anything, NaN where there is nothing to compare.
func Change(before, after Summary) float64 {
	switch {
	case before.N == 0 || after.N == 0:
		return math.NaN()
	case before.Median == after.Median:
		return 0
	}
	return after.Median/before.Median - 1
}

// AgainstOne judges a ratio: does its interval lie on one side of 1? Undecided
// with fewer than MinRounds, Within if it holds 1.
func AgainstOne(ratio Summary, higherIsBetter bool) Verdict {
	one := Summary{N: MinRounds, Median: 1, Min: 1, Max: 1, Low: 1, High: 1}
	return Judge(one, ratio, higherIsBetter, 0)
}
