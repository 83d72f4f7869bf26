package effects

import (
	"testing"

	"github.com/pgseal/pgseal/internal/sqlscan"
)

func TestWhatNoTextShowsIsNoneOfTheScannersBits(t *testing.T) {
	for _, own := range []Set{UnknownState, LargeStatement, LargeSettings, Privileged, TemporaryPath, Dotted} {
		if name := sqlscan.Effects(own).String(); name != "" || own == 0 {
			t.Errorf("%x is %q of sqlscan", uint64(own), name)
		}
	}
}
