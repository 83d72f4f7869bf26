package pgcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/xdg-go/scram"

	"github.com/pgseal/pgseal/internal/devca"
)

const password = "it's a 'secret' \\ pass"

func newCA(t *testing.T) *devca.CA {
	t.Helper()
	ca, err := devca.New("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newPair(t *testing.T, ca *devca.CA) devca.Pair {
	t.Helper()
	pair, err := ca.Issue(devca.Request{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// tlsOptions are those of a server with a certificate of the authority.
func tlsOptions(t *testing.T, ca *devca.CA) Options {
	pair := newPair(t, ca)
	return Options{ServerCert: pair.CertPEM, ServerKey: pair.KeyPEM, RootCA: ca.CertPEM(), Password: password}
}

// mustStart starts a cluster that the test's end stops.
func mustStart(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// serverDir returns an empty directory that the server's user can enter;
// t.TempDir is private to us.
func serverDir(t *testing.T) string {
	t.Helper()
	a, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := a.mkdir("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left in the directory: %v (%v)", entries, err)
	}
}

func dial(c *Cluster) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(c.Host(), strconv.Itoa(c.Port())), 5*time.Second)
	if err == nil {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return conn, err
}

// connect dials the server and closes the connection at the test's end.
func connect(t *testing.T, c *Cluster) net.Conn {
	t.Helper()
	conn, err := dial(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// askTLS sends an SSLRequest and returns the server's one byte of answer.
func askTLS(t *testing.T, conn net.Conn) byte {
	t.Helper()
	answer := make([]byte, 1)
	_, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f})
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer[0]
}

// connectTLS returns a connection that has verified the server.
func connectTLS(t *testing.T, c *Cluster, ca *devca.CA) *tls.Conn {
	t.Helper()
	conn := connect(t, c)
	if answer := askTLS(t, conn); answer != 'S' {
		t.Fatalf("the server answered %q to SSLRequest", answer)
	}
	secure := tls.Client(conn, &tls.Config{RootCAs: ca.Pool(), ServerName: c.Host()})
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	return secure
}

// login logs in as the superuser and returns the SQLSTATE of the refusal, or
// "" on success.
func login(t *testing.T, conn net.Conn, password string) string {
	t.Helper()
	server := pgproto3.NewFrontend(pgproto3.NewChunkReader(conn), conn)
	send := func(m pgproto3.FrontendMessage) {
		if err := server.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	client, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		t.Fatal(err)
	}
	talk := client.NewConversation()
	step := func(challenge []byte) []byte {
		answer, err := talk.Step(string(challenge))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(answer)
	}
	send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "postgres"}})
	for {
		message, err := server.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := message.(type) {
		case *pgproto3.AuthenticationSASL:
			send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: step(nil)})
		case *pgproto3.AuthenticationSASLContinue:
			send(&pgproto3.SASLResponse{Data: step(m.Data)})
		case *pgproto3.AuthenticationSASLFinal:
			step(m.Data)
		case *pgproto3.ErrorResponse:
			return m.Code
		case *pgproto3.ReadyForQuery:
			return ""
		}
	}
}

// installed returns the directories of all PostgreSQL versions of this machine
// that pgseal is tested with.
func installed(t *testing.T) map[string]string {
	t.Helper()
	dirs := map[string]string{}
	var missing error
	for _, version := range []string{"15", "16", "17", "18"} {
		dir, err := Find(version)
		if err != nil {
			missing = err
			continue
		}
		dirs[version] = dir
	}
	if len(dirs) == 0 {
		t.Fatal(missing)
	}
	return dirs
}

func TestAClusterOfEachInstalledVersionServesVerifiedTLSAndSCRAM(t *testing.T) {
	for version, bindir := range installed(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ca := newCA(t)
			o := tlsOptions(t, ca)
			o.BinDir = bindir
			c := mustStart(t, o)
			if c.BinDir() != bindir || c.Host() != "127.0.0.1" || c.PID() == 0 {
				t.Errorf("BinDir %q, Host %q, PID %d", c.BinDir(), c.Host(), c.PID())
			}
			if state := login(t, connectTLS(t, c, ca), password); state != "" {
				t.Errorf("the right password: SQLSTATE %s", state)
			}
			if state := login(t, connectTLS(t, c, ca), "wrong"); state != "28P01" {
				t.Errorf("a wrong password: SQLSTATE %q, want 28P01", state)
			}
			if state := login(t, connect(t, c), password); state != "28000" {
				t.Errorf("without TLS: SQLSTATE %q, want 28000", state)
			}
		})
	}
}

func TestRestartEndsSessionsAndKeepsThePort(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	c := mustStart(t, tlsOptions(t, ca))
	port, pid := c.Port(), c.PID()
	session := connectTLS(t, c, ca)
	login(t, session, password)
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(session); err != nil || !bytes.Contains(rest, []byte("57P01")) {
		t.Errorf("the old session got %q, %v; want admin_shutdown and its end", rest, err)
	}
	if c.Port() != port || c.PID() == pid {
		t.Errorf("port %d, was %d; PID %d, was %d", c.Port(), port, c.PID(), pid)
	}
	if state := login(t, connectTLS(t, c, ca), password); state != "" {
		t.Errorf("after the restart: SQLSTATE %s", state)
	}
}

// kill kills the server and waits for the last of its children: one that was
// just born still listens.
func kill(t *testing.T, c *Cluster) {
	t.Helper()
	c.Kill()
	if !within(20*time.Second, c.server.Load().gone) {
		t.Fatal("the children of the server that was killed do not end")
	}
}

func TestRestartWaitsForAPortThatSomebodyTook(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	c := mustStart(t, tlsOptions(t, ca))
	kill(t, c)
	thief, err := net.Listen("tcp", net.JoinHostPort(c.Host(), strconv.Itoa(c.Port())))
	if err != nil {
		t.Fatal(err)
	}
	position := c.log.position()
	restarted := make(chan error, 1)
	go func() { restarted <- c.Restart(t.Context()) }()
	err = c.log.waitFor(t.Context(), position, "Address already in use", nil)
	thief.Close()
	if err := errors.Join(err, <-restarted); err != nil {
		t.Fatal(err)
	}
	connectTLS(t, c, ca)
}

func TestReloadServesTheCertificateThatWasWritten(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	c := mustStart(t, tlsOptions(t, ca))
	serial := func() string { return connectTLS(t, c, ca).ConnectionState().PeerCertificates[0].SerialNumber.String() }
	old := serial()
	for range 3 {
		next := newPair(t, ca)
		if err := c.WriteServerCert(next.CertPEM, next.KeyPEM); err != nil {
			t.Fatal(err)
		}
		if got := serial(); got != old {
			t.Errorf("before the reload it serves %s, want %s", got, old)
		}
		if err := c.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		old = next.Cert.SerialNumber.String()
		if got := serial(); got != old {
			t.Errorf("after the reload it serves %s, want %s", got, old)
		}
	}
}

func TestAKilledServerIsDownAndARestartBringsItBack(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	c := mustStart(t, tlsOptions(t, ca))
	kill(t, c)
	if c.PID() != 0 {
		t.Errorf("PID is %d after the kill", c.PID())
	}
	if conn, err := dial(c); err == nil {
		conn.Close()
		t.Error("it still takes connections")
	}
	if err := c.Reload(t.Context()); !errors.Is(err, errExited) {
		t.Errorf("reload of a dead server: %v", err)
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := login(t, connectTLS(t, c, ca), password); state != "" {
		t.Errorf("after the restart: SQLSTATE %s", state)
	}
}

func TestStopRemovesAllAndMayBeCalledAgain(t *testing.T) {
	t.Parallel()
	o := tlsOptions(t, newCA(t))
	o.Dir = serverDir(t)
	c := mustStart(t, o)
	if !strings.HasPrefix(c.DataDir(), o.Dir) {
		t.Errorf("the data is in %s", c.DataDir())
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	wantEmpty(t, o.Dir)
	if _, err := os.Stat(c.DataDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory: %v", err)
	}
	if c.PID() != 0 {
		t.Errorf("PID is %d", c.PID())
	}
	for name, err := range map[string]error{
		"Restart":         c.Restart(t.Context()),
		"Reload":          c.Reload(t.Context()),
		"WriteServerCert": c.WriteServerCert(o.ServerCert, o.ServerKey),
	} {
		if !errors.Is(err, errStopped) {
			t.Errorf("%s after Stop: %v", name, err)
		}
	}
	c.Kill()
}

func TestFilesOfTheServerAreInItsDataDirectoryAndPrivate(t *testing.T) {
	t.Parallel()
	c := mustStart(t, tlsOptions(t, newCA(t)))
	for _, name := range []string{certFile, keyFile, rootFile, logFile, "pg_hba.conf", "postgresql.conf"} {
		info, err := os.Stat(filepath.Join(c.DataDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	log, err := os.ReadFile(filepath.Join(c.DataDir(), logFile))
	if err != nil || !bytes.Contains(log, []byte("listening on IPv4 address \"127.0.0.1\"")) {
		t.Errorf("the log is %q (%v)", log, err)
	}
	if _, err := os.Stat(filepath.Join(c.home, "password")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the password file: %v", err)
	}
}

func TestAStartFailureEndsWithTheServersOwnWords(t *testing.T) {
	t.Parallel()
	o := tlsOptions(t, newCA(t))
	o.Dir = serverDir(t)
	o.Settings = map[string]string{"no_such_setting": "1"}
	_, err := Start(t.Context(), o)
	if !errors.Is(err, errExited) || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Errorf("got %v", err)
	}
	wantEmpty(t, o.Dir)
}

func TestAKeyOfAnotherCertificateIsAStartFailureThatShowsNoPEM(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	o := tlsOptions(t, ca)
	o.ServerKey = newPair(t, ca).KeyPEM
	_, err := Start(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "key values mismatch") || strings.Contains(err.Error(), "-----") {
		t.Errorf("got %v", err)
	}
}

func TestAFailureOfInitdbIsToldInItsOwnWords(t *testing.T) {
	bindir, dir := t.TempDir(), serverDir(t)
	if err := os.Chmod(filepath.Dir(bindir), 0o755); err != nil {
		t.Fatal(err)
	}
	writeProgram(t, bindir, "initdb", "echo no room left >&2; exit 3")
	_, err := Start(t.Context(), Options{BinDir: bindir, Dir: dir, Password: password})
	if err == nil || !strings.Contains(err.Error(), "no room left") {
		t.Errorf("got %v", err)
	}
	wantEmpty(t, dir)
}

func TestStartEndsWithItsContextAndLeavesNothing(t *testing.T) {
	t.Parallel()
	o := tlsOptions(t, newCA(t))
	o.Dir = serverDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: got %v", err)
	}
	wantEmpty(t, o.Dir)

	ctx, cancel = context.WithCancel(t.Context())
	o.Log = writerFunc(func([]byte) { cancel() }) // with the server's first word
	if c, err := Start(ctx, o); err == nil {
		// It was ready before the word was out. Nothing to see then.
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled during the start: got %v", err)
	}
	wantEmpty(t, o.Dir)
}

func TestWithoutACertificateTheServerTakesPasswordsOverPlainTCP(t *testing.T) {
	t.Parallel()
	c := mustStart(t, Options{Password: password})
	if answer := askTLS(t, connect(t, c)); answer != 'N' {
		t.Errorf("the server answered %q to SSLRequest", answer)
	}
	if state := login(t, connect(t, c), password); state != "" {
		t.Errorf("the right password: SQLSTATE %s", state)
	}
	if state := login(t, connect(t, c), "wrong"); state != "28P01" {
		t.Errorf("a wrong password: SQLSTATE %q, want 28P01", state)
	}
	if err := c.WriteServerCert([]byte("x"), []byte("y")); err == nil {
		t.Error("took a certificate it has no use for")
	}
}

func TestSettingsAndAccessRulesReachTheServerUnharmed(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	c := mustStart(t, Options{
		Password: password,
		HBA:      []string{"host all postgres 127.0.0.1/32 trust"},
		Settings: map[string]string{"log_line_prefix": `it's a \ prefix: `, "log_connections": "on", "listen_addresses": "*"},
		Log:      &log,
	})
	if state := login(t, connect(t, c), "any"); state != "" {
		t.Errorf("trusted: SQLSTATE %s", state)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if want := `it's a \ prefix: LOG:  connection authorized: user=postgres`; !strings.Contains(log.String(), want) {
		t.Errorf("%q is missing in the log:\n%s", want, log.String())
	}
	if strings.Contains(log.String(), `"0.0.0.0"`) {
		t.Error("it listened beyond loopback")
	}
}

func TestOptionsThatCannotWorkAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	for name, o := range map[string]Options{
		"no password":                 {},
		"a password of two lines":     {Password: "a\nb"},
		"a certificate without key":   {Password: "x", ServerCert: []byte("c")},
		"a key without certificate":   {Password: "x", ServerKey: []byte("k")},
		"a root without certificate":  {Password: "x", RootCA: []byte("r")},
		"a setting with a line break": {Password: "x", Settings: map[string]string{"a\nb": "1"}},
		"a setting without name":      {Password: "x", Settings: map[string]string{"": "1"}},
	} {
		o.Dir = t.TempDir()
		if _, err := Start(t.Context(), o); err == nil {
			t.Errorf("%s: started", name)
		}
		wantEmpty(t, o.Dir)
	}
}

func FuzzThePIDFileParserTakesAnything(f *testing.F) {
	full := "123\n/data\n1700000000\n5432\n/data\n127.0.0.1\n  17   98\nready   \n"
	f.Add([]byte(full))
	f.Add([]byte(full[:20]))
	f.Add([]byte(""))
	f.Add([]byte("\n\n\n99999999999999999999\n\n\n\n\n"))
	f.Add(binary.BigEndian.AppendUint64(nil, 1<<63))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := parsePIDFile(data); got.status == "ready" && bytes.Count(data, []byte("\n")) < 7 {
			t.Errorf("ready without an eighth line: %q", data)
		}
	})
}

func TestAServerIsReadyOnlyWhenItsPIDFileSaysSo(t *testing.T) {
	full := "123\n/data\n1700000000\n5432\n/data\n127.0.0.1\n  17   98\nready   \n"
	if got, want := parsePIDFile([]byte(full)), (pidFile{123, 5432, "ready"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for cut := range len(full) - len("y   \n") {
		if got := parsePIDFile([]byte(full[:cut])); got.status == "ready" {
			t.Errorf("ready after %d bytes", cut)
		}
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
