package integration

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

func TestPsqlIsShownTheCertificateThatAHostsFileHasForTheNameInItsDSN(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		dir := shortDir(t)
		ca, err := devca.New("authority of pg_hosts.conf", 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a.test", "b.test"} {
			pair, err := ca.Issue(devca.Request{Hosts: []string{name}})
			if err != nil {
				t.Fatal(err)
			}
			if err := pair.WriteFiles(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")); err != nil {
				t.Fatal(err)
			}
		}
		root, conf := filepath.Join(dir, "root.crt"), filepath.Join(dir, "pg_hosts.conf")
		replace(t, root, ca.CertPEM(), 0o644)
		replace(t, conf, []byte("a.test,@more.txt a.test.crt a.test.key\n"), 0o644)
		replace(t, filepath.Join(dir, "more.txt"), []byte("other.test\n"), 0o644)
		p := start(t, pg, options{tls: settings{"hosts_file": conf}})
		connects := func(host string) string {
			r := p.psql(t, "app", []string{"PGHOST=" + host, "PGHOSTADDR=127.0.0.1", "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + root}, "-c", "SELECT 1")
			if r.status == 0 {
				return ""
			}
			return r.stderr
		}
		for host, want := range map[string]string{"a.test": "", "other.test": "does not match host name", "b.test": "unrecognized name"} {
			if got := connects(host); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s: psql says %q, want %q", host, got, want)
			}
		}
		replace(t, conf, []byte("a.test a.test.crt a.test.key\nb.test b.test.crt b.test.key\n"), 0o644)
		p.reload()
		if got := connects("b.test"); got != "" {
			t.Errorf("after a reload psql says %q", got)
		}
	})
}
