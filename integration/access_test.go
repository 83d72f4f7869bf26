package integration

import (
	"fmt"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccessRulesAreFollowedAndABadFileKeepsTheOldOnes(t *testing.T) {
	t.Parallel()
	const refused = "reload failed, keeping the version in force"
	dir := shortDir(t)
	rules, more := filepath.Join(dir, "pg_hba.conf"), filepath.Join(dir, "more.conf")
	write := func(path, text string) { replace(t, path, []byte(text+"\n"), 0o600) }
	write(rules, "include more.conf\nhostssl all all 127.0.0.0/8 scram-sha-256")
	write(more, "hostssl all nobody all reject")
	p := start(t, sharedPostgres(t, "18"), options{auth: settings{"hba_file": rules}, errors: []string{refused}})
	stderr := func() string { return p.psql(t, "app", nil, "-c", "SELECT 1").stderr }
	if told := stderr(); told != "" {
		t.Fatalf("psql says %s", told)
	}
	write(more, "hostssl all app all reject")
	eventually(t, patience, "the included rule rejects", func() bool {
		return strings.Contains(stderr(), `pg_hba.conf rejects connection for host "127.0.0.1", user "app", database "app", SSL encryption`)
	})
	write(more, "\nhostssl all app all nonsense")
	eventually(t, patience, "the file is refused", func() bool {
		return p.log.count(refused, more+`:2: invalid authentication method`) == 1
	})
	if told := stderr(); !strings.Contains(told, "rejects connection") {
		t.Errorf("after a bad file psql says %q", told)
	}
	write(more, "hostssl other all all trust")
	eventually(t, patience, "the client is let in again", func() bool { return stderr() == "" })
	write(rules, "local all all trust")
	eventually(t, patience, "no rule is left", func() bool {
		return strings.Contains(stderr(), `no pg_hba.conf entry for host "127.0.0.1", user "app"`)
	})
}

func TestPeerTrustAndPasswordRulesServePsql(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	ident := filepath.Join(dir, "pg_ident.conf")
	replace(t, ident, []byte(fmt.Sprintf("os /^(%s)$ app\n", me.Username)), 0o600)
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{
			listeners: []*listener{{socket: true}},
			databases: map[string]settings{"app": {}, "open": {}, "plain": {}},
			auth: settings{"ident_file": ident,
				"rules": "['local app all peer map=os', 'host open all localhost trust', 'hostssl plain all samehost password']"},
		})
		l := p.listeners[1]
		socket := []string{"PGHOST=" + l.socketDir(), fmt.Sprintf("PGPORT=%d", l.port), "PGPASSWORD="}
		for name, r := range map[string]result{
			"peer":     p.psql(t, "app", socket, "-c", "SELECT 'in'"),
			"trust":    p.psql(t, "open", []string{"PGPASSWORD="}, "-c", "SELECT 'in'"),
			"password": p.psql(t, "plain", nil, "-c", "SELECT 'in'"),
		} {
			if strings.TrimSpace(r.stdout) != "in" {
				t.Errorf("%s: psql ended with status %d: %s", name, r.status, r.stderr)
			}
		}
		r := p.psql(t, "plain", []string{"PGPASSWORD=" + wrongPassword}, "-c", "SELECT 1")
		if !strings.Contains(r.stderr, `password authentication failed for user "app"`) {
			t.Errorf("with a wrong password psql says %q", r.stderr)
		}
		if n := p.log.count("weak access rule"); n != 2 {
			t.Errorf("%d warnings of weak rules, want 2", n)
		}
	})
}
