package hba

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgseal/pgseal/internal/pgconf"
)

// files is a Source in memory. Its paths begin with a slash.
type files map[string]string

func (f files) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range f {
		m[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func (f files) ReadFile(name string) ([]byte, error) {
	return f.fs().ReadFile(strings.TrimPrefix(path.Clean(name), "/"))
}

func (f files) ReadDir(name string) ([]fs.DirEntry, error) {
	return f.fs().ReadDir(strings.TrimPrefix(path.Clean(name), "/"))
}

// world is a Lookups that knows what the test says.
type world struct {
	names   map[string]string
	own     []string
	members map[string][]string // groups by role
}

func (w world) HostName(ip netip.Addr) string { return w.names[ip.String()] }

func (w world) Interfaces() (list []netip.Prefix) {
	for _, own := range w.own {
		list = append(list, netip.MustParsePrefix(own))
	}
	return list
}

func (w world) Member(role, group string) bool {
	return role == group || slices.Contains(w.members[role], group)
}

func rules(t *testing.T, f files) *Rules {
	t.Helper()
	r, err := ParseRules(f, "/hba")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// request reads "ADDRESS ROLE DATABASE [tls] [replication]", where the address
// is local for a unix socket.
func request(t *testing.T, text string) Request {
	t.Helper()
	words := strings.Fields(text)
	q := Request{Role: words[1], Database: words[2],
		TLS: slices.Contains(words[3:], "tls"), Replication: slices.Contains(words[3:], "replication")}
	if words[0] != "local" {
		q.Addr = netip.MustParseAddr(words[0])
	}
	return q
}

func TestTheFirstRuleThatFitsDecides(t *testing.T) {
	r := rules(t, files{"/hba": `# who may come
local    all          root                                peer map=os
hostssl  replication  standby      10.0.0.0/8             scram-sha-256
host     "all",app    +staff       192.168.0.0 255.255.255.0  reject
hostssl  sameuser     all          ::/0                   cert clientname=DN
hostnossl samerole    /^batch_\d+$ samehost               password
host     all          all          .example.org           md5
host     "a,b c"      "x""y"       samenet                trust
`})
	look := world{
		names:   map[string]string{"203.0.113.5": "DB.Example.org", "203.0.113.6": "badexample.org"},
		own:     []string{"172.16.0.1/16", "127.0.0.1/8"},
		members: map[string][]string{"anna": {"staff"}, "batch_7": {"jobs"}},
	}
	for text, want := range map[string]int{
		"local root anything":                       2,
		"local anna app":                            0,
		"10.1.2.3 standby x tls replication":        3,
		"10.1.2.3 standby x replication":            0,
		"10.1.2.3 standby replication tls":          0, // the name of a database is no keyword
		"192.168.0.9 anna app":                      4,
		"192.168.0.9 anna all":                      4,
		"192.168.0.9 anna other":                    0,
		"192.168.1.9 anna app":                      0,
		"::ffff:192.168.0.9 anna app":               4,
		"2001:db8::1 app app tls":                   5,
		"2001:db8::1 app App tls":                   0,
		"172.16.0.1 batch_7 jobs":                   6,
		"172.16.0.1 batch_7 jobs tls":               0,
		"172.16.0.2 batch_7 jobs":                   0,
		"172.16.0.1 batch_x jobs":                   0,
		"203.0.113.5 who ever":                      7,
		"203.0.113.6 who ever":                      0,
		"203.0.113.7 who ever":                      0,
		"2001:db8::1 sameuser sameuser tls":         5,
		"2001:db8::1 who sameuser tls":              0,
		"192.168.0.9 staff app":                     4,
		"192.168.0.9 +staff app":                    0,
		"2001:db8::1%eth0 root root tls":            5,
		"10.1.2.3 standby standby tls":              0,
		"10.1.2.3 standby standby tls replication ": 3,
	} {
		rule, ok := r.Match(request(t, text), look)
		if ok != (want > 0) || rule.Line != want {
			t.Errorf("%s: line %d (%t), want %d", text, rule.Line, ok, want)
		}
	}
	odd := Request{Addr: netip.MustParseAddr("172.16.9.9"), Database: "a,b c", Role: `x"y`}
	if rule, ok := r.Match(odd, look); !ok || rule.Line != 8 || rule.Method != Trust {
		t.Errorf("quoted names: line %d (%t)", rule.Line, ok)
	}
}

func TestFilesIncludeOthers(t *testing.T) {
	f := files{
		"/hba": "include sub/one\ninclude_if_exists missing\ninclude_dir conf.d\n" +
			"host @lists/dbs,extra @lists/roles \\\n all \\\nreject\nlocal all all trust\n",
		"/sub/one":        "local one @names reject\n",
		"/sub/names":      "a,b c\n# none\n\"@d\" \n",
		"/lists/dbs":      "db1\ndb2 db3\n",
		"/lists/roles":    "@more, last\n",
		"/lists/more":     "all\n",
		"/conf.d/b.conf":  "local b all reject\n",
		"/conf.d/a.conf":  "local a all reject\n",
		"/conf.d/.c.conf": "bad\n",
		"/conf.d/d.conf~": "bad\n",
	}
	r := rules(t, f)
	var got []string
	for _, rule := range r.List() {
		got = append(got, fmt.Sprintf("%s:%d", rule.File, rule.Line))
	}
	want := []string{"/sub/one:1", "/conf.d/a.conf:1", "/conf.d/b.conf:1", "/hba:4", "/hba:7"}
	if !slices.Equal(got, want) {
		t.Fatalf("rules are %q, want %q", got, want)
	}
	for text, want := range map[string]string{
		"local @d one":    "/sub/one",
		"local c one":     "/sub/one",
		"local e one":     "/hba",
		"10.0.0.1 x db3":  "/hba",
		"10.0.0.1 x none": "",
	} {
		if rule, _ := r.Match(request(t, text), world{}); rule.File != want {
			t.Errorf("%s: decided in %q, want %q", text, rule.File, want)
		}
	}
}

func TestFaultsAreToldWithFileAndLineAllAtOnce(t *testing.T) {
	f := files{"/hba": "include sub\nlocal all\n\nhost all all 10.0.0.0/33 trust\ninclude nowhere\nlocal @loop all trust\n",
		"/sub": "\n\nlocal all all nothing\n", "/loop": "@loop\n"}
	_, err := ParseRules(f, "/hba")
	text := fmt.Sprint(err)
	for _, want := range []string{
		`/sub:3: invalid authentication method "nothing"; supported methods are trust, reject, scram-sha-256, md5, password, peer, cert, ldap`,
		`/hba:2: end-of-line before role specification`,
		`/hba:4: invalid CIDR mask in address "10.0.0.0/33"`,
		`/hba:5: `, `/loop: maximum nesting depth exceeded`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the error lacks %q:\n%s", want, text)
		}
	}
	if fault, ok := errors.AsType[*Error](err); !ok || fault.Line == 0 {
		t.Errorf("no *Error with a line in %v", err)
	}
}

func TestRulesOfTheConfigurationAreNumberedByTheirPlace(t *testing.T) {
	f := files{"/etc/names": "a\n"}
	r, err := ParseLines(f, "/etc/config.yaml", []string{"local all @names trust", "hostssl all all all scram-sha-256"})
	if err != nil {
		t.Fatal(err)
	}
	if rule, ok := r.Match(request(t, "1.2.3.4 x y tls"), world{}); !ok || rule.Line != 2 || rule.Method != SCRAM {
		t.Errorf("decided by %d (%t)", rule.Line, ok)
	}
	if _, err = ParseLines(f, "/etc/config.yaml", []string{"local all all trust", "local all"}); err == nil || !strings.HasPrefix(err.Error(), "/etc/config.yaml:2: ") {
		t.Errorf("got %v", err)
	}
}

// shown is LDAPOptions that can be printed.
type shown LDAPOptions

func TestOptionsOfLDAPAreRead(t *testing.T) {
	for options, want := range map[string]LDAPOptions{
		`ldapserver="a b" ldapprefix="cn=" ldapsuffix=",dc=x"`: {Scheme: "ldap", Servers: []string{"a", "b"}, Port: 389, Prefix: "cn=", Suffix: ",dc=x", Scope: ScopeSub},
		"ldapserver=a ldapscheme=ldaps ldapprefix=x":           {Scheme: "ldaps", Servers: []string{"a"}, Port: 636, Prefix: "x", Scope: ScopeSub},
		"ldapserver=a ldaptls=1 ldapport=3389 ldapbasedn=x ldapbinddn=y ldapbindpasswd=z ldapsearchattribute=cn": {Scheme: "ldap", Servers: []string{"a"},
			Port: 3389, TLS: true, BaseDN: "x", BindDN: "y", BindPassword: "z", SearchAttribute: "cn", Scope: ScopeSub},
		`"ldapurl=ldaps://h:1/dc=a%20b?uid,cn?one" ldaptls=no`:       {Scheme: "ldaps", Servers: []string{"h"}, Port: 1, BaseDN: "dc=a b", SearchAttribute: "uid", Scope: ScopeOne},
		`"ldapurl=ldap://[::1]/dc=x???(uid=$username)" ldapserver=b`: {Scheme: "ldap", Servers: []string{"b"}, Port: 389, BaseDN: "dc=x", SearchFilter: "(uid=$username)"},
	} {
		got := rules(t, files{"/hba": "hostssl all all all ldap " + options + "\n"}).List()[0].LDAP
		if got.Searches() != (want.BaseDN != "") {
			t.Errorf("%s: searches: %t", options, got.Searches())
		}
		got.given = nil
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", options, shown(*got), shown(want))
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", LDAPOptions{BindPassword: "hush"}, LDAPOptions{BindPassword: "hush"}, LDAPOptions{BindPassword: "hush"}); strings.Contains(text, "hush") {
		t.Errorf("options are shown as %s", text)
	}
}

func TestARuleTellsWhichDatabasesItMayBeFor(t *testing.T) {
	list := rules(t, files{"/hba": "local a,\"all\" all trust\nlocal all all trust\nlocal sameuser all trust\nlocal replication all trust\nlocal /^a all trust\n"}).List()
	for name, want := range map[string][]bool{"a": {true, true, true, false, true}, "all": {true, true, true, false, true}, "b": {false, true, true, false, false}, "replication": {false, true, true, false, false}} {
		for i, rule := range list {
			if rule.ForDatabase(name) != want[i] {
				t.Errorf("%s: line %d says %t", name, rule.Line, !want[i])
			}
		}
	}
}

func TestASecretOfARuleIsInNoError(t *testing.T) {
	for _, options := range []string{"ldapbindpasswd=hush ldapport=x", "ldapserver=a ldapbinddn=b hush", "ldapbindpasswd=hush", "ldapurl=ldap://u:hush@h/", `"=hush"`} {
		_, err := ParseRules(files{"/hba": "host all all all ldap " + options + "\n"}, "/hba")
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", options, err)
		}
	}
}

func TestAMapLeadsFromSystemNamesToRoles(t *testing.T) {
	maps, err := ParseMaps(files{"/ident": `# map  system  role
os      root             postgres
os      "Mr X"           x
os      /^(.*)@corp$     \1
os      /^adm-           +admins
os      /^any            all
os      quoted           "all"
os      two              /^t
odd     /^(a)?(b)?       \1
odd     bob              bob
inject  /^(.*)$          "\1"
`}, "/ident")
	if err != nil {
		t.Fatal(err)
	}
	look := world{members: map[string][]string{"boss": {"admins"}}}
	for _, c := range []struct {
		name, system, role string
		want               bool
	}{
		{"", "same", "same", true}, {"", "Same", "same", false},
		{"os", "root", "postgres", true}, {"os", "root", "root", false}, {"os", "ROOT", "postgres", false},
		{"os", "Mr X", "x", true}, {"os", "anna@corp", "anna", true}, {"os", "anna@corp", "bob", false},
		{"os", "anna@corp.evil", "anna", false}, {"os", "adm-1", "boss", true}, {"os", "adm-1", "anna", false},
		{"os", "anybody", "whoever", true}, {"os", "quoted", "whoever", false}, {"os", "quoted", "all", true},
		{"os", "two", "tom", true}, {"os", "two", "atom", false},
		{"odd", "a", "a", true}, {"odd", "bob", "bob", false}, // the line before can't be followed
		{"inject", "all", "postgres", false}, {"inject", "+admins", "boss", false}, {"inject", "/", "x", false},
		{"nowhere", "a", "a", false},
	} {
		if got := maps.Allows(c.name, c.system, c.role, look); got != c.want {
			t.Errorf("map %q, %q as %q: %t, want %t", c.name, c.system, c.role, got, c.want)
		}
	}
	var none *Maps
	if none.Allows("os", "a", "a", look) || !none.Allows("", "a", "a", look) {
		t.Error("without a file, a map holds nobody and no map the same name")
	}
}

func TestRegularExpressionsMeanWhatTheyMeanToPostgreSQL(t *testing.T) {
	for _, c := range []struct {
		expression, text string
		want             bool
	}{
		{`^a.b$`, "a\nb", true}, {`^a$`, "a\n", false}, {`(?i)^App$`, "aPP", true}, {`\Aapp\Z`, "app", true},
		{`^[]a]+$`, "]a", true}, {`^[^]a]+$`, "]", false}, {`^[\]]$`, "]", true}, {`^[[:digit:]]+$`, "12", true},
		{`^\w+$`, "a_1", true}, {`\.`, "ab", false}, {`^(?:ab)+$`, "abab", true},
	} {
		p, err := compile(c.expression)
		if err != nil {
			t.Error(err)
		} else if p.match(c.text) != c.want {
			t.Errorf("%s on %q: want %t", c.expression, c.text, c.want)
		}
	}
	for _, bad := range []string{`\bword`, `\mword`, `\Qa`, `(?=a)`, `(?P<x>a)`, `(?s)a`, `a\`, `[`, `[[=a=]]`, `[[.a.]]`, `[\b]`, `(a)\1`, `\pL`, `(`, strings.Repeat("a", 5000)} {
		if _, err := compile(bad); err == nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
	p, err := compile("(a|ab)(c|bcd)?")
	if err != nil {
		t.Fatal(err)
	}
	if _, first, _ := p.capture("abcd"); first != "a" {
		t.Errorf("the first parentheses hold %q", first)
	}
}

func FuzzRules(f *testing.F) {
	for _, seed := range []string{"local all all trust\n", "host \"a b\",c +g 1.2.3.4/8 ldap ldapurl=ldap://h/b?a?sub?f\n", "hostssl /x /[a all cert map=\\\n a", "@hba\n", "include hba\ninclude_dir .\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		src := files{"/hba": content, "/x.conf": "local all all reject\n"}
		r, err := ParseRules(src, "/hba")
		if (r == nil) == (err == nil) {
			t.Fatalf("rules %v, error %v", r, err)
		}
		if err == nil {
			r.Match(Request{Addr: netip.MustParseAddr("1.2.3.4"), Database: "a", Role: "b"}, world{})
			r.Match(Request{Database: "a", Role: "b", Replication: true}, world{})
		}
		if maps, err := ParseMaps(src, "/hba"); err == nil {
			maps.Allows("a", "b", "c", world{})
		}
	})
}

func TestTheBeginningOfANetworkIsCompletedForWhoMeantIt(t *testing.T) {
	for field, want := range map[string]string{
		"10/8":       `invalid IP address "10"; did you mean 10.0.0.0/8?`,
		"192.168/16": `invalid IP address "192.168"; did you mean 192.168.0.0/16?`,
		"10/99":      `invalid IP address "10"`,
		"10":         `invalid IP address "10"`,
		"1.2.3.4.5":  `invalid IP address "1.2.3.4.5"`,
	} {
		if _, err := parseAddress(pgconf.Token{Text: field}); err == nil || err.Error() != want {
			t.Errorf("%s is told %v, want %s", field, err, want)
		}
	}
}
