package status

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// longestText is how many characters of a text are shown.
const longestText = 300

// clean makes a text that a stranger may have chosen harmless to look at: what
// has no shape of its own, or changes the order of what stands around it
// (Unicode Standard Annex 9), is written as its number, as <U+202E>.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > longestText {
			b.WriteString("…")
			break
		}
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			fmt.Fprintf(&b, "<0x%02X>", s[i])
			continue
		}
		if r != ' ' && !unicode.IsGraphic(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			fmt.Fprintf(&b, "<U+%04X>", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cleanAll cleans each text of a list, of which most are shown at most.
func cleanAll(list []string, most int) []string {
	all := make([]string, 0, min(len(list), most))
	for _, s := range list[:min(len(list), most)] {
		all = append(all, clean(s))
	}
	return all
}

// inWords says how long something takes, in the unit that tells most.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / unit.size); n >= 2 || n == 1 && unit.name != "day" {
			return plural(n, unit.name)
		}
	}
	return plural(int(d/time.Second), "second")
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
