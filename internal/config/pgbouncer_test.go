package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pathOfKeys tells the paths among the values of pgbouncer from the sentences.
var pathOfKeys = regexp.MustCompile(`^[a-zA-Z0-9_.\[\]]+$`)

func TestAKeyOfPgBouncersLeadsToTheOneHere(t *testing.T) {
	for text, want := range map[string]string{
		"auth_file: /users.txt\n":              "auth_file: unknown key: PgBouncer's auth_file is auth.users_file",
		"listen_port: 6432\n":                  "PgBouncer's listen_port is listen[].address",
		"    reserve_pool: 5\n":                "PgBouncer's reserve_pool is databases.NAME.reserve_pool_size",
		"pool: {ignore_startup_parameters: a}": "is not needed: all parameters",
	} {
		_, err := parse(base + text)
		if list := faults(t, err); len(list) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestAKeyInAWrongSectionLeadsToItsOwn(t *testing.T) {
	for text, want := range map[string]string{
		"max_client_conn: 10\n":         "unknown key here; it belongs in pool",
		"auth_query: SELECT 1\n":        "it belongs in auth or databases.NAME",
		"    client_ca_file: /ca.crt\n": "it belongs in listen[].tls.certificates[] or listen[].tls",
		"pool: {users_file: /u.txt}\n":  "it belongs in auth",
	} {
		_, err := parse(base + text)
		if list := faults(t, err); len(list) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestAnIniFileIsToldToBeOne(t *testing.T) {
	for text, line := range map[string]int{
		"[pgbouncer]\nlisten_port = 6432\n":            1,
		";; mine\n\n[databases]\napp = host=localhost": 3,
		"%include common.ini\n":                        1,
	} {
		_, err := parse(text)
		list := faults(t, err)
		if len(list) != 1 || list[0].Line != line || !strings.Contains(err.Error(), "pgbouncer.ini file") {
			t.Errorf("%q: got %v, want line %d", text, err, line)
		}
	}
}

func TestTheKeysThatPgBouncersLeadToAreThereAndDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/pgbouncer.md")
	if err != nil {
		t.Fatal(err)
	}
	for theirs, ours := range pgbouncer {
		var row string
		for _, line := range strings.Split(string(page), "\n") {
			if strings.HasPrefix(line, "| ") && strings.Contains(line, "`"+theirs+"`") {
				row = line
			}
		}
		if row == "" {
			t.Errorf("docs/pgbouncer.md has no row with %s", theirs)
		}
		if !pathOfKeys.MatchString(ours) {
			continue
		}
		if !strings.Contains(row, "`"+ours+"`") {
			t.Errorf("the row of %s lacks %s: %s", theirs, ours, row)
		}
		section, key := "", ours
		if i := strings.LastIndex(ours, "."); i >= 0 {
			section, key = ours[:i], ours[i+1:]
		}
		if _, top := keysOf(typeOf[File]())[key]; section == "" && !top || section != "" && !slices.Contains(sections()[key], section) {
			t.Errorf("%s leads to %s, which is no key", theirs, ours)
		}
	}
	for theirs := range pgbouncer {
		if _, ok := sections()[theirs]; ok {
			t.Errorf("%s is a key of ours, too", theirs)
		}
	}
}
