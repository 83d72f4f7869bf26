package console

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// planSelect plans a SELECT: of values and functions that drivers ask for, or
// from PostgreSQL's catalogs, which are empty here. There is nothing else to
// select from.
func planSelect(args statement) (plan, *wire.Error) {
	list, from := selectList(args)
	if from != nil {
		if !fromCatalog(from) {
			return plan{}, &wire.Error{Code: wire.CodeUndefinedTable, Message: "the console has no tables", Hint: "SHOW HELP lists its commands."}
		}
		columns := []Column{}
		for _, item := range list {
			if name, _ := itemName(item); name != "*" {
				columns = append(columns, Column{name, Text})
			}
		}
		return says("SELECT 0", columns), nil
	}
	var columns []Column
	var values []func(s *session) any
	for _, item := range list {
		name, value := itemName(item)
		typ, get, ok := evaluate(value)
		if !ok {
			return plan{}, &wire.Error{Code: wire.CodeFeatureNotSupported, Message: "the console cannot evaluate this expression", Hint: "SHOW HELP lists its commands."}
		}
		columns, values = append(columns, Column{name, typ}), append(values, get)
	}
	return plan{columns: columns, run: func(_ context.Context, s *session) (answer, error) {
		r := make(row, len(values))
		for i, get := range values {
			r[i] = get(s)
		}
		return answer{rows: []row{r}, tag: "SELECT 1"}, nil
	}}, nil
}

// selectList takes what stands between SELECT and FROM apart, at commas that
// are in no parentheses. from is nil if there is no FROM.
func selectList(args statement) (list []statement, from statement) {
	depth, start := 0, 0
	for i, t := range args {
		switch {
		case t.is("("), t.is("["):
			depth++
		case t.is(")"), t.is("]"):
			depth--
		case depth == 0 && t.is(","):
			list = append(list, args[start:i])
			start = i + 1
		case depth == 0 && t.is("FROM"):
			return append(list, args[start:i]), args[i:]
		}
	}
	return append(list, args[start:]), nil
}

// fromCatalog reports whether a FROM clause names a table of PostgreSQL's own.
func fromCatalog(from statement) bool {
	for _, t := range from {
		name := strings.ToLower(t.text)
		if t.kind != text && (strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "information_schema")) {
			return true
		}
	}
	return false
}

// itemName splits an item of a list into the name of its column and what gives
// its value.
func itemName(item statement) (string, statement) {
	n := len(item)
	switch {
	case n == 0:
		return "?column?", item
	case n > 2 && item[n-2].is("AS"):
		return item[n-1].text, item[:n-2]
	case n > 1 && item[n-1].kind <= quoted && item[n-2].kind != mark:
		return item[n-1].text, item[:n-1]
	case n > 2 && item[1].is("("):
		return lastPart(item[0].text), item
	case item[n-1].is("*"):
		return "*", item
	case item[n-1].kind == word && !isNumber(item[n-1].text), item[n-1].kind == quoted:
		return lastPart(item[n-1].text), item
	}
	return "?column?", item
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// evaluate returns the type of an expression and what gives its value. Casts
// are overlooked.
func evaluate(e statement) (Type, func(*session) any, bool) {
	for i := range e {
		if i > 0 && e[i].is(":") {
			e = e[:i]
			break
		}
	}
	if len(e) == 0 {
		return Text, nil, false
	}
	constant := func(v any) func(*session) any { return func(*session) any { return v } }
	if len(e) == 1 {
		switch t := e[0]; {
		case t.kind == text:
			return Text, constant(t.text), true
		case t.is("NULL"):
			return Text, constant(nil), true
		case t.is("TRUE"), t.is("FALSE"):
			return Bool, constant(t.is("TRUE")), true
		}
		if n, err := strconv.ParseInt(e[0].text, 10, 32); err == nil && e[0].kind == word {
			return Int4, constant(n), true
		}
	}
	return call(e)
}

// call evaluates a call of one of the functions that drivers use.
func call(e statement) (Type, func(*session) any, bool) {
	name := strings.ToLower(lastPart(e[0].text))
	var args statement
	if len(e) > 2 && e[1].is("(") && e[len(e)-1].is(")") {
		args = e[2 : len(e)-1]
	} else if len(e) > 1 {
		return Text, nil, false
	}
	switch name {
	case "version":
		return Text, func(s *session) any {
			return fmt.Sprintf("PostgreSQL %s (pgseal %s, console)", serverVersion, s.console.sources.Version)
		}, true
	case "current_user", "session_user", "user":
		return Text, func(s *session) any { return s.client.User }, true
	case "current_database", "current_catalog":
		return Text, func(s *session) any { return s.client.Database }, true
	case "current_schema":
		return Text, func(*session) any { return "pg_catalog" }, true
	case "pg_backend_pid":
		return Int4, func(s *session) any { return int64(s.client.PID) }, true
	case "pg_is_in_recovery":
		return Bool, func(*session) any { return false }, true
	case "current_setting", "set_config":
		if len(args) > 0 && args[0].kind == text {
			value, ok := parameters[strings.ToLower(args[0].text)]
			if name == "set_config" && len(args) > 2 {
				value = args[2].text
			}
			return Text, func(*session) any { return value }, ok
		}
	}
	return Text, nil, false
}
