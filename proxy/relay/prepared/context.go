package prepared

import (
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/params"
)

// Read are the parameters that PostgreSQL reads while it parses and analyses a
// statement, so that the same text is another statement under other values:
// '01.02.2020'::date is a day in January or in February by DateStyle, and stays
// so as long as the statement lives. What else a session may set does not tell
// statements apart.
var Read = [...]string{
	"TimeZone", "timezone_abbreviations", "DateStyle", "IntervalStyle", "search_path", params.Role, "client_encoding",
	"standard_conforming_strings", "backslash_quote", "array_nulls", "transform_null_equals", "xmloption", "lc_monetary",
	"default_text_search_config",
	"extra_float_digits", "quote_all_identifiers", // which planning reads, where it folds constants
}

// Context returns the values of Read in a session to whose client these parameters
// were reported and that wished for those, as a text.
func Context(told, wishes []wire.Parameter) string {
	var b strings.Builder
	for _, name := range Read {
		i, list := params.Find(told, name), told
		if i < 0 {
			i, list = params.FindFold(wishes, name), wishes
		}
		if i >= 0 {
			b.WriteString(name + "=" + list[i].Value + "\x00")
		}
	}
	return b.String()
}

// ContextOf returns the context of these values of Read.
func ContextOf(values wire.Row) string {
	var b strings.Builder
	for i, name := range Read {
		if i < len(values) {
			b.WriteString(name + "=" + values[i].Text + "\x00")
		}
	}
	return b.String()
}
