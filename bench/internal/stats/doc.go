// Package stats is the arithmetic of the benchmark: medians, intervals, ratios
// taken round by round, and when a change is more than noise. It knows numbers
// only, neither targets nor metrics, and never draws.
//
// # The interval
//
// A handful of rounds on a shared machine is not normally distributed, so no
// mean and no standard deviation is used. The interval of a Summary is the
// distribution-free one for the median, from order statistics: the narrowest
// pair of samples, counted from both ends alike, that holds the true median in
// at least 90 % of all runs. Five to seven rounds give smallest to largest, eight
// the second to the seventh. Four rounds and fewer can't reach 90 %; smallest to
// largest stands there too, and holds the median in 87.5 % (four), 75 % (three)
// and 50 % (two) of all runs.
//
// # Beyond the noise
//
// Judge calls a change real when the two intervals lie apart, with a gap between
// them of more than a threshold. Apart alone is too little. Without any change,
// the intervals of two runs part by chance once in 126 with five rounds each, once
// in 35 with four, once in 10 with three; a comparison looks at a hundred figures;
// and what differs from run to run, such as where memory lies, is in no interval
// of either. With fewer than three rounds on either side Judge decides nothing.
package stats
