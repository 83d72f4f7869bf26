package proxy

import (
	"testing"
	"time"
)

func TestWhatNeverExpiresIsNotWaitedForOverAndOver(t *testing.T) {
	forever := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280, section 4.1.2.5
	for _, more := range []time.Duration{time.Millisecond, time.Second} {
		if d := justAfter(forever, more); d < 100*365*24*time.Hour {
			t.Errorf("%v after the year 9999 comes in %v", more, d)
		}
		if d := justAfter(time.Now().Add(time.Hour), more); d > time.Hour+more || d < time.Hour+more-time.Minute {
			t.Errorf("%v after an hour comes in %v", more, d)
		}
	}
}
