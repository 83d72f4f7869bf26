package status

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzACleanTextHasNothingThatMisleads(f *testing.F) {
	for _, s := range []string{"app", hostile, "\xff\xed\xa0\x80", "\u2066a\u2069\u200d\ufe0f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || clean(got) != got && utf8.RuneCountInString(got) <= longestText {
			t.Errorf("%q becomes %q", s, got)
		}
		for _, r := range got {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Bidi_Control) {
				t.Errorf("%U is left of %q", r, s)
			}
		}
	})
}
