package stats

import (
	"math"
	"slices"
)

const (
	// MinRounds is the least number of rounds from which anything is concluded.
	MinRounds = 3

	// Threshold is the usual least change worth telling, as a fraction.
	Threshold = 0.05

	coverage = 0.9
)

// Summary describes the samples of one figure. Its zero value stands for no
// samples at all.
type Summary struct {
	N         int // samples that were finite numbers
	Median    float64
	Min, Max  float64
	Low, High float64 // the interval, see the package comment
}

// Summarize describes the finite ones among values and ignores the others:
// NaN marks a round without a figure.
func Summarize(values []float64) Summary {
	sorted := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !finite(v) })
	n := len(sorted)
	if n == 0 {
		return Summary{}
	}
	slices.Sort(sorted)
	k := trim(n)
	return Summary{
		N:      n,
		Median: sorted[(n-1)/2]/2 + sorted[n/2]/2, // halved first: the sum may overflow
		Min:    sorted[0],
		Max:    sorted[n-1],
		Low:    sorted[k],
		High:   sorted[n-1-k],
	}
}

// trim is how many of n sorted samples the interval leaves out at each end: the
// most with which it still holds the median with the wanted probability.
func trim(n int) int {
	k, below := 0, 0.0
	for next := 0; 2*next < n; next++ {
		below += atMedian(n, next) // at most next samples below the median
		if 1-2*below < coverage {
			break
		}
		k = next
	}
	return k
}

// atMedian is the probability that exactly k of n samples lie below the median.
func atMedian(n, k int) float64 {
	logFactorial := func(m int) float64 { v, _ := math.Lgamma(float64(m + 1)); return v }
	return math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) - float64(n)*math.Ln2)
}

// Ratios divides a by b round by round, NaN where either is missing or not
// finite, or where b is not above zero. The longer slice is cut.
func Ratios(a, b []float64) []float64 {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = math.NaN()
		if finite(a[i]) && finite(b[i]) && a[i] >= 0 && b[i] > 0 {
			ratios[i] = a[i] / b[i]
		}
	}
	return ratios
}

// GeometricMean is the mean that ratios call for: that of 2 and 1/2 is 1. It is
// NaN for no values, and if any of them is not finite and above zero.
func GeometricMean(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range values {
		if !finite(v) || v <= 0 {
			return math.NaN()
		}
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}

// GeometricMeans takes the ratios of several cases, one slice of rounds for
// each, and gives the geometric mean over all cases for each round: NaN for a
// round that any case lacks, so that all rounds speak of the same cases.
func GeometricMeans(cases [][]float64) []float64 {
	if len(cases) == 0 {
		return nil
	}
	rounds := len(cases[0])
	for _, c := range cases {
		rounds = min(rounds, len(c))
	}
	means := make([]float64, rounds)
	column := make([]float64, len(cases))
	for i := range means {
		for j, c := range cases {
			column[j] = c[i]
		}
		means[i] = GeometricMean(column)
	}
	return means
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
