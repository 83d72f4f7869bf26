package doctor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/config"
)

const plantedPassword = "planted-password"

// lab is a directory with a set-up in which nothing is wrong, until a test
// spoils it.
type lab struct {
	t                *testing.T
	dir              string
	root, mid        *x509.Certificate
	rootKey, midKey  crypto.Signer
	listen, database string // lines of the configuration
	rest             string // further sections
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, dir: t.TempDir()}
	l.root, l.rootKey = l.issue(nil, nil, ca("root"))
	l.mid, l.midKey = l.issue(l.root, l.rootKey, ca("intermediate"))
	l.leaf(server())
	l.write("ca.crt", 0o644, certPEM(l.root))
	secret, err := auth.NewSecret(plantedPassword, 4096)
	if err != nil {
		t.Fatal(err)
	}
	l.write("users.txt", 0o600, []byte(`"alice" "`+secret.Encode()+"\"\n"))
	l.write("app.password", 0o600, []byte(plantedPassword))
	l.rest = "auth: {users_file: DIR/users.txt}\n"
	l.listen = "  - address: 0.0.0.0:6432\n    tls: {cert_file: DIR/tls.crt, key_file: DIR/tls.key}\n"
	l.database = "  app: {host: db.internal, sslrootcert: DIR/ca.crt, user: app, password_file: DIR/app.password}\n"
	return l
}

func ca(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

func server() *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: "proxy"}, DNSNames: []string{"proxy.internal"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
}

func (l *lab) key() crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	return k
}

// issue makes a certificate for a new key, or for the one in PublicKey.
func (l *lab) issue(parent *x509.Certificate, parentKey crypto.Signer, c *x509.Certificate) (*x509.Certificate, crypto.Signer) {
	l.t.Helper()
	k, _ := c.PublicKey.(crypto.Signer)
	if k == nil {
		k = l.key()
	}
	if parent == nil {
		parent, parentKey = c, k
	}
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	}
	var err error
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		l.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), parentKey)
	if err != nil {
		l.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		l.t.Fatal(err)
	}
	return cert, k
}

// leaf writes a listener's pair, with the intermediate.
func (l *lab) leaf(c *x509.Certificate) *x509.Certificate { return l.pair("tls", c) }

func (l *lab) pair(name string, c *x509.Certificate) *x509.Certificate {
	l.t.Helper()
	cert, k := l.issue(l.mid, l.midKey, c)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(name+".key", 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	l.write(name+".crt", 0o644, certPEM(cert), certPEM(l.mid))
	return cert
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func (l *lab) write(name string, mode os.FileMode, parts ...[]byte) {
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, slices.Concat(parts...), mode); err != nil {
		l.t.Fatal(err)
	}
	l.chmod(name, mode)
}

func (l *lab) chmod(name string, mode os.FileMode) {
	if err := os.Chmod(filepath.Join(l.dir, name), mode); err != nil {
		l.t.Fatal(err)
	}
}

// examine writes the configuration, unless the test did, and examines it.
func (l *lab) examine() *Report {
	l.t.Helper()
	path := filepath.Join(l.dir, "pgseal.yaml")
	text := strings.ReplaceAll("listen:\n"+l.listen+"databases:\n"+l.database+l.rest, "DIR", l.dir)
	if _, err := os.Stat(path); err != nil {
		l.write("pgseal.yaml", 0o600)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	f, err := config.Load(path)
	if err != nil {
		return Faults(path, err)
	}
	return Examine(l.t.Context(), f, time.Now(), false)
}

func (l *lab) listener(text string) { l.listen = text }

func TestAGoodSetUpHasNoFindings(t *testing.T) {
	r := newLab(t).examine()
	if len(r.Findings) > 0 {
		t.Errorf("found %+v", r.Findings)
	}
	if len(r.Good) < 5 {
		t.Errorf("only %v was found good", r.Good)
	}
}

func TestAGoodSetUpOfEverythingHasNoFindings(t *testing.T) {
	l := newLab(t)
	l.everything()
	r := l.examine()
	if len(r.Findings) > 0 {
		t.Errorf("found %+v", r.Findings)
	}
	for _, want := range []string{"is valid until", "no rule is weaker", "servers need in ssl_ca_file"} {
		if !slices.ContainsFunc(r.Good, func(g Remark) bool { return strings.Contains(g.Text, want) }) {
			t.Errorf("%q is not among what is good: %v", want, r.Good)
		}
	}
}

func TestEachOfflineCheckHasAPlantedMistake(t *testing.T) {
	planted := map[string]bool{}
	for _, m := range slices.Concat(mistakes, mistakesOfMore, mistakesOfNames) {
		planted[m.id] = true
	}
	for _, c := range Checks() {
		if c.online == nil && !planted[c.ID] {
			t.Errorf("no mistake is planted for %s", c.ID)
		}
	}
}

// tlsPair begins the tls block of a listener that is served by the lab's files.
const tlsPair = "tls: {cert_file: DIR/tls.crt, key_file: DIR/tls.key"

type mistake struct {
	name, id string
	plant    func(l *lab)
}

var mistakes = []mistake{
	{"an unknown key", "config", func(l *lab) { l.listener(l.listen + "    colour: red\n") }},
	{"TLS 1.0", "config", func(l *lab) { l.listener("  - address: 0.0.0.0:6432\n    " + tlsPair + ", min_version: \"1.0\"}\n") }},
	{"sslmode prefer", "config", func(l *lab) { l.database = "  app: {host: db.internal, sslmode: prefer}\n" }},
	{"a key that others read", "secret-readable", func(l *lab) { l.chmod("tls.key", 0o644) }},
	{"a users file that others read", "secret-readable", func(l *lab) { l.chmod("users.txt", 0o644) }},
	{"a password file that others read", "secret-readable", func(l *lab) { l.chmod("app.password", 0o644) }},
	{"roots that others write", "file-writable", func(l *lab) { l.chmod("ca.crt", 0o666) }},
	{"a configuration that others write", "file-writable", func(l *lab) { l.write("pgseal.yaml", 0o602) }},
	{"a directory that others write", "file-directory", func(l *lab) { l.chmod(".", 0o777) }},
	{"a password in a readable configuration", "password-readable", func(l *lab) {
		l.write("pgseal.yaml", 0o644)
		l.database = "  app: {host: db.internal, sslrootcert: DIR/ca.crt, user: app, password: " + plantedPassword + "}\n"
	}},
	{"a password in the configuration", "password-in-config", func(l *lab) {
		l.database = "  app: {host: db.internal, sslrootcert: DIR/ca.crt, user: app, password: " + plantedPassword + "}\n"
	}},
	{"an expired certificate", "cert-expired", func(l *lab) {
		c := server()
		c.NotBefore, c.NotAfter = time.Now().AddDate(0, -2, 0), time.Now().Add(-time.Hour)
		l.leaf(c)
	}},
	{"a certificate that is not valid yet", "cert-expired", func(l *lab) {
		c := server()
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().AddDate(1, 0, 0)
		l.leaf(c)
	}},
	{"a certificate that expires soon", "cert-expiring", func(l *lab) {
		c := server()
		c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, 20)
		l.leaf(c)
	}},
	{"an RSA key of 1024 bits", "weak-key", func(l *lab) {
		k, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			l.t.Fatal(err)
		}
		c := server()
		c.PublicKey = k
		l.leaf(c)
	}},
	{"a SHA-1 signature", "weak-signature", func(l *lab) {
		c := server()
		c.SignatureAlgorithm = x509.ECDSAWithSHA1
		l.leaf(c)
	}},
	{"a key of another certificate", "key-mismatch", func(l *lab) {
		old, err := os.ReadFile(filepath.Join(l.dir, "tls.key"))
		if err != nil {
			l.t.Fatal(err)
		}
		l.leaf(server())
		l.write("tls.key", 0o600, old)
	}},
	{"a client's certificate", "not-for-servers", func(l *lab) {
		c := server()
		c.ExtKeyUsage[0] = x509.ExtKeyUsageClientAuth
		l.leaf(c)
	}},
	{"a root that is no authority", "root-no-authority", func(l *lab) { l.write("ca.crt", 0o644, certPEM(l.leaf(server()))) }},
	{"a chain in the wrong order", "chain-order", func(l *lab) {
		l.write("tls.crt", 0o644, certPEM(l.leaf(server())), certPEM(l.root), certPEM(l.mid))
	}},
	{"a missing intermediate", "chain-gap", func(l *lab) {
		l.write("tls.crt", 0o644, certPEM(l.leaf(server())))
		l.write("chain.pem", 0o644, certPEM(l.mid))
	}},
	{"no name at all", "san-missing", func(l *lab) {
		c := server()
		c.DNSNames = nil
		l.leaf(c)
	}},
	{"another host's name", "san-mismatch", func(l *lab) { l.listener("  - address: db.example.com:6432\n    " + tlsPair + "}\n") }},
	{"another address", "san-mismatch", func(l *lab) {
		c := server()
		c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)}
		l.leaf(c)
		l.listener("  - address: 10.0.0.2:6432\n    " + tlsPair + "}\n")
	}},
	{"plaintext clients taken too", "plaintext-clients", func(l *lab) { l.listener("  - address: 0.0.0.0:6432\n    " + tlsPair + ", mode: prefer}\n") }},
	{"plaintext clients", "plaintext-clients", func(l *lab) { l.listener("  - address: 0.0.0.0:6432\n    tls: {mode: disable}\n") }},
	{"plaintext clients of this machine", "plaintext-loopback", func(l *lab) { l.listener("  - address: 127.0.0.1:6432\n    tls: {mode: disable}\n") }},
	{"a plaintext server", "plaintext-server", func(l *lab) { l.database = "  app: {host: db.internal, sslmode: disable}\n" }},
	{"an unverified server", "unverified-server", func(l *lab) { l.database = "  app: {host: db.internal, sslmode: require}\n" }},
	{"an unverified name", "unverified-name", func(l *lab) {
		l.database = "  app: {host: db.internal, sslmode: verify-ca, sslrootcert: DIR/ca.crt}\n"
	}},
	{"a login without a password", "login-without-password", func(l *lab) { l.database = "  app: {host: db.internal, sslrootcert: DIR/ca.crt, user: app}\n" }},
	{"an md5 secret", "users-md5", func(l *lab) {
		l.write("users.txt", 0o600, []byte(`"bob" "md5`+strings.Repeat("0a", 16)+"\"\n"))
	}},
	{"a plain password", "users-plain", func(l *lab) { l.write("users.txt", 0o600, []byte(`"bob" "`+plantedPassword+"\"\n")) }},
	{"nobody in the users file", "users-none", func(l *lab) { l.write("users.txt", 0o600, nil) }},
	{"a users file that is none", "unusable", func(l *lab) { l.write("users.txt", 0o600, []byte("bob "+plantedPassword+"\n")) }},
	{"a key that is garbage", "unusable", func(l *lab) { l.write("tls.key", 0o600, []byte(plantedPassword)) }},
	{"roots that are missing", "unusable", func(l *lab) { l.database = strings.ReplaceAll(l.database, "ca.crt", "none.crt") }},
}

// inFIPSMode is what mistakes are found as that are no mere weakness there:
// pgseal does not start with them.
var inFIPSMode = map[string]string{"require-auth-md5": "config", "rule-md5": "unusable"}

func TestEachPlantedMistakeIsFound(t *testing.T) {
	for _, test := range slices.Concat(mistakes, mistakesOfMore, mistakesOfNames) {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			test.plant(l)
			r := l.examine()
			id := test.id
			if stricter, differs := inFIPSMode[id]; differs && fips140.Enabled() {
				id = stricter
			}
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == id })
			if i < 0 {
				t.Fatalf("%s not found among %+v", id, r.Findings)
			}
			if f := r.Findings[i]; f.File == "" || f.What == "" || f.Why == "" || f.Change == "" || f.Line == 0 && f.Key != "" {
				t.Errorf("the finding is not complete: %+v", f)
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), plantedPassword) || strings.Contains(string(text), "BEGIN ") {
				t.Errorf("the report shows a secret: %s", text)
			}
		})
	}
}

func TestIDsOfChecksAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.ID] || c.Why == "" || c.Severity == "" {
			t.Errorf("check %q is there twice or lacks something", c.ID)
		}
		seen[c.ID] = true
	}
}

func TestHardeningListsEachCheckWithItsSeverity(t *testing.T) {
	text, err := os.ReadFile("../../docs/hardening.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks() {
		if row := "| `" + c.ID + "` | " + string(c.Severity) + " |"; !strings.Contains(string(text), row) {
			t.Errorf("docs/hardening.md has no row %s", row)
		}
	}
}

func TestTheManualListsWhatConnectFinds(t *testing.T) {
	text, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks() {
		if row := "| `" + c.ID + "` | " + string(c.Severity) + " |"; c.online != nil && !strings.Contains(string(text), row) {
			t.Errorf("docs/check.md has no row %s", row)
		}
	}
}

func TestTheAdviceOnMD5SecretsIsOneThatTheServerTakes(t *testing.T) {
	l := newLab(t)
	l.write("users.txt", 0o600, []byte(`"bob" "md5`+strings.Repeat("0a", 16)+"\"\n"))
	for _, f := range l.examine().Findings {
		if f.ID == "users-md5" && !strings.Contains(f.Change, "pg_authid") {
			t.Errorf("a secret that is not the server's logs nobody in there: %s", f.Change)
		}
	}
}

// Checks returns all checks.
func Checks() []Check { return append([]Check{configCheck}, checks...) }
