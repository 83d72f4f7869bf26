package relay

import (
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// read are the parameters that PostgreSQL reads while it parses and analyses a
// statement, so that the same text is another statement under other values:
// '01.02.2020'::date is a day in January or in February by DateStyle, and stays
// so as long as the statement lives. What else a session may set does not tell
// statements apart.
var read = [...]string{
	"TimeZone", "timezone_abbreviations", "DateStyle", "IntervalStyle", "search_path", roleName, "client_encoding",
	"standard_conforming_strings", "backslash_quote", "array_nulls", "transform_null_equals", "xmloption", "lc_monetary",
	"default_text_search_config",
	"extra_float_digits", "quote_all_identifiers", // which planning reads, where it folds constants
}

// readQuery asks for the values of read, in their order.
var readQuery = func() string {
	var list []string
	for _, name := range read {
		list = append(list, "pg_catalog.current_setting('"+name+"')")
	}
	return "SELECT " + strings.Join(list, ", ")
}()

// now returns the values of read in the session, as a text, and false where they
// are not known: something may have changed them since PostgreSQL was asked. A
// default that no server reports has no value in it.
func (r *Relay) now() (context string, certain bool) {
	if r.state.suspect&effects.Analysis != 0 || r.survey != nil {
		return "", false
	}
	p := &r.params
	if !p.fresh {
		var b strings.Builder
		for _, name := range read {
			i, list := find(p.told, name), p.told
			if i < 0 {
				i, list = findFold(p.wishes.list, name), p.wishes.list
			}
			if i >= 0 {
				b.WriteString(name + "=" + list[i].Value + "\x00")
			}
		}
		p.context, p.fresh = b.String(), true
	}
	return p.context, true
}

// contextOf returns the context of these values of read.
func contextOf(values wire.Row) string {
	var b strings.Builder
	for i, name := range read {
		if i < len(values) {
			b.WriteString(name + "=" + values[i].Text + "\x00")
		}
	}
	return b.String()
}

// contextQuery returns a statement that has the values of a context hold until
// the end of the transaction.
func contextQuery(context string) string {
	var set []wire.Parameter
	reset := make([]string, 0, len(read))
	have := map[string]bool{}
	for part := range strings.SplitSeq(strings.TrimSuffix(context, "\x00"), "\x00") {
		if name, value, ok := strings.Cut(part, "="); ok {
			set = append(set, wire.Parameter{Name: name, Value: value})
			have[name] = true
		}
	}
	reset = append(reset, roleName) // before what another role may not set
	for _, name := range read {
		if !have[name] && name != roleName {
			reset = append(reset, name)
		}
	}
	return setQuery(set, reset, true)
}
