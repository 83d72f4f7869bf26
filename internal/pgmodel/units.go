package pgmodel

import "strconv"

// unit is one that a number may have, and how many of the base it is.
type unit struct {
	name  string
	times int64
}

var (
	memoryUnits = []unit{{"TB", 1 << 30}, {"GB", 1 << 20}, {"MB", 1 << 10}, {"kB", 1}}
	timeUnits   = []unit{{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}}
)

func readKilobytes(_, text string) (string, bool) {
	n, ok := readUnits(text, memoryUnits)
	return showUnits(n, memoryUnits), ok && n >= 64
}

func readMilliseconds(_, text string) (string, bool) {
	n, ok := readUnits(text, timeUnits)
	return showUnits(n, timeUnits), ok && n >= 0
}

func readUnits(text string, units []unit) (int64, bool) {
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseInt(text[:digits], 10, 31)
	if err != nil {
		return 0, false
	}
	if digits == len(text) {
		return n, true
	}
	for _, u := range units {
		if u.name == text[digits:] {
			return n * u.times, true
		}
	}
	return 0, false
}

// showUnits writes a number in the largest unit that it is a multiple of.
func showUnits(n int64, units []unit) string {
	if n == 0 {
		return "0"
	}
	for _, u := range units {
		if n%u.times == 0 {
			return strconv.FormatInt(n/u.times, 10) + u.name
		}
	}
	return ""
}
