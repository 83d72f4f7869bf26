package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// Passwords that the directory knows. No log may hold them.
const (
	ldapPassword = "right-in-the-directory"
	findPassword = "who-searches-the-directory"
)

// slapd is OpenLDAP's server, which belongs to one test. It serves ldap and
// ldaps on the loopback address, and has a few people in it.
type slapd struct {
	*child
	dir         string
	port, ports int    // of ldap, and of ldaps
	ca          string // file with the authority of its certificate
	stranger    string // file with another authority
	log         *buffer
}

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile DIR/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile DIR/ca.crt
TLSCertificateFile DIR/tls.crt
TLSCertificateKeyFile DIR/tls.key
disallow bind_anon
database mdb
maxsize 10485760
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
directory DIR/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=search,dc=example,dc=org" read by anonymous auth by * none
`

const slapdPeople = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: cn=search,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: search
userPassword: FIND

dn: uid=app,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: app
cn: Anna
sn: App
mail: app@example.org
userPassword: RIGHT

dn: uid=otto,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: otto
cn: Otto
sn: Twin
userPassword: RIGHT

dn: cn=Otto,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: otto
cn: Otto
sn: Twin
userPassword: RIGHT
`

// startSlapd runs a slapd until the end of the test, as another user where we
// are root.
func startSlapd(t *testing.T) *slapd {
	t.Helper()
	s := &slapd{dir: shortDir(t), port: freePort(t), ports: freePort(t), log: &buffer{}}
	s.ca, s.stranger = filepath.Join(s.dir, "ca.crt"), filepath.Join(s.dir, "stranger.crt")
	s.write(t)
	account := nobody(t)
	err := filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && account != nil {
			err = os.Chown(path, int(account.Uid), int(account.Gid))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	add := exec.Command(s.dir+"/slapd", "-T", "add", "-f", s.dir+"/slapd.conf", "-l", s.dir+"/people.ldif")
	add.SysProcAttr = as(account)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s.run(t, account)
	return s
}

// nobody is who runs the server where we are root, else nil.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// write lays out the directory: a copy of the program, which no profile of the
// system keeps from reading here, its configuration, people and certificate.
func (s *slapd) write(t *testing.T) {
	t.Helper()
	ca, err := devca.New("authority of the directory", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := devca.New("stranger", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(serverRequest())
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/usr/sbin/slapd")
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("DIR", s.dir, "FIND", findPassword, "RIGHT", ldapPassword)
	if err := os.Mkdir(filepath.Join(s.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"slapd": program, "ca.crt": ca.CertPEM(), "stranger.crt": stranger.CertPEM(), "tls.crt": pair.CertPEM, "tls.key": pair.KeyPEM,
		"slapd.conf": []byte(fill.Replace(slapdConf)), "people.ldif": []byte(fill.Replace(slapdPeople)),
	} {
		mode := os.FileMode(0o644)
		switch name {
		case "slapd":
			mode = 0o755
		case "tls.key":
			mode = 0o600
		}
		replace(t, filepath.Join(s.dir, name), content, mode)
	}
}

// run starts the server and waits until it answers.
func (s *slapd) run(t *testing.T, account *syscall.Credential) {
	t.Helper()
	cmd := exec.Command(s.dir+"/slapd", "-d", "256", "-f", s.dir+"/slapd.conf",
		"-h", fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", s.port, s.ports))
	cmd.Stdout, cmd.Stderr = io.Discard, s.log
	var err error
	if s.child, err = spawnAs(cmd, account); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	eventually(t, patience, "slapd listens", func() bool {
		if s.ended(0) {
			t.Fatalf("slapd ended with status %d:\n%s", s.status(), s.log)
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.ports))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// stop ends the server.
func (s *slapd) stop() {
	if !s.ended(0) {
		s.cmd.Process.Signal(syscall.SIGTERM)
	}
	if !s.ended(stopLimit) {
		s.cmd.Process.Kill()
		<-s.exited
	}
}
