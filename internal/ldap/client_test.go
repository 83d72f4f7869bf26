package ldap

import (
	"context"
	"crypto/x509"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/pgseal/pgseal/internal/auth/hba"
)

// noFiles is a hba.Source without files.
type noFiles struct{}

func (noFiles) ReadFile(string) ([]byte, error)       { return nil, fs.ErrNotExist }
func (noFiles) ReadDir(string) ([]fs.DirEntry, error) { return nil, fs.ErrNotExist }

// parse reads options as they stand in a rule.
func parse(t *testing.T, options string) *hba.LDAPOptions {
	t.Helper()
	rules, err := hba.ParseLines(noFiles{}, "rules", []string{"hostssl all all all ldap " + options})
	if err != nil {
		t.Fatal(err)
	}
	return rules.List()[0].LDAP
}

const (
	simple    = `"ldapprefix=uid=" "ldapsuffix=,ou=people,dc=x"`
	searching = `"ldapbasedn=dc=x"`
)

// refused fails the test unless the error holds all of these words.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Fatalf("got %v, want %q", err, word)
		}
	}
}

func TestARoleBindsByANameMadeOfIt(t *testing.T) {
	d := openDirectory(t, nil)
	c, o := New(nil, false), d.options(t, simple)
	if err := c.Authenticate(t.Context(), o, "anna", "right"); err != nil {
		t.Fatal(err)
	}
	refused(t, c.Authenticate(t.Context(), o, "anna", "wrong"), "LDAP server 127.0.0.1: LDAP login failed for", "Invalid Credentials")
	refused(t, c.Authenticate(t.Context(), o, "otto", "right"), "Invalid Credentials")
}

func TestARoleBindsAsTheOneEntryThatIsFound(t *testing.T) {
	d := openDirectory(t, func(d *directory) {
		d.found["(&(mail=anna@x)(objectClass=person))"] = d.found["(uid=anna)"]
		d.found["(cn=twins)"] = []string{"cn=a,dc=x", "cn=b,dc=x"}
		d.found["(cn=nameless)"] = []string{""}
		d.found["(cn=anna)"] = d.found["(uid=anna)"]
	})
	c := New(nil, false)
	try := func(options, role, password string) error {
		return c.Authenticate(t.Context(), d.options(t, searching+" "+options), role, password)
	}
	for _, options := range []string{
		"", "ldapsearchattribute=cn", `"ldapsearchfilter=(uid=$username)"`, "ldapsearchfilter=uid=$username",
		`"ldapsearchfilter=(&(mail=$username@x)(objectClass=person))"`, `"ldapbinddn=cn=search,dc=x" ldapbindpasswd=finder`,
	} {
		if err := try(options, "anna", "right"); err != nil {
			t.Errorf("%s: %v", options, err)
		}
		refused(t, try(options, "anna", "wrong"), `LDAP login failed for "uid=anna,ou=people,dc=x"`)
		refused(t, try(options, "otto", "right"), "LDAP user does not exist")
	}
	refused(t, try("ldapsearchattribute=cn", "twins", "x"), "more than one entry")
	refused(t, try("ldapsearchattribute=cn", "nameless", "x"), "no DN")
	err := try(`"ldapbinddn=cn=search,dc=x" ldapbindpasswd=lost`, "anna", "right")
	refused(t, err, "initial LDAP bind", "Invalid Credentials")
	if strings.Contains(err.Error(), "lost") {
		t.Errorf("the error tells a password: %v", err)
	}
}

func TestAnEmptyPasswordNeverReachesTheServer(t *testing.T) {
	d := openDirectory(t, func(d *directory) { d.passwords["uid=open,ou=people,dc=x"] = "" })
	for _, options := range []string{simple, searching} {
		refused(t, New(nil, false).Authenticate(t.Context(), d.options(t, options), "open", ""), "empty password")
	}
	if seen := d.seen(); len(seen) > 0 {
		t.Errorf("the server saw %q", seen)
	}
}

func TestARoleCannotWriteFiltersOrNames(t *testing.T) {
	d := openDirectory(t, nil)
	c := New(nil, false)
	for _, role := range []string{"*", "a*", "anna)(uid=*", "an(na", `anna\2a`, "a/b", "", "a\xff", "a\x00"} {
		refused(t, c.Authenticate(t.Context(), d.options(t, searching), role, "right"), "invalid character")
	}
	for _, role := range []string{"anna@y", `X\anna`, "uid=anna,ou=people", "a;b", ""} {
		refused(t, c.Authenticate(t.Context(), d.options(t, "ldapsuffix=@x"), role, "right"), "invalid character")
	}
	if seen := d.seen(); len(seen) > 0 {
		t.Errorf("the server saw %q", seen)
	}
	for role, want := range map[string]string{
		"x,ou=admins": `uid=x\,ou=admins,ou=people,dc=x`, "a+b": `uid=a\+b,ou=people,dc=x`, `a\`: `uid=a\\,ou=people,dc=x`,
		" a ": `uid=\ a\ ,ou=people,dc=x`, "#a": `uid=\#a,ou=people,dc=x`, `"<>;`: `uid=\"\<\>\;,ou=people,dc=x`, "ä b": "uid=ä b,ou=people,dc=x",
	} {
		o := d.options(t, simple)
		if got := simpleName(o, role); got != want {
			t.Errorf("%q becomes %s, want %s", role, got, want)
		}
		name, err := ldap.ParseDN(simpleName(o, role))
		if err != nil || len(name.RDNs) != 3 || name.RDNs[0].Attributes[0].Value != role {
			t.Errorf("%q is read as %v, %v", role, name, err)
		}
	}
	if got := searchFilter(d.options(t, searching), "ä\x00*"); got != `(uid=\c3\a4\00\2a)` {
		t.Errorf("the filter is %s", got)
	}
}

func TestTLSVerifiesTheServerInBothWays(t *testing.T) {
	ca, config := authority(t, "127.0.0.1")
	_, named := authority(t, "directory.example.org")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	for name, way := range map[string]struct {
		option string
		ldaps  bool
	}{"ldaps": {"ldapscheme=ldaps", true}, "StartTLS": {"ldaptls=1", false}} {
		t.Run(name, func(t *testing.T) {
			d := openDirectory(t, func(d *directory) { d.config, d.ldaps = config, way.ldaps })
			o := d.options(t, simple+" "+way.option)
			if err := New(roots, false).Authenticate(t.Context(), o, "anna", "right"); err != nil {
				t.Fatal(err)
			}
			if err := New(roots, false).Authenticate(t.Context(), d.options(t, searching+" "+way.option), "anna", "right"); err != nil {
				t.Fatal(err)
			}
			before := len(d.seen())
			refused(t, New(nil, true).Authenticate(t.Context(), o, "anna", "right"), "certificate")
			other := openDirectory(t, func(d *directory) { d.config, d.ldaps = named, way.ldaps })
			refused(t, New(roots, true).Authenticate(t.Context(), other.options(t, simple+" "+way.option), "anna", "right"), "certificate")
			if len(d.seen()) != before || len(other.seen()) > 0 {
				t.Error("a server that was not verified was told a password")
			}
		})
	}
}

func TestAServerWithoutStartTLSIsToldNoPassword(t *testing.T) {
	d := openDirectory(t, nil)
	refused(t, New(nil, true).Authenticate(t.Context(), d.options(t, simple+" ldaptls=1"), "anna", "right"), "StartTLS", "no TLS here")
	if seen := d.seen(); len(seen) > 0 {
		t.Errorf("the server saw %q", seen)
	}
}

func TestWhatComesInPlaintextBehindStartTLSDoesNotCount(t *testing.T) {
	ca, config := authority(t, "127.0.0.1")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	d := openDirectory(t, func(d *directory) {
		d.config, d.inject = config, answer(int64(2), ldap.ApplicationBindResponse, ldap.LDAPResultSuccess, "")
	})
	if err := New(roots, false).Authenticate(t.Context(), d.options(t, simple+" ldaptls=1"), "anna", "wrong"); err == nil {
		t.Error("an answer from outside of TLS let a wrong password in")
	}
}

func TestTheNextServerIsAskedWhereOneIsDown(t *testing.T) {
	d := openDirectory(t, nil)
	o := d.options(t, simple)
	o.Servers = []string{"127.0.0.2", "[::1]", "127.0.0.1"}
	if err := New(nil, false).Authenticate(t.Context(), o, "anna", "right"); err != nil {
		t.Error(err)
	}
	refused(t, New(nil, false).Authenticate(t.Context(), o, "anna", "wrong"), "LDAP server 127.0.0.1: LDAP login failed for")
	o.Servers = []string{"127.0.0.2", "127.0.0.3"}
	refused(t, New(nil, false).Authenticate(t.Context(), o, "anna", "right"), "LDAP server 127.0.0.2: ", "LDAP server 127.0.0.3: ", "refused")
}

func TestAServerThatIsSilentHoldsALoginUpToItsDeadlineOnly(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	for _, options := range []string{simple, searching, simple + " ldapscheme=ldaps", simple + " ldaptls=1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := New(nil, false).Authenticate(ctx, parse(t, "ldapserver=127.0.0.1 ldapport="+port+" "+options), "anna", "right")
		if err == nil || ctx.Err() == nil {
			t.Errorf("%s: %v", options, err)
		}
		cancel()
	}
}

func TestNoMoreThanSoManyLoginsAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(nil, false)
		for range atOnce {
			c.turns <- struct{}{}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		refused(t, c.Authenticate(ctx, parse(t, "ldapserver=127.0.0.1 "+simple), "anna", "right"), "LDAP authentications in progress")
		began := time.Now()
		refused(t, c.Authenticate(t.Context(), parse(t, "ldapserver=127.0.0.1 "+simple), "anna", "right"), "LDAP authentications in progress")
		if waited := time.Since(began); waited != timeout {
			t.Errorf("it waited for %v", waited)
		}
	})
}

func TestAServersWordsNeverRepeatAPasswordInAnError(t *testing.T) {
	d := openDirectory(t, func(d *directory) { d.says = "no user with password hush-hush" })
	err := New(nil, false).Authenticate(t.Context(), d.options(t, simple), "anna", "hush-hush")
	if err == nil || strings.Contains(err.Error(), "hush-hush") {
		t.Errorf("the error is %v", err)
	}
	d = openDirectory(t, func(d *directory) { d.says = strings.Repeat("x", 100_000) })
	err = New(nil, false).Authenticate(t.Context(), d.options(t, simple), "anna", "other")
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

// saying connects to a server that says this, whatever it is asked, and leaves.
// end waits until all is over.
func saying(name string, said []byte) (c *ldap.Conn, end func()) {
	conn, theirs := net.Pipe()
	var running sync.WaitGroup
	running.Go(func() { io.Copy(io.Discard, theirs) })
	running.Go(func() {
		theirs.Write(said)
		theirs.Close()
	})
	c = begin(&server{Conn: conn, name: name, left: readLimit}, false)
	return c, func() {
		c.Close()
		running.Wait()
	}
}

func TestAnAnswerThatIsTooLongCostsNoMemory(t *testing.T) {
	for name, said := range map[string]string{
		"a length of 2 GiB": "\x30\x84\x7f\xff\xff\xff", "an endless message": "\x30\x80" + strings.Repeat("\x04\x01x", readLimit),
		"a deep one": strings.Repeat("\x30\x80", readLimit), "no LDAP": "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		c, end := saying(name, []byte(said))
		if err := c.Bind("a", "b"); err == nil {
			t.Errorf("%s: it binds", name)
		}
		end()
	}
}

func TestOptionsThatAreNotSafeAreRefusedWhenTheyAreRead(t *testing.T) {
	for options, want := range map[string]string{
		"ldapserver=directory.example.org " + simple:                                              "in plaintext",
		`"ldapserver=localhost directory" ` + simple:                                              "in plaintext",
		"ldapurl=ldap://10.0.0.1/dc=x?uid?sub":                                                    "in plaintext",
		"ldapserver=a ldapscheme=ldaps ldaptls=1 " + simple:                                       "mutually exclusive",
		"ldapserver=a ldaptls=1 ldapbinddn=cn=x " + searching:                                     "must be set together",
		"ldapserver=a ldaptls=1 ldapbindpasswd=hush " + searching:                                 "must be set together",
		"ldapserver=a ldaptls=1 ldapsearchfilter=(uid=anna) " + searching:                         "must contain",
		`ldapserver=a ldaptls=1 "ldapsearchfilter=(&(uid=$username)" ` + searching:                "not a valid filter",
		`ldapserver=a ldaptls=1 "ldapsearchattribute=(x" ` + searching:                            "not a valid filter",
		"ldapserver=a ldapscheme=ldaps " + simple:                                                 "",
		"ldapserver=a ldaptls=1 " + simple:                                                        "",
		`"ldapserver=localhost 127.0.0.1 ::1 [::1]" ` + simple:                                    "",
		`ldapserver=a ldaptls=1 "ldapsearchfilter=(|(uid=$username)(cn=$username))" ` + searching: "",
	} {
		err := New(nil, false).Check(parse(t, options))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v", options, err)
		}
		if err := New(nil, true).Check(parse(t, options)); want == "in plaintext" && err != nil {
			t.Errorf("%s, allowed: %v", options, err)
		}
	}
}

func TestANameThatLeadsElsewhereIsNotThisMachine(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:389": true, "[::1]:389": true, "[::ffff:127.0.0.1]:389": true, "10.0.0.1:389": false, "[2001:db8::1]:389": false} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if isLoopback(tcp) != want {
			t.Errorf("%s: %t", addr, !want)
		}
	}
}

// FuzzAnswers gives what a server may send to the exchange of a login.
func FuzzAnswers(f *testing.F) {
	ok := answer(int64(1), ldap.ApplicationBindResponse, ldap.LDAPResultSuccess, "")
	f.Add(ok)
	f.Add(slices.Concat(ok, entry(int64(2), "uid=anna,dc=x"), answer(int64(2), ldap.ApplicationSearchResultDone, 0, ""), answer(int64(3), ldap.ApplicationBindResponse, 0, "")))
	f.Add([]byte("\x30\x80\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, said []byte) {
		c, end := saying("fuzz", said)
		bind(c, parse(t, "ldapserver=a "+searching), "anna", "right") // must come to an end without a panic
		end()
	})
}
