package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/proxy/login"
)

// lookups is a configuration with this auth section, and more of its databases.
func lookups(auth string, databases ...string) string {
	return strings.Replace(base, "auth:\n  users_file: /users.txt\n", "auth: {"+auth+"}\n", 1) + strings.Join(databases, "")
}

func TestLookupsThatCouldNotBeMadeAreRefused(t *testing.T) {
	const other, any = "  other: {host: db.internal, sslrootcert: system}\n", "  '*': {host: db.internal, sslrootcert: system}\n"
	for text, want := range map[string]string{
		lookups("auth_query: 'SELECT $1'"):                                              "auth.auth_user: required",
		lookups("auth_user: looker, auth_query: SELECT 1"):                              "auth.auth_query: must contain $1",
		lookups(`auth_user: looker, auth_query: "SELECT $1\0"`):                         "auth.auth_query: contains a NUL byte",
		lookups("auth_user: looker, auth_dbname: none"):                                 `databases.app.auth_dbname: database "none" is not defined`,
		lookups("auth_user: looker", any):                                               "databases.*.auth_dbname: required",
		lookups("auth_user: looker, auth_dbname: '*'", any):                             `database "*" is not defined`,
		lookups("users_file: /u, auth_password_file: /p"):                               "auth.auth_user: required with auth_password_file",
		lookups("users_file: /u", "    auth_query: 'SELECT $1'\n"):                      "databases.app.auth_user: required",
		lookups("users_file: /u, auth_query_cache_ttl: -1s"):                            "auth.auth_query_cache_ttl: must not be negative",
		lookups("users_file: /u, auth_query_max_stale: -1s"):                            "auth.auth_query_max_stale: must not be negative",
		lookups("rules: []", other):                                                     "no way to log in",
		lookups("users_file: /u", "    auth_user: own\n    auth_dbname: gone\n", other): `database "gone" is not defined`,
	} {
		if _, err := Parse("pgseal.yaml", []byte(text), noEnv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, want %q", text, err, want)
		}
	}
}

func TestLookupsOfADatabaseAreItsOwnOrThoseOfAll(t *testing.T) {
	f := accepted(t, lookups("auth_user: looker, auth_password_file: /p, auth_dbname: postgres",
		"    auth_user: own\n    auth_query: SELECT * FROM find($1)\n    auth_dbname: app\n", "  '*': {host: db.internal, sslrootcert: system}\n"))
	want := []Lookup{
		{Database: "*", Key: "auth", Query: login.DefaultAuthQuery, User: "looker", Password: "/p", In: "postgres"},
		{Database: "app", Key: "databases.app", Query: "SELECT * FROM find($1)", User: "own", In: "app"},
	}
	got := f.Lookups()
	if !slices.Equal(got, want) {
		t.Errorf("lookups %+v, want %+v", got, want)
	}
	if f.LookupDatabase(got[0]) != "*" || f.LookupDatabase(got[1]) != "app" {
		t.Errorf("they lead to %q and %q", f.LookupDatabase(got[0]), f.LookupDatabase(got[1]))
	}
	if keys := f.UnqualifiedQueries(); !slices.Equal(keys, []string{"databases.app.auth_query"}) {
		t.Errorf("unqualified are %v", keys)
	}
}
