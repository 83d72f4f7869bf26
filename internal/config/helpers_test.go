package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// base is a file that nothing is wrong with. Tests append to it.
const base = `listen:
  - address: 127.0.0.1:6432
    tls: {cert_file: /tls.crt, key_file: /tls.key}
auth:
  users_file: /users.txt
databases:
  app:
    host: db.internal
    sslrootcert: /ca.crt
`

// baseLines is how many lines base has: what is appended stands below.
var baseLines = strings.Count(base, "\n")

// secret is a value that no error may show.
const secret = "hunter2-correct-horse"

// noEnv is an environment without variables.
func noEnv(string) (string, bool) { return "", false }

// with is an environment of names and values in turn.
func with(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func parse(text string) (File, error) { return Parse("pgseal.yaml", []byte(text), noEnv) }

// accepted parses a file that is right.
func accepted(t testing.TB, text string) File {
	t.Helper()
	f, err := parse(text)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return f
}

// faults returns all faults that err joins.
func faults(t testing.TB, err error) []*Error {
	t.Helper()
	var list []*Error
	switch e := err.(type) {
	case nil:
	case *Error:
		list = append(list, e)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			list = append(list, faults(t, inner)...)
		}
	default:
		t.Fatalf("%v is no fault of the file", err)
	}
	return list
}

// wants asserts that err joins just these faults, each as "line key: words".
func wants(t testing.TB, err error, want ...string) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("a secret stands in the error %q", err)
	}
	var got []string
	for _, f := range faults(t, err) {
		if f.File != "pgseal.yaml" {
			t.Errorf("a fault of file %q", f.File)
		}
		got = append(got, fmt.Sprintf("%d %s: %v", f.Line, f.Key, f.Err))
	}
	same := func(got, want string) bool {
		place, words, _ := strings.Cut(want, ": ")
		return strings.HasPrefix(got, place+": ") && strings.Contains(got[len(place):], words)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("got the faults\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// below is a place in what was appended to base.
func below(line int, key string) string { return fmt.Sprintf("%d %s", baseLines+line, key) }

func errText(err error) string {
	if err == nil {
		return ""
	}
	return errors.Join(err).Error()
}
