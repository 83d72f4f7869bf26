package proxy

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func push(t *testing.T, p *pending, kinds string) {
	t.Helper()
	for _, k := range []byte(kinds) {
		if !p.push(k) {
			t.Fatalf("there was no room for %q", k)
		}
	}
}

// content returns the entries one by one.
func content(p *pending) string {
	var all []byte
	for _, r := range p.runs[p.head:] {
		all = append(all, slices.Repeat([]byte{r.kind}, r.count)...)
	}
	return string(all)
}

func TestPendingEntriesLeaveInTheirOrder(t *testing.T) {
	var p pending
	push(t, &p, "QQSQSS")
	for _, want := range "QQSQSS" {
		if p.first() != byte(want) || p.ready() == 0 {
			t.Fatalf("first is %q, want %q", p.first(), want)
		}
	}
	if p.first() != 0 || p.ready() != 0 {
		t.Error("more was owed than was asked for")
	}
}

func TestEndsOfACopyThatNeverBeganOweNothing(t *testing.T) {
	var p pending
	push(t, &p, "cQcScc")
	for _, want := range []string{"Scc", ""} {
		if p.ready() == 0 || content(&p) != want {
			t.Fatalf("left is %q, want %q", content(&p), want)
		}
	}
	if p.ready() != 0 {
		t.Error("more was owed than was asked for")
	}
}

func TestACopySwallowsTheSyncsBeforeItsEnd(t *testing.T) {
	for before, want := range map[string]struct {
		after      string
		ended, odd bool
	}{
		"":       {"", false, false},
		"Q":      {"Q", false, false},
		"Qc":     {"Q", true, false},
		"Qcc":    {"Qc", true, false},
		"QScQ":   {"QQ", true, false},
		"S":      {"", false, false},
		"SSS":    {"", false, false},
		"ScS":    {"S", true, false},
		"SSccS":  {"cS", true, false},
		"cS":     {"S", true, false},
		"SQ":     {"Q", false, true},
		"QSQ":    {"QQ", false, true},
		"QQ":     {"QQ", false, true},
		"QQc":    {"QQc", false, true},
		"SQcS":   {"QcS", false, true},
		"cQcS":   {"QcS", true, false},
		"QcSQcS": {"QSQcS", true, false},
	} {
		var p pending
		push(t, &p, before)
		_, ended, odd := p.copyIn()
		if content(&p) != want.after || ended != want.ended || odd != want.odd {
			t.Errorf("%q: left %q, ended %v, odd %v; want %+v", before, content(&p), ended, odd, want)
		}
	}
}

func TestOnlyQueriesAndSyncsAreOwedAnAnswer(t *testing.T) {
	for entries, want := range map[string]bool{"": false, "c": false, "ccc": false, "Q": true, "S": true, "cS": true, "ccQ": true} {
		var p pending
		push(t, &p, entries)
		if p.owes() != want {
			t.Errorf("%q: owes %v", entries, !want)
		}
	}
}

// TestPendingBehavesAsAPlainListDoes compares it with the simplest thing that
// could do the same.
func TestPendingBehavesAsAPlainListDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var p pending
	var list []byte
	for range 20_000 {
		if r.IntN(20) > 9 {
			kind := []byte("QSc")[r.IntN(3)]
			push(t, &p, string(kind))
			list = append(list, kind)
		} else {
			list = slices.DeleteFunc(list, ends(list))
			want := len(list) > 0
			if want {
				list = list[1:]
				list = slices.DeleteFunc(list, ends(list))
			}
			if (p.ready() != 0) != want {
				t.Fatalf("ready: %v with %q left", !want, list)
			}
		}
		if len(list) > 300 {
			p.reset()
			list = nil
		}
		if got := content(&p); got != string(list) {
			t.Fatalf("left is %q, want %q", got, list)
		}
	}
}

// ends returns a predicate that is true for the ends of a COPY that come first.
func ends([]byte) func(byte) bool {
	leading := true
	return func(k byte) bool {
		leading = leading && k == pendingEnd
		return leading
	}
}
