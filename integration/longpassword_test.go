package integration

import (
	"fmt"
	"strings"
	"testing"
)

// longestPassword is the longest that PostgreSQL takes in the clear: a message
// of 65,535 bytes, of which its length takes four and the end of the string one.
const longestPassword = 65_530

// A role for each length, those whose name begins with c are asked for their
// password in the clear by PostgreSQL.
func TestLongPasswordsLogInOnBothLegs(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := ownPostgres(t, version)
			admin := pg.direct(t, "app")
			passwords, clear := map[string]string{}, []string{}
			for _, length := range []int{1_000, 4_096, 16_384, longestPassword} {
				for _, how := range []string{"c", "s"} {
					role := fmt.Sprint(how, length)
					passwords[role] = strings.Repeat("x", length)
					execute(t, admin, "CREATE ROLE "+role+" LOGIN PASSWORD '"+passwords[role]+"'")
					if how == "c" {
						clear = append(clear, role)
					}
				}
			}
			writeHBA(t, pg, "pg_hba.conf", "hostssl all "+strings.Join(clear, ",")+" all password\nhostssl all all all scram-sha-256\n")
			if err := pg.Reload(soon(t)); err != nil {
				t.Fatal(err)
			}
			p := start(t, pg, options{
				users: passwords,
				databases: map[string]settings{
					"app": {"require_auth": "'scram-sha-256,password'"},
					"pw":  {"require_auth": "'scram-sha-256,password'", "dbname": "app"},
				},
				auth: settings{"auth_delay": "1ms", "rules": "['hostssl pw all all password', 'hostssl all all all scram-sha-256']"},
			})
			for role, password := range passwords {
				for _, database := range []string{"app", "pw"} {
					conn, err := p.tryPgx(soon(t), database, asRole(role, password))
					if err != nil {
						t.Errorf("%s of %s: %.300v", role, database, err)
						continue
					}
					var user string
					if err := conn.QueryRow(soon(t), "SELECT current_user").Scan(&user); err != nil || user != role {
						t.Errorf("%s of %s is %q, %.300v", role, database, user, err)
					}
					conn.Close(soon(t))
					if _, err := p.tryPgx(soon(t), database, asRole(role, password[1:])); sqlState(err) != "28P01" {
						t.Errorf("%s of %s: a byte less ends with %.300v", role, database, err)
					}
				}
			}
			if _, err := p.tryPgx(soon(t), "pw", asRole("s1000", strings.Repeat("x", 70_000))); sqlState(err) != "08P01" {
				t.Errorf("a password that is too long ends with %.300v", err)
			}
		})
	}
}
