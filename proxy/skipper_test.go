package proxy

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// skipAll feeds a client's bytes in pieces of this size and returns how many
// were dropped until the skipper had its verdict.
func skipAll(k *skipper, sent string, piece int) (used int, last relay.Step) {
	var held string
	for len(sent) > 0 {
		n := min(piece, len(sent))
		held, sent = held+sent[:n], sent[n:]
		last, _ = k.skip([]byte(held))
		used += last.Used
		held = held[last.Used:]
		if last.Verdict != relay.NeedMore {
			return used, last
		}
	}
	return used, last
}

var (
	skippedParse = msg('P', "s\x00SELECT 1\x00\x00\x00")
	skippedBind  = msg('B', "\x00s\x00\x00\x00\x00\x00\x00\x00")
	skippedRun   = msg('E', "\x00\x00\x00\x00\x00")
	skippedSync  = msg('S')
)

func TestACancelledExchangeIsSkippedUpToItsEndAndNotBeyond(t *testing.T) {
	for name, c := range map[string]struct{ skipped, rest string }{
		"a query":                        {query("SELECT 1"), query("SELECT 2")},
		"a long query":                   {query(strings.Repeat("x", 100_000)), query("SELECT 2")},
		"an empty query":                 {query(""), skippedSync},
		"a function call":                {msg('F', "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"), query("SELECT 2")},
		"a Sync by itself":               {skippedSync, skippedSync},
		"a batch":                        {skippedParse + skippedBind + skippedRun + skippedSync, skippedParse},
		"a batch with Flush and Close":   {msg('H') + msg('C', "Ss\x00") + msg('D', "Ss\x00") + skippedSync, query("SELECT 2")},
		"the first of two batches":       {skippedBind + skippedRun + skippedSync, skippedBind + skippedRun + skippedSync},
		"a batch with a query inside":    {skippedParse + query("SELECT 1") + skippedSync, query("SELECT 2")},
		"a batch with COPY data inside":  {skippedRun + msg('d', "1\n") + msg('c') + skippedSync, query("SELECT 2")},
		"a goodbye behind it":            {query("SELECT 1"), msg('X')},
		"something wrong, but behind it": {query("SELECT 1"), "?\x00\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			whole := c.skipped + c.rest
			for _, piece := range []int{1, 2, 3, 4, 5, 6, 7, 64, len(c.skipped), len(whole)} {
				var k skipper
				used, last := skipAll(&k, whole, piece)
				if used != len(c.skipped) || last.Verdict != skipped || len(last.Pass) > 0 {
					t.Errorf("in pieces of %d: %d bytes dropped with verdict %d, want %d", piece, used, last.Verdict, len(c.skipped))
				}
				if k != (skipper{}) {
					t.Errorf("in pieces of %d it is left as %+v", piece, k)
				}
				for cut := range len(c.skipped) {
					if used, last := skipAll(new(skipper), whole[:cut], piece); used > cut || last.Verdict == skipped && cut > 0 {
						t.Fatalf("after %d of %d bytes it is over", cut, len(c.skipped))
					}
					if cut > 200 {
						break
					}
				}
			}
		})
	}
}

func TestAClientThatSaysGoodbyeInACancelledBatchIsHeard(t *testing.T) {
	for _, before := range []string{"", skippedParse, skippedParse + skippedBind + msg('d', "x")} {
		used, last := skipAll(new(skipper), before+msg('X'), 3)
		if used != len(before) || last.Verdict != relay.Terminated {
			t.Errorf("%d bytes dropped with verdict %d, want %d and terminate", used, last.Verdict, len(before))
		}
	}
}

func TestASkippedMessageIsStillCheckedBeforeItsBodyIsAwaited(t *testing.T) {
	for _, wrong := range []string{"?\x00\x00\x00\x04", "Q\x00\x00\x00\x03", "Q\x40\x00\x00\x03", "S\x00\x00\x27\x15", "p\x00\x00\x00\x04"} {
		for _, before := range []string{"", skippedParse} {
			used, last := skipAll(new(skipper), before+wrong, 5)
			if used != len(before) || last.Verdict != relay.Failed || last.Err == nil || last.Err.Code != wire.CodeProtocolViolation {
				t.Errorf("%q behind %d bytes: %d dropped, %+v", wrong, len(before), used, last)
			}
		}
	}
}

// However the bytes are cut, the same are dropped.
func FuzzSkipper(f *testing.F) {
	f.Add([]byte(skippedParse+skippedBind+skippedSync+query("x")), 3)
	f.Add([]byte(query("SELECT 1")+msg('X')), 1)
	f.Add([]byte("Q\x00\x00\x00\x03"), 2)
	f.Fuzz(func(t *testing.T, sent []byte, piece int) {
		if len(sent) == 0 {
			return
		}
		piece = 1 + (piece%64+64)%64
		var whole, parts skipper
		used, last := skipAll(&whole, string(sent), len(sent))
		cutUsed, cutLast := skipAll(&parts, string(sent), piece)
		if used != cutUsed || last.Verdict != cutLast.Verdict || whole != parts {
			t.Fatalf("in pieces of %d: %d bytes and verdict %d, at once %d and %d", piece, cutUsed, cutLast.Verdict, used, last.Verdict)
		}
	})
}
