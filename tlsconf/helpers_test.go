package tlsconf

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
)

// systemCA is what these tests find as the system's only root.
var systemCA *devca.CA

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tlsconf")
	if err == nil {
		systemCA, err = devca.New("the system's root", time.Hour)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "roots.pem"), systemCA.CertPEM(), 0o644)
	}
	if err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "roots.pem"))
	os.Setenv("SSL_CERT_DIR", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newCA(t testing.TB) *devca.CA {
	t.Helper()
	ca, err := devca.New("test root", 365*24*time.Hour)
	ok(t, err)
	return ca
}

func issue(t testing.TB, ca *devca.CA, req devca.Request) devca.Pair {
	t.Helper()
	pair, err := ca.Issue(req)
	ok(t, err)
	return pair
}

// server issues a certificate that nothing is wrong with.
func server(t testing.TB, ca *devca.CA, cn string) devca.Pair {
	t.Helper()
	return issue(t, ca, devca.Request{CommonName: cn, Hosts: []string{"db.internal", "127.0.0.1"}})
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError asserts that err says each of the words.
func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func write(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	ok(t, os.WriteFile(path, data, mode))
	ok(t, os.Chmod(path, mode))
}

// pairDir is a directory with a tls.crt and a tls.key.
type pairDir string

func newPairDir(t testing.TB, pair devca.Pair) pairDir {
	t.Helper()
	d := pairDir(t.TempDir())
	d.write(t, pair)
	return d
}

func (d pairDir) cert() string { return filepath.Join(string(d), "tls.crt") }
func (d pairDir) key() string  { return filepath.Join(string(d), "tls.key") }

func (d pairDir) write(t testing.TB, pair devca.Pair) {
	t.Helper()
	write(t, d.cert(), pair.CertPEM, 0o644)
	write(t, d.key(), pair.KeyPEM, 0o600)
}

func (d pairDir) config() ListenerConfig {
	c := DefaultListenerConfig()
	c.CertFile, c.KeyFile = d.cert(), d.key()
	return c
}

func (d pairDir) store(t testing.TB) *reload.Store[*Listener] {
	t.Helper()
	s, err := NewListenerStore("listener test", d.config())
	ok(t, err)
	return s
}

// minted is a certificate that devca would not make, with its key.
type minted struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newECKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	return key
}

// mint signs a certificate with parent's key, or its own if parent is nil.
// edit may change the template of a flawless server certificate.
func mint(t testing.TB, cn string, key crypto.Signer, parent *minted, edit func(*x509.Certificate)) *minted {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: cn},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(100 * 24 * time.Hour),
		DNSNames:              []string{"db.internal"},
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if edit != nil {
		edit(template)
	}
	signer, signerCert := key, template
	if parent != nil {
		signer, signerCert = parent.key, parent.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signerCert, key.Public(), signer)
	ok(t, err)
	cert, err := x509.ParseCertificate(der)
	ok(t, err)
	return &minted{cert, key}
}

// authority makes a template that of an authority.
func authority(c *x509.Certificate) {
	c.IsCA, c.DNSNames, c.ExtKeyUsage = true, nil, nil
	c.KeyUsage = x509.KeyUsageCertSign
}

// pem returns a pair whose certificate file holds m and then the others.
func (m *minted) pair(t testing.TB, others ...*minted) devca.Pair {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(m.key)
	ok(t, err)
	return devca.Pair{
		CertPEM: bundle(append([]*minted{m}, others...)...),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		Cert:    m.cert,
	}
}

func bundle(certs ...*minted) []byte {
	var out bytes.Buffer
	for _, m := range certs {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw})
	}
	return out.Bytes()
}

// logbook records log lines.
type logbook struct{ *observer.ObservedLogs }

func newLog() (*zap.Logger, logbook) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logbook{logs}
}

func (l logbook) count(message string) int { return l.FilterMessage(message).Len() }

// text is everything that was logged.
func (l logbook) text() string {
	var out strings.Builder
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, entry := range l.All() {
		line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
		if err != nil {
			return err.Error()
		}
		out.Write(line.Bytes())
	}
	return out.String()
}

// noPEM asserts that text shows no part of what the files held: no marker, and
// no line of any pair's encoding.
func noPEM(t testing.TB, text string, pairs ...devca.Pair) {
	t.Helper()
	if strings.Contains(text, "-----") || strings.Contains(text, "BEGIN") {
		t.Errorf("PEM markers in %q", text)
	}
	for _, pair := range pairs {
		for line := range strings.Lines(string(pair.KeyPEM) + string(pair.CertPEM)) {
			if line = strings.TrimSpace(line); len(line) > 8 && strings.Contains(text, line) {
				t.Errorf("a line of a PEM file in %q", text)
			}
		}
	}
}

// sockets returns two connected sockets. net.Pipe would not do: it has no
// buffer, and a client that refuses writes its alert while the server is still
// writing.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	ok(t, err)
	conns := [2]net.Conn{}
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		conns[i], err = net.FileConn(file)
		ok(t, errors.Join(err, file.Close()))
	}
	return conns[0], conns[1]
}

// shake runs a handshake and one byte from client to server, and returns
// both ends' views and errors.
func shake(t testing.TB, clientConfig, serverConfig *tls.Config) (client, server tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	c, s := sockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tlsServer := tls.Server(s, serverConfig)
	var wg sync.WaitGroup
	wg.Go(func() {
		if serverErr = tlsServer.HandshakeContext(ctx); serverErr != nil {
			s.Close()
			return
		}
		// TLS 1.3 tells the client's verdict only after the handshake.
		_, serverErr = tlsServer.Read(make([]byte, 1))
	})
	tlsClient := tls.Client(c, clientConfig)
	if clientErr = tlsClient.HandshakeContext(ctx); clientErr == nil {
		_, clientErr = tlsClient.Write([]byte{1})
	}
	c.Close()
	wg.Wait()
	s.Close()
	return tlsClient.ConnectionState(), tlsServer.ConnectionState(), clientErr, serverErr
}

// signerOf returns an authority's key.
func signerOf(t testing.TB, ca *devca.CA) crypto.Signer {
	t.Helper()
	data, err := ca.KeyPEM()
	ok(t, err)
	key, err := ParsePrivateKey("key", data)
	ok(t, err)
	return key
}

// refused reloads and asserts an error; it returns whether that is news.
func refused(t testing.TB, s reload.Reloadable) (news bool) {
	t.Helper()
	changed, err := s.Reload()
	reloadErr, isReloadErr := errors.AsType[*reload.ReloadError](err)
	if changed || !isReloadErr || reloadErr.Name != s.Name() {
		t.Fatalf("Reload gave %v, %v, want a ReloadError of %s", changed, err, s.Name())
	}
	return !reloadErr.Repeated
}

// reloaded reloads without an error and asserts whether that was a change.
func reloaded(t testing.TB, s reload.Reloadable, want bool) {
	t.Helper()
	if changed, err := s.Reload(); err != nil || changed != want {
		t.Fatalf("Reload gave %v, %v, want %v", changed, err, want)
	}
}
