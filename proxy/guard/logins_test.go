package guard

import (
	"net/netip"
	"testing"
)

func TestLoginsOfUnixSocketsAndOtherAddressesAreNotBoundByThoseOfOne(t *testing.T) {
	l := NewLoginLimiter()
	l.SetLimit(1)
	for _, test := range []struct {
		source       netip.Prefix
		begun, first bool
	}{
		{source("10.0.0.1"), true, false}, {source("10.0.0.1"), false, true}, {source("10.0.0.1"), false, false},
		{source("10.0.0.2"), true, false}, {netip.Prefix{}, true, false}, {netip.Prefix{}, true, false},
	} {
		if begun, first := l.Begin(test.source); begun != test.begun || first != test.first {
			t.Errorf("%v: %t, first %t", test.source, begun, first)
		}
	}
	if c := l.Counts(); c != (LoginCounts{Running: 4, TurnedAway: 2}) {
		t.Errorf("counted %+v", c)
	}
	for _, s := range []string{"10.0.0.1", "10.0.0.2"} {
		l.End(source(s))
	}
	if begun, _ := l.Begin(source("10.0.0.1")); !begun || len(l.bySource) != 2 {
		t.Errorf("a source is not forgotten: %d are known", len(l.bySource))
	}
	l.SetLimit(0)
	if begun, _ := l.Begin(source("10.0.0.1")); !begun {
		t.Error("zero is no limit")
	}
}
