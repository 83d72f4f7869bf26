package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/tlsconf"
)

// named is a file that the configuration names.
type named struct {
	subject, key, path string
	secret             bool
}

// files returns all files that the configuration names, and itself.
func (e *exam) files() []named {
	list := []named{{subjectConfig, "", e.file.Path(), false}}
	add := func(subject, key, path string, secret bool) {
		if path != "" {
			list = append(list, named{subject, key, path, secret})
		}
	}
	for _, p := range e.pairs {
		add(p.subject, p.certKey, p.certFile, false)
		add(p.subject, p.keyKey, p.keyFile, true)
	}
	for _, t := range e.trusts {
		if t.file != tlsconf.SystemRoots {
			add(t.subject, t.key, t.file, false)
		}
		add(t.subject, t.crlKey, t.crlFile, false)
	}
	for _, path := range e.ruleFiles {
		add(subjectAccess, e.accessKey(), path, false)
	}
	for _, d := range e.databases {
		add(d.subject, d.key+".password_file", d.PasswordFile, true)
	}
	list = append(list, e.lookupPasswords()...)
	add(subjectUsers, "auth.users_file", e.file.Auth.UsersFile, true)
	add(subjectUsers, "auth.mock_secret_file", e.file.Auth.MockSecretFile, true)
	if c := e.file.HTTP; c.Address != "" {
		add(subjectHTTP, "http.tls.cert_file", c.TLS.CertFile, false)
		add(subjectHTTP, "http.tls.key_file", c.TLS.KeyFile, true)
		add(subjectHTTP, "http.bearer_token_file", c.BearerTokenFile, true)
	}
	return list
}

// lookupPasswords returns the files with passwords of auth_user.
func (e *exam) lookupPasswords() (list []named) {
	if path := e.file.Auth.AuthPasswordFile; path != "" {
		list = append(list, named{subjectAccess, "auth.auth_password_file", path, true})
	}
	for _, d := range e.databases {
		if d.AuthPasswordFile != "" {
			list = append(list, named{d.subject, d.key + ".auth_password_file", d.AuthPasswordFile, true})
		}
	}
	return list
}

func secretReadable(e *exam) {
	for _, f := range e.files() {
		info, err := os.Stat(f.path)
		if err != nil || !f.secret {
			continue
		}
		if err := reload.CheckSecretFile(info); err != nil {
			e.found(f.subject, f.key, fmt.Sprintf("%s: %v", f.path, err), "chmod 0600 "+f.path)
			continue
		}
		e.good(f.subject, "%s is not accessible to others (%#o)", f.path, info.Mode().Perm())
	}
}

func fileWritable(e *exam) {
	for _, f := range e.files() {
		info, err := os.Stat(f.path)
		if err == nil && info.Mode().IsRegular() && !f.secret && writable(info) {
			e.found(f.subject, f.key, fmt.Sprintf("%s is writable by others (permissions %#o)", f.path, info.Mode().Perm()),
				"chmod go-w "+f.path)
		}
	}
}

func fileDirectory(e *exam) {
	seen := map[string]bool{}
	for _, f := range e.files() {
		path, err := filepath.Abs(f.path)
		if err != nil {
			continue
		}
		for dir := filepath.Dir(path); !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			info, err := os.Stat(dir)
			if err != nil {
				continue
			}
			if writable(info) && info.Mode()&fs.ModeSticky == 0 {
				e.found(f.subject, f.key, fmt.Sprintf("directory %s on the path to %s is writable by others (permissions %#o)",
					dir, f.path, info.Mode().Perm()), "chmod go-w "+dir)
			}
			if foreign(info) {
				e.found(f.subject, f.key, fmt.Sprintf("directory %s on the path to %s is owned neither by root nor by the user running this check", dir, f.path),
					"chown root "+dir)
			}
		}
	}
}

// writable reports whether anyone but the owner may write: others, or a group other
// than root's.
func writable(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	return mode&0o002 != 0 || mode&0o020 != 0 && !groupOfRoot(info)
}

// passwordInConfig and passwordReadable report passwords in the configuration
// file itself.
func passwordInConfig(e *exam) { e.literalPasswords(false) }
func passwordReadable(e *exam) { e.literalPasswords(true) }

func (e *exam) literalPasswords(readable bool) {
	info, err := os.Stat(e.file.Path())
	if err != nil || (info.Mode().Perm()&0o077 != 0) != readable {
		return
	}
	for _, d := range e.databases {
		key := d.key + ".password"
		if d.Password == "" || e.file.FromEnvironment(key) {
			continue
		}
		what := "the server password is in the configuration file"
		if readable {
			what += fmt.Sprintf(", which is readable by others (permissions %#o)", info.Mode().Perm())
		}
		e.found(d.subject, key, what, "password_file: "+filepath.Join(filepath.Dir(e.file.Path()), d.name+".password"))
	}
}
