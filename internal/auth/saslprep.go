package auth

import (
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/unicode/norm"
)

// PostgreSQL departs from RFC 4013 in small ways that change keys, so the
// steps are taken one by one: U+200B is a space to PostgreSQL before it is
// nothing, and the characters that are prohibited or break the rules for
// right-to-left text are looked for before normalization, not after it.
var saslprepCheck = stringprep.Profile{
	Prohibits: stringprep.SASLprep.Prohibits,
	CheckBiDi: true,
}

// preparePassword returns the bytes that keys are derived from: the SASLprep
// form (RFC 4013) of password, or password itself where that form does not
// exist. PostgreSQL does the same on both sides, because it cannot know the
// encoding a password was typed in.
func preparePassword(password string) string {
	if isASCII(password) || !utf8.ValidString(password) {
		return password
	}
	mapped := strings.Map(mapPasswordRune, password)
	if mapped == "" {
		return password
	}
	if _, err := saslprepCheck.Prepare(mapped); err != nil {
		return password
	}
	return norm.NFKC.String(mapped)
}

// mapPasswordRune makes every space a plain one (RFC 3454 table C.1.2) and
// drops what is commonly mapped to nothing (table B.1).
func mapPasswordRune(r rune) rune {
	if stringprep.TableC1_2.Contains(r) {
		return ' '
	}
	if _, nothing := stringprep.TableB1.Map(r); nothing {
		return -1
	}
	return r
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
