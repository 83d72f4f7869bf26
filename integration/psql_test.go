package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bothModes is a configuration with one database in each pool mode.
func bothModes() map[string]settings {
	return map[string]settings{
		"transaction": {"pool_mode": "transaction", "pool_size": "2"},
		"session":     {"pool_mode": "session", "pool_size": "8"},
	}
}

func TestPsqlWorksInBothPoolModes(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		for _, mode := range []string{"transaction", "session"} {
			if got := p.ask(t, mode, "SHOW server_version_num"); !strings.HasPrefix(got, pg.version) {
				t.Errorf("%s mode: server version %s, want %s", mode, got, pg.version)
			}
			table := fmt.Sprintf("psql_%s_%s", mode, pg.version)
			in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
			rows := "1\tone\n2\ttwo\n3\t\\N\n"
			if err := os.WriteFile(in, []byte(rows), 0o600); err != nil {
				t.Fatal(err)
			}
			got := p.ask(t, mode,
				"DROP TABLE IF EXISTS "+table+"; CREATE TABLE "+table+" (n int, word text)",
				`\copy `+table+` FROM '`+in+`'`,
				"BEGIN; INSERT INTO "+table+" VALUES (4, 'four'); ROLLBACK",
				`\copy `+table+` TO '`+out+`'`,
				"SELECT count(*), sum(n) FROM "+table,
				"DROP TABLE "+table)
			if got != "3|6" {
				t.Errorf("%s mode: got %q, want 3|6", mode, got)
			}
			if back, err := os.ReadFile(out); err != nil || string(back) != rows {
				t.Errorf("%s mode: copied out %q, %v, want %q", mode, back, err, rows)
			}
		}
	})
}

func TestAnErrorDoesNotEndASessionOfPsql(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		for _, mode := range []string{"transaction", "session"} {
			r := p.psql(t, mode, nil, "-v", "ON_ERROR_STOP=0", "-c", "SELECT 1/0", "-c", "SELECT * FROM nowhere", "-c", "SELECT 'alive'")
			if r.status != 0 || strings.TrimSpace(r.stdout) != "alive" {
				t.Errorf("%s mode: status %d, output %q", mode, r.status, r.stdout)
			}
			for _, want := range []string{"division by zero", `relation "nowhere" does not exist`} {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("%s mode: error output %q does not hold %q", mode, r.stderr, want)
				}
			}
		}
	})
}
