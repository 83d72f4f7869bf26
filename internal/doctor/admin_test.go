package doctor

import (
	"strings"
	"testing"
)

func TestAdministratorsWhoMayComeInAreNoFinding(t *testing.T) {
	for name, prepare := range map[string]func(*lab){
		"with a secret":                  func(l *lab) { l.rest += "admin: {users: [alice], stats_users: [alice]}\n" },
		"by a certificate":               func(l *lab) { with("auth:", "admin: {users: [boss]}\nauth:")(l) },
		"found by a lookup":              with("auth: {", "admin: {users: [boss]}\nauth: {auth_user: looker, auth_dbname: app, "),
		"with trust for others only":     trusting("local pgseal,pgbouncer bob trust"),
		"with trust elsewhere only":      trusting("local app all trust"),
		"with trust for replication":     trusting("local replication all trust"),
		"with a rule for the other name": trusting("hostssl pgbouncer alice all scram-sha-256"),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			prepare(l)
			for _, f := range l.examine().Findings {
				if strings.HasPrefix(f.ID, "admin-") {
					t.Errorf("%s: %s", f.ID, f.What)
				}
			}
		})
	}
}

// trusting adds a rule to those that let alice, who is an administrator, in.
func trusting(rule string) func(*lab) {
	return func(l *lab) {
		rules(rule, "hostssl all alice all scram-sha-256")(l)
		l.rest += "admin: {users: [alice]}\n"
	}
}

func TestAFindingAboutTrustNamesTheRole(t *testing.T) {
	l := newLab(t)
	with("auth:", "admin: {users: [alice, boss]}\nauth:")(l)
	l.write("hba.conf", 0o600, []byte("hostssl all all all scram-sha-256\nlocal pgbouncer boss trust\n"))
	for _, f := range l.examine().Findings {
		if f.ID == "admin-trust" {
			if !strings.Contains(f.What, `"boss"`) || !strings.HasSuffix(f.File, "hba.conf") || f.Line != 2 {
				t.Errorf("the finding is %+v", f)
			}
			return
		}
	}
	t.Error("trust is not found")
}
