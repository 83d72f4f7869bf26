package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
)

// A Lookup is the auth_query in effect for the clients of one database.
type Lookup struct {
	Database string // entry of its clients
	Key      string // the section that names auth_user
	Query    string
	User     string
	Password string // name of the file, or empty
	In       string // database that it runs in; empty: the one that the client requests
}

// Lookups returns the lookups of all databases that have one, in the order of
// their names.
func (f File) Lookups() []Lookup {
	var list []Lookup
	for _, name := range slices.Sorted(maps.Keys(f.Databases)) {
		d, all := f.Databases[name].LookupConfig, f.Auth.LookupConfig
		l := Lookup{Database: name, Key: "databases." + name, User: d.AuthUser, Password: d.AuthPasswordFile}
		if l.User == "" {
			l.Key, l.User, l.Password = "auth", all.AuthUser, all.AuthPasswordFile
		}
		if l.User == "" {
			continue
		}
		l.Query = cmp.Or(d.AuthQuery, all.AuthQuery, login.DefaultAuthQuery)
		if l.In = cmp.Or(d.AuthDBName, all.AuthDBName); l.In == "" && name != pool.AnyDatabase {
			l.In = name
		}
		list = append(list, l)
	}
	return list
}

// LookupDatabase returns the entry of databases that a lookup runs in, or "" if
// there is none.
func (f File) LookupDatabase(l Lookup) string {
	for _, name := range []string{l.In, pool.AnyDatabase} {
		if _, ok := f.Databases[name]; ok && l.In != "" && l.In != pool.AnyDatabase {
			return name
		}
	}
	return ""
}

// UnqualifiedQueries returns the keys of queries that reference tables or functions
// without a schema.
func (f File) UnqualifiedQueries() (keys []string) {
	if !login.IsQualified(f.Auth.AuthQuery) {
		keys = append(keys, "auth.auth_query")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Databases)) {
		if !login.IsQualified(f.Databases[name].AuthQuery) {
			keys = append(keys, "databases."+name+".auth_query")
		}
	}
	return keys
}

// checkLookups rejects lookups that could not be run, or not safely.
func (w *walker) checkLookups(f *File) {
	if f.Auth.AuthUser == "" {
		noUser := errors.New("required to run auth_query")
		if f.Auth.AuthQuery != "" && len(f.Lookups()) == 0 {
			w.faultAt("auth.auth_user", noUser)
		}
		for _, name := range slices.Sorted(maps.Keys(f.Databases)) {
			if d := f.Databases[name]; d.AuthUser == "" && d.AuthQuery != "" {
				w.faultAt("databases."+name+".auth_user", noUser)
			}
		}
	}
	for _, l := range f.Lookups() {
		switch key := "databases." + l.Database + ".auth_dbname"; {
		case l.In == "":
			w.faultAt(key, errors.New("required for the wildcard database: clients must not choose where their roles are looked up"))
		case f.LookupDatabase(l) == "":
			w.faultAt(key, fmt.Errorf("database %q is not defined", l.In))
		}
	}
}
