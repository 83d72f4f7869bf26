package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/config"
)

func TestUnwiseLoginsAreWarnedOf(t *testing.T) {
	const fixed = "host: db, sslrootcert: system, user: app"
	t.Setenv("PGSEAL_TEST_PASSWORD", "from-outside")
	for _, test := range []struct {
		name, database string
		mode           os.FileMode
		want           string // the warning's beginning; empty: none
	}{
		{"a password in a closed file", fixed + ", password: in-the-open", 0o600, ""},
		{"a password in an open file", fixed + ", password: in-the-open", 0o644, "password is in a configuration file"},
		{"a password from the environment", fixed + ", password: '${PGSEAL_TEST_PASSWORD}'", 0o644, ""},
		{"no password", fixed, 0o644, `role "app" has neither`},
		{"a password file", fixed + ", password_file: /etc/password", 0o644, ""},
		{"a certificate", fixed + ", sslcert: /etc/tls.crt, sslkey: /etc/tls.key", 0o644, ""},
		{"clients with logins of their own", "host: db, sslrootcert: system", 0o644, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pgseal.yaml")
			text := "listen: [{address: 'unix:/tmp/s'}]\ndatabases: {app: {" + test.database + "}}\nauth: {users_file: u}\n"
			if err := os.WriteFile(path, []byte(text), test.mode); err != nil {
				t.Fatal(err)
			}
			f, err := config.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(loginWarnings(f, "app"), "; ")
			if !strings.HasPrefix(all, test.want) || test.want == "" && all != "" {
				t.Errorf("warned %q, want %q", all, test.want)
			}
			if strings.Contains(all, "in-the-open") {
				t.Errorf("the warning shows the password: %s", all)
			}
		})
	}
}
