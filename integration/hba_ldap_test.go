package integration

import (
	"strings"
	"testing"
)

// ldapLines are lines with the method ldap, good and bad: each is a file of its
// own, in a build of PostgreSQL that knows the method.
var ldapLines = []string{
	// Which mode it is, and what goes with it.
	"ldap", "ldap ldapserver=a", "ldap ldapserver=a ldapprefix=x", "ldap ldapserver=a ldapsuffix=x", "ldap ldapserver=a ldapbasedn=x",
	`ldap "ldapserver=a b" ldapprefix="cn=" ldapsuffix=",dc=x"`, `ldap ldapserver=a ldapprefix=cn= ldapsuffix=",dc=x"`,
	"ldap ldapserver=a ldapprefix=x ldapbasedn=y", "ldap ldapserver=a ldapsuffix=x ldapbinddn=y", "ldap ldapserver=a ldapsuffix=x ldapbindpasswd=y",
	"ldap ldapserver=a ldapsuffix=x ldapsearchattribute=y", "ldap ldapserver=a ldapsuffix=x ldapsearchfilter=y",
	"ldap ldapserver=a ldapbinddn=y ldapbindpasswd=y", "ldap ldapserver=a ldapbasedn=x ldapbinddn=y ldapbindpasswd=z",
	"ldap ldapserver=a ldapbasedn=x ldapbinddn=y", "ldap ldapserver=a ldapbasedn=x ldapbindpasswd=y",
	"ldap ldapserver=a ldapbasedn=x ldapsearchattribute=y", "ldap ldapserver=a ldapbasedn=x ldapsearchfilter=(y=$username)",
	"ldap ldapserver=a ldapbasedn=x ldapsearchattribute=y ldapsearchfilter=z", "ldap ldapserver=a ldapbasedn=x ldapsearchfilter=(uid=x)",
	// An empty value stands there all the same.
	"ldap ldapserver=a ldapbasedn=", "ldap ldapserver=a ldapprefix=", "ldap ldapserver=a ldapprefix= ldapbinddn=",
	"ldap ldapserver=a ldapsuffix=b ldapsearchattribute=", "ldap ldapserver=a ldapbasedn=x ldapsearchattribute= ldapsearchfilter=",
	// Values.
	"ldap ldapserver=a ldapprefix=x ldapport=1", "ldap ldapserver=a ldapprefix=x ldapport=0", "ldap ldapserver=a ldapprefix=x ldapport=x",
	"ldap ldapserver=a ldapprefix=x ldapscheme=ldaps", "ldap ldapserver=a ldapprefix=x ldaptls=1", "ldap ldapserver=a ldapprefix=x ldaptls=yes",
	"ldap ldapserver=a ldapprefix=x ldapscheme=ldaps ldaptls=1", "ldap ldapserver=a ldapprefix=x ldapnothing=1", "ldap ldapserver=a ldapprefix=x map=y",
	"ldap ldapserver=a ldapprefix=x ldapserver", "scram-sha-256 ldapserver=a", "ldap ldapserver=a ldapprefix=x clientcert=verify-full",
	// URLs.
	"ldap ldapurl=ldap://h", "ldap ldapurl=ldap://h ldapprefix=a", "ldap ldapurl=ldap://h/", "ldap ldapurl=ldap://h/dc=x", "ldap ldapurl=ldaps://h:1/dc=x?uid?sub", "ldap ldapurl=LDAP://h/dc=x",
	`ldap "ldapurl=ldap://h/dc=a b?uid,cn?one?(uid=$username)"`, `ldap "ldapurl=ldap://h/dc=a%20b??sub?(uid=$username)"`,
	"ldap ldapurl=ldap://h/dc=x?uid?tree", "ldap ldapurl=ldap://h/dc=x?uid?SUB", "ldap ldapurl=ldap://h/dc=x?uid?subtree", "ldap ldapurl=ldap://h/dc=x?uid?onelevel",
	"ldap ldapurl=http://h/dc=x", "ldap ldapurl=ldapi://%2ftmp/dc=x", "ldap ldapurl=nonsense", "ldap ldapurl=", "ldap ldapurl=ldap://h:x/dc=x",
	"ldap ldapurl=ldap://[::1]:389/dc=x", "ldap ldapurl=ldap://h/dc=x?uid ldapprefix=a", "ldap ldapurl=ldap://h/ ldapprefix=a",
	"ldap ldapurl=ldap://h/dc=x?uid ldapsearchfilter=(a=b)", "ldap ldapurl=ldap://h/dc=x??sub? ldapsearchattribute=b",
	"ldap ldapurl=ldap://h/dc=x???(a=b) ldapsearchattribute=b", "ldap ldapurl=ldap://h/dc=x?uid?sub?(a=b)?!ext",
}

// ldapDiffers are the lines that PostgreSQL takes and pgseal refuses, and why.
var ldapDiffers = map[string]string{
	"ldap ldapbasedn=x":                                 "a server is not looked up in DNS",
	"ldap ldapprefix=x":                                 "there is no server",
	"ldap ldapserver= ldapprefix=x":                     "there is no server",
	"ldap ldapurl=ldap:///dc=x":                         "there is no server",
	"ldap ldapurl=ldap://h:0/dc=x":                      "there is no such port",
	"ldap ldapurl=ldap://h:70000/dc=x":                  "there is no such port",
	"ldap ldapurl=ldap://u@h/dc=x":                      "an LDAP URL has no user",
	"ldap ldapurl=ldap://h/dc=%zz":                      "there is no such escape",
	"ldap ldapserver=a ldapprefix=x ldapport=-1":        "there is no such port",
	"ldap ldapserver=a ldapprefix=x ldapport=1x":        "it is no number",
	"ldap ldapserver=a ldapprefix=x ldapport=99999":     "there is no such port",
	"ldap ldapserver=a ldapprefix=x ldapscheme=carrier": "there is no such scheme",
}

func TestPostgreSQLReadsRulesWithLDAPAsWeDo(t *testing.T) {
	t.Parallel()
	asked := 0
	for _, version := range versionsSince(15) {
		pg := ownPostgres(t, version)
		conn := pg.direct(t, "postgres")
		writeHBA(t, pg, "pg_hba.conf", "hostssl all all all ldap ldapserver=a ldapprefix=x\n")
		if list, ok := theirs(t, conn, version); !ok && version != debianVersion {
			t.Logf("this build of PostgreSQL %s does not know ldap: %v", version, list)
			continue
		}
		for _, options := range ldapLines {
			text := "hostssl all all all " + options
			compareRules(t, text, writeHBA(t, pg, "pg_hba.conf", text+"\n"), conn, version)
			asked++
		}
		for options, why := range ldapDiffers {
			path := writeHBA(t, pg, "pg_hba.conf", "hostssl all all all "+options+"\n")
			_, weTake := ours(path)
			list, theyTake := theirs(t, conn, version)
			if weTake || !theyTake {
				t.Errorf("%q, where %s: we take it: %t, PostgreSQL: %v", options, why, weTake, list)
			}
		}
	}
	if strings.Contains(strings.Join(versions, " "), debianVersion) && asked < 50 {
		t.Errorf("only %d lines were compared", asked)
	}
}
