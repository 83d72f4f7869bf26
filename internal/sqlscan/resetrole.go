package sqlscan

import "strings"

// ReplaceRoleResets returns a text with each statement RESET ROLE in it, of one
// or several, replaced by another statement. Without any it returns text.
func ReplaceRoleResets(text []byte, by string) []byte {
	var out []byte
	done := 0
	eachStatement(text, func(start, end int) {
		if isRoleReset(text[start:end]) {
			out = append(append(out, text[done:start]...), by...)
			done = end
		}
	})
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}

// isRoleReset reports whether a statement is RESET ROLE and nothing else.
// Names of parameters are compared in any case, quoted or not.
func isRoleReset(text []byte) bool {
	verb, text := cutName(text)
	parameter, text := cutName(text)
	return !verb.quoted && verb.text == "reset" && strings.EqualFold(parameter.text, "role") && len(skipBlank(text)) == 0
}
