package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/proxy/login"
)

// loginWarnings says, by database, what is unwise about the logins that a
// configuration gives pgseal: one sentence each, without any password.
func loginWarnings(f config.File) map[string][]string {
	readable := false
	info, err := os.Stat(f.Path())
	if err == nil {
		readable = info.Mode().Perm()&0o077 != 0
	}
	warnings := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(f.Databases)) {
		d := f.Databases[name]
		if readable && d.Password != "" && !f.FromEnvironment("databases."+name+".password") {
			warnings[name] = append(warnings[name],
				fmt.Sprintf("password stands in a configuration file that others can read (permissions %#o): keep it in a password_file", info.Mode().Perm()))
		}
		if d.AllowsMD5() {
			warnings[name] = append(warnings[name], "require_auth allows md5: who listens in or has the server's secrets can log in")
		}
		if d.AllowsPassword() {
			warnings[name] = append(warnings[name], "require_auth allows password: the server is told the password itself")
		}
		if d.User != "" && d.Password == "" && d.PasswordFile == "" && d.SSLCert == "" {
			warnings[name] = append(warnings[name],
				fmt.Sprintf("role %q has neither a password nor a certificate to log in with: set password_file", d.User))
		}
	}
	return warnings
}

// unservedWarnings says, by database, which access rules let clients in whom
// pgseal can't log in at the server: they reveal no password or key, and
// neither the database nor any role has a password.
func unservedWarnings(f config.File, access *login.Access, users *auth.Users) map[string][]string {
	warnings := map[string][]string{}
	for name, d := range f.Databases {
		if d.User != "" || users.HavePasswords() {
			continue
		}
		for _, rule := range access.WithoutSecret(name) {
			warnings[name] = append(warnings[name], fmt.Sprintf("%s:%d: clients that come by %s have no login at the server: "+
				"set user and password_file, or give the role a password in users_file", rule.File, rule.Line, rule.Method))
		}
	}
	return warnings
}
