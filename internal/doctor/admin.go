package doctor

import (
	"fmt"
	"slices"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/console"
)

// adminRoles calls f for each role that may use the console, with the key that
// lists it.
func (e *exam) adminRoles(f func(key, role string)) {
	for _, role := range e.file.Admin.Users {
		f("admin.users", role)
	}
	for _, role := range e.file.Admin.StatsUsers {
		f("admin.stats_users", role)
	}
}

// toConsole returns the access rules that may let a role in to the console, if
// all else fits.
func (e *exam) toConsole(role string) []hba.Rule {
	if e.access == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(e.access.Rules()), func(r hba.Rule) bool {
		return r.Method == hba.Reject || !r.ForRole(role) || !slices.ContainsFunc(console.Names, r.ForDatabase)
	})
}

// adminNoLogin reports administrators who cannot log in: no access rule matches
// them, or all require a secret and pgseal has none.
func adminNoLogin(e *exam) {
	if e.access == nil || e.usersErr != nil {
		return // told by the check "unusable"
	}
	e.adminRoles(func(key, role string) {
		rules := e.toConsole(role)
		switch {
		case len(rules) == 0:
			e.found(subjectConsole, key, fmt.Sprintf("no access rule accepts role %q on the console", role),
				fmt.Sprintf("a rule such as: hostssl %s %s all scram-sha-256", console.Names[0], role))
		case !slices.ContainsFunc(rules, func(r hba.Rule) bool { return !asksForSecret(r) }) && !e.knows(role):
			e.found(subjectConsole, key, fmt.Sprintf("role %q has no secret to log in to the console", role), "its secret in users_file: pgseal hash-password")
		}
	})
}

func asksForSecret(r hba.Rule) bool {
	return r.Method == hba.SCRAM || r.Method == hba.MD5 || r.Method == hba.Password
}

// knows reports whether there is a secret of a role, or a lookup that may have
// it: the console belongs to no database, so that of one does not count.
func (e *exam) knows(role string) bool {
	if slices.ContainsFunc(e.users, func(u auth.UserLine) bool { return u.Name == role }) {
		return true
	}
	all, any := e.file.Auth.LookupConfig, e.file.Databases["*"].LookupConfig
	return all.AuthUser+any.AuthUser != "" && all.AuthDBName+any.AuthDBName != ""
}

// adminTrust reports administrators who can log in without authentication.
func adminTrust(e *exam) {
	for _, role := range e.file.Admin.Users {
		for _, r := range e.toConsole(role) {
			if r.Method == hba.Trust {
				f := e.found(subjectConsole, "admin.users", fmt.Sprintf("role %q can use the console without authentication (trust)", role),
					fmt.Sprintf("a rule before it: all %s %s scram-sha-256, or peer on a unix socket", console.Names[0], role))
				if e.file.Auth.HBAFile != "" {
					f.File, f.Line = r.File, r.Line
				}
				break
			}
		}
	}
}
