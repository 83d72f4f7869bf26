package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pgseal/pgseal/internal/setting"
)

// Setting is a key with its value, as shown to administrators.
type Setting struct {
	Key        string // without a prefix if of the pool section, as in PgBouncer
	Value      string // durations in seconds, as in PgBouncer
	Default    string
	Changeable bool // by Set
}

// hidden reports whether a key may hold a secret: an access rule can contain a
// password for LDAP. The name of a file with a secret is not one.
func hidden(key string) bool { return secretWords.MatchString(key) && !strings.HasSuffix(key, "_file") }

var secretWords = regexp.MustCompile(`^rules$|passw|secret|token`)

// Settings lists what applies to all databases: the sections pool, auth, admin,
// http and log, and what stands outside of sections. None of it is secret.
func (f File) Settings() (list []Setting) {
	defaults := Default()
	var add func(prefix string, now, before reflect.Value, changeable bool)
	add = func(prefix string, now, before reflect.Value, changeable bool) {
		for i := range now.NumField() {
			name, flags, _ := strings.Cut(now.Type().Field(i).Tag.Get("yaml"), ",")
			switch {
			case flags == "inline":
				add(prefix, now.Field(i), before.Field(i), changeable)
				continue
			case name == "" || hidden(name):
				continue
			case now.Field(i).Kind() == reflect.Struct:
				add(prefix+name+".", now.Field(i), before.Field(i), changeable)
				continue
			}
			s := Setting{prefix + name, shown(now.Field(i)), shown(before.Field(i)), changeable}
			if f.source.variables[join(strings.TrimSuffix(prefix, "."), name)] || f.source.variables[join("pool", name)] && prefix == "" {
				s.Value = "(from the environment)"
			}
			list = append(list, s)
		}
	}
	add("", valueOf(&f.Pool), valueOf(&defaults.Pool), true)
	add("auth.", valueOf(&f.Auth), valueOf(&defaults.Auth), false)
	add("admin.", valueOf(&f.Admin), valueOf(&defaults.Admin), false)
	add("http.", valueOf(&f.HTTP), valueOf(&defaults.HTTP), false)
	add("log.", valueOf(&f.Log), valueOf(&defaults.Log), false)
	list = append(list, Setting{"workers", strconv.Itoa(f.Workers), strconv.Itoa(defaults.Workers), false})
	slices.SortStableFunc(list, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return list
}

func shown(v reflect.Value) string {
	if v.Kind() == reflect.Pointer { // may be left out
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return strconv.FormatFloat(x.Seconds(), 'f', -1, 64)
	case []string:
		return strings.Join(x, ", ")
	case setting.Size:
		return strconv.FormatInt(int64(x), 10)
	}
	return fmt.Sprint(v.Interface())
}

// Errors of Set other than those of the value.
var (
	ErrNoSetting     = errors.New("no such setting")
	ErrNotChangeable = errors.New("edit the configuration file, then reload or restart")
)

// Set changes a setting of the pool section, for the File only. The value is
// as in the file; a duration may be a plain number of seconds, as in PgBouncer,
// and no value at all takes back that of a key that may be left out.
func (f *File) Set(key, value string) error {
	known := slices.ContainsFunc(f.Settings(), func(s Setting) bool { return s.Key == key && !s.Changeable })
	if known {
		return ErrNotChangeable
	}
	changed := f.Pool
	v := valueOf(&changed)
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") != key {
			continue
		}
		if err := decodeInto(v.Field(i), value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err := changed.Validate(); err != nil {
			return err
		}
		f.Pool = changed
		return nil
	}
	return ErrNoSetting
}

// decodeInto sets a field to a value as the file would have it.
func decodeInto(field reflect.Value, value string) error {
	if field.Type() == durationType {
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			value = strconv.FormatFloat(n, 'f', -1, 64) + "s"
		}
	}
	if field.Kind() == reflect.String {
		field.SetString(value)
		return nil
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	wanted, bad := field.Type(), false
	if wanted.Kind() == reflect.Pointer {
		wanted = wanted.Elem()
		field.SetZero() // what it leads to is not ours alone
	}
	switch tag := node.ShortTag(); {
	case tag == "!!null": // the decoder takes it for any type
		bad = field.Kind() != reflect.Pointer
	case wanted.Kind() == reflect.Int: // it cuts fractions off
		bad = tag != "!!int"
	}
	if bad || node.Decode(field.Addr().Interface()) != nil { // its error is about types of Go
		return fmt.Errorf("invalid value %q", value)
	}
	return nil
}
