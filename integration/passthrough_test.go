package integration

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// storedSecret gives a role a password and returns what PostgreSQL keeps of it.
func storedSecret(t *testing.T, conn *pgx.Conn, role, password string) (secret string) {
	t.Helper()
	execute(t, conn, "ALTER ROLE "+role+" PASSWORD '"+password+"'")
	if err := conn.QueryRow(soon(t), "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role).Scan(&secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestARoleLogsInWithoutItsPasswordBeingStoredAnywhere(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		admin := pg.direct(t, "app")
		execute(t, admin, "CREATE ROLE keyed LOGIN")
		t.Cleanup(func() { // before the connection's own
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if _, err := admin.Exec(ctx, "DROP ROLE keyed"); err != nil {
				t.Error(err)
			}
		})
		first, second := rand.Text(), rand.Text()
		p := start(t, pg, options{users: map[string]string{"keyed": storedSecret(t, admin, "keyed", first)}})
		ask := func(password string) (answer, told string) {
			r := p.psql(t, "app", []string{"PGUSER=keyed", "PGPASSWORD=" + password}, "-c", "SELECT current_user")
			return strings.TrimSpace(r.stdout), r.stderr
		}
		if answer, told := ask(first); answer != "keyed" {
			t.Fatalf("psql got %q, %s", answer, told)
		}
		if answer, _ := ask(second); answer != "" {
			t.Error("a wrong password logs in")
		}
		execute(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keyed'")
		eventually(t, patience, "a new server is logged in with the same keys", func() bool {
			answer, _ := ask(first)
			return answer == "keyed"
		})

		p.options.users["keyed"] = storedSecret(t, admin, "keyed", second)
		p.writeConfig()
		p.reload()
		if answer, told := ask(second); answer != "keyed" {
			t.Errorf("with the new password psql got %q, %s", answer, told)
		}
		if answer, _ := ask(first); answer != "" {
			t.Error("the old password logs in")
		}
		execute(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keyed'")
		eventually(t, patience, "a new server is logged in with the new keys", func() bool {
			answer, _ := ask(second)
			return answer == "keyed"
		})
		for _, path := range []string{p.configFile(), p.usersFile()} {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(content), first) || strings.Contains(string(content), second) {
				t.Errorf("%s holds a password", path)
			}
		}
	})
}
