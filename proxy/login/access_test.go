package login

import (
	"crypto/fips140"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/pool"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	ok(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestTheRulesThatHoldWhereNoneAreWrittenClaimNoPlaceInTheFile(t *testing.T) {
	a, err := ParseAccess(reload.NewReader(), "/config.yaml", Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range a.Rules() {
		if rule.File != "default rules" {
			t.Errorf("a rule of our own stands in %s", rule.File)
		}
	}
}

func TestRulesThatCannotBeFollowedAreRefused(t *testing.T) {
	for _, rule := range []string{
		"local all +staff trust", "local samerole all trust", "host all all all ldap ldapserver=a ldapbasedn=b",
		"hostnossl all all all password", "local all all nothing",
		"hostnossl all all all ldap ldapserver=localhost ldapprefix=cn=", "hostssl all all all ldap ldaptls=1 ldapserver=a ldapbasedn=b ldapbinddn=c",
	} {
		_, err := ParseAccess(reload.NewReader(), "/config.yaml", Config{Rules: []string{"local all all trust", rule}})
		var fault *hba.Error
		if !errors.As(err, &fault) || fault.Line != 2 {
			t.Errorf("%s: %v", rule, err)
		}
	}
	ident := filepath.Join(t.TempDir(), "ident")
	write(t, ident, "m a b\nm a +b\n")
	_, err := ParseAccess(reload.NewReader(), "/config.yaml", Config{IdentFile: ident})
	if err == nil || !strings.Contains(err.Error(), ident+":2: ") {
		t.Errorf("got %v", err)
	}
}

func TestRulesForGroupsNeedAuthQuery(t *testing.T) {
	_, err := ParseAccess(nil, "config.yaml", Config{Rules: []string{"host all all all scram-sha-256", "host all +staff all trust"}})
	if err == nil || !strings.Contains(err.Error(), "config.yaml: auth.rules:2: group membership checks require auth_query") {
		t.Errorf("got %v", err)
	}
	c := Config{Rules: []string{"host samegroup +staff all scram-sha-256"}, LookupConfig: pool.LookupConfig{AuthUser: "looker"}}
	_, err = ParseAccess(nil, "config.yaml", c)
	ok(t, err)
}

func TestARuleWithMD5IsWarnedOf(t *testing.T) {
	if fips140.Enabled() {
		return
	}
	a, err := ParseAccess(reload.NewReader(), "/config.yaml", Config{Rules: []string{"host all all all md5"}})
	ok(t, err)
	if w := a.Warnings(); len(w) != 1 || !strings.Contains(w[0], "method md5 is insecure") {
		t.Errorf("warnings %q", w)
	}
}
