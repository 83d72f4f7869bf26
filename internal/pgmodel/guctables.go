package pgmodel

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// known are the settings of the model in PostgreSQL's spelling: default value,
// release since when they are reported, and how a value is read.
var known = map[string]struct {
	name, boot string
	reported   int
	read       func(old, text string) (string, bool)
}{
	"application_name":              {"application_name", "", 1, anyText},
	"client_encoding":               {"client_encoding", "UTF8", 1, oneOf("UTF8", "LATIN1", "SQL_ASCII")},
	"datestyle":                     {"DateStyle", "ISO, MDY", 1, readDateStyle},
	"default_transaction_read_only": {"default_transaction_read_only", "off", 1, oneOf("off")},
	"in_hot_standby":                {"in_hot_standby", "off", 1, oneOf("off")},
	"integer_datetimes":             {"integer_datetimes", "on", 1, oneOf("on")},
	"is_superuser":                  {"is_superuser", "on", 1, oneOf("on")},
	"scram_iterations":              {"scram_iterations", "4096", 16, oneOf("4096")},
	"server_encoding":               {"server_encoding", "UTF8", 1, oneOf("UTF8")},
	"server_version":                {"server_version", "", 1, oneOf()},
	"deadlock_timeout":              {"deadlock_timeout", "1s", 99, readMilliseconds},
	"extra_float_digits":            {"extra_float_digits", "1", 99, oneOf("0", "1", "2", "3")},
	"intervalstyle":                 {"IntervalStyle", "postgres", 1, oneOf("postgres", "postgres_verbose", "sql_standard", "iso_8601")},
	"role":                          {"role", "none", 99, readRole},
	"search_path":                   {"search_path", `"$user", public`, 18, anyText},
	"session_authorization":         {"session_authorization", "", 1, readRole},
	"statement_timeout":             {"statement_timeout", "0", 99, readMilliseconds},
	"timezone":                      {"TimeZone", "UTC", 1, oneOf("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo")},
	"work_mem":                      {"work_mem", "4MB", 99, readKilobytes},
	"standard_conforming_strings":   {"standard_conforming_strings", "on", 1, oneOf("on")},
}

var knownNames = slices.Sorted(maps.Keys(known))

func anyText(_, text string) (string, bool) { return text, true }

func oneOf(values ...string) func(old, text string) (string, bool) {
	return func(_, text string) (string, bool) {
		for _, v := range values {
			if strings.EqualFold(v, text) {
				return v, true
			}
		}
		return "", false
	}
}

// roleNames are roles that everybody may become. All are superusers, so that a
// change of role shows in its name only.
var roleNames = []string{"none", "a", "b", "postgres"}

func readRole(_, text string) (string, bool) {
	return text, slices.Contains(roleNames, text)
}

// readDateStyle keeps of the old value what the new one does not mention.
func readDateStyle(old, text string) (string, bool) {
	style, order, _ := strings.Cut(old, ", ")
	haveOrder := false
	for _, word := range strings.Split(text, ",") {
		switch w := strings.ToUpper(strings.TrimSpace(word)); w {
		case "ISO", "SQL":
			style = w
		case "POSTGRES":
			style = "Postgres"
		case "GERMAN":
			style = "German"
			if !haveOrder {
				order = "DMY"
			}
		case "DMY", "MDY", "YMD":
			order, haveOrder = w, true
		default:
			return "", false
		}
	}
	return style + ", " + order, true
}

// unit is one that a number may have, and how many of the base it is.
type unit struct {
	name  string
	times int64
}

var (
	memoryUnits = []unit{{"TB", 1 << 30}, {"GB", 1 << 20}, {"MB", 1 << 10}, {"kB", 1}}
	timeUnits   = []unit{{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}}
)

func readKilobytes(_, text string) (string, bool) {
	n, ok := readUnits(text, memoryUnits)
	return showUnits(n, memoryUnits), ok && n >= 64
}

func readMilliseconds(_, text string) (string, bool) {
	n, ok := readUnits(text, timeUnits)
	return showUnits(n, timeUnits), ok && n >= 0
}

func readUnits(text string, units []unit) (int64, bool) {
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseInt(text[:digits], 10, 31)
	if err != nil {
		return 0, false
	}
	if digits == len(text) {
		return n, true
	}
	for _, u := range units {
		if u.name == text[digits:] {
			return n * u.times, true
		}
	}
	return 0, false
}

// showUnits writes a number in the largest unit that it is a multiple of.
func showUnits(n int64, units []unit) string {
	if n == 0 {
		return "0"
	}
	for _, u := range units {
		if n%u.times == 0 {
			return strconv.FormatInt(n/u.times, 10) + u.name
		}
	}
	return ""
}
