package sqlscan

import "testing"

func TestResetRoleIsReplacedAndNothingElse(t *testing.T) {
	for text, want := range map[string]string{
		"RESET ROLE":                               "X",
		"reset /* a;b */ \"Role\"  ":               "X",
		"SELECT 1; RESET ROLE; SELECT 2":           "SELECT 1;X; SELECT 2",
		"RESET ROLE;RESET role;":                   "X;X;",
		"SELECT ';RESET ROLE;'":                    "SELECT ';RESET ROLE;'",
		"-- ;\nRESET ROLE":                         "X",
		"RESET ALL":                                "RESET ALL",
		"RESET SESSION AUTHORIZATION; RESET roles": "RESET SESSION AUTHORIZATION; RESET roles",
		"SET ROLE bob":                             "SET ROLE bob",
		"RESET ROLE bob":                           "RESET ROLE bob",
		"\"reset\" role":                           "\"reset\" role",
		"$a$;$a$;RESET ROLE":                       "$a$;$a$;X",
		"":                                         "",
	} {
		if got := string(ReplaceRoleResets([]byte(text), "X")); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// What is hidden in escapes must not pass for a harmless name.
func TestARoleThatIsSetByEscapesIsSeen(t *testing.T) {
	for _, text := range []string{
		`SET U&"r\006fle" TO bob`, `SELECT set_config(E'r\x6fle', 'bob', false)`, `SELECT set_config(U&'r\006fle', 'bob', true)`,
		`SELECT set_config('ro' || 'le', 'bob', false)`, `SELECT set_config($1, $2, true)`, "SELECT set_config('ro'\n'le', 'bob', false)",
		`SET "role" = bob`, `UPDATE pg_settings SET setting = 'bob' WHERE name = 'role'`, `SET SESSION ROLE bob`,
		`SET LOCAL U&"r\006fle" TO bob`, `RESET U&"r\006fle"`, `SET SESSION AUTHORIZATION DEFAULT`, `RESET session_authorization`,
	} {
		got := Scan([]byte(text))
		if got&(Role|SessionAuth|LocalRole) == 0 && (got&Unsure == 0 || got&(Settings|Local) == 0) {
			t.Errorf("%s: got %v", text, got)
		}
	}
}
