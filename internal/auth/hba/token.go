package hba

import (
	"strings"

	"github.com/pgseal/pgseal/internal/pgconf"
)

// Source gives files to the parser. Paths are absolute, or relative to where
// pgseal runs.
type Source = pgconf.Source

// An Error is a fault of one line.
type Error = pgconf.Error

// A token is a name of a database or role, or what stands for several. Quotes
// take the special meaning from keywords and a leading +, but not from a leading
// /, which makes a regular expression with and without them.
type token struct {
	pgconf.Token
	regexp *pattern // nil unless the text begins with a slash
}

// newToken makes the token's regular expression, if it is one.
func newToken(t pgconf.Token) (_ token, err error) {
	made := token{Token: t}
	if expression, ok := strings.CutPrefix(t.Text, "/"); ok {
		made.regexp, err = compile(expression)
	}
	return made, err
}

// names reports whether the token is this name, or a regular expression that
// fits it.
func (t token) names(name string) bool {
	if t.regexp != nil {
		return t.regexp.match(name)
	}
	return t.Text == name
}

// group returns the name behind the plus sign of a group.
func (t token) group() (name string, ok bool) {
	if t.Quoted {
		return "", false
	}
	return strings.CutPrefix(t.Text, "+")
}
