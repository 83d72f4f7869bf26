package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// firstAnswer sends a startup packet over TLS to a server at port whose
// authority stands in root, and returns all it says before it asks for
// authentication or ends the connection.
func firstAnswer(t *testing.T, port int, root string, version uint32, fields ...string) string {
	t.Helper()
	pem, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	raw, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	raw.Write([]byte("\x00\x00\x00\x08\x04\xd2\x16\x2f"))
	if _, err := io.ReadFull(raw, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	body := string(binary.BigEndian.AppendUint32(nil, version)) + strings.Join(fields, "\x00") + "\x00\x00"
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)); err != nil {
		t.Fatal(err)
	}
	if version < 3<<16 { // PostgreSQL answers in the framing of that version
		all, _ := io.ReadAll(conn)
		_, words, _ := strings.Cut(string(all), "unsupported")
		words, _, _ = strings.Cut(words, "3.2")
		return words
	}
	var said strings.Builder
	for {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return said.String()
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(conn, rest); err != nil {
			t.Fatal(err)
		}
		switch head[0] {
		case 'R':
			return said.String() + "R"
		case 'E': // without the file and line that PostgreSQL adds
			for field := range strings.SplitSeq(string(rest), "\x00") {
				if field != "" && strings.Contains("SVCM", field[:1]) {
					said.WriteString(field + "|")
				}
			}
		default:
			fmt.Fprintf(&said, "%c%x|", head[0], rest)
		}
	}
}

func TestVersionsAndOptionsOfTheProtocolAreAnsweredAsPostgreSQL18Does(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, "18")
	p := start(t, pg, options{})
	for _, version := range []uint32{2 << 16, 3 << 16, 3<<16 | 1, 3<<16 | 2, 3<<16 | 3, 3<<16 | 9999, 4 << 16, 4<<16 | 1} {
		for _, unknown := range [][]string{nil, {"_pq_.a"}, {"_pq_.c", "_pq_.a", "_pq_.test_protocol_negotiation"}} {
			fields := []string{"user", "app", "database", "app"}
			for _, name := range unknown {
				fields = append(fields, name, "on")
			}
			want := firstAnswer(t, pg.Port(), pg.root, version, fields...)
			if got := firstAnswer(t, p.port(), p.root, version, fields...); got != want || want == "" {
				t.Errorf("%d.%d with %d options: got %q, PostgreSQL says %q", version>>16, version&0xffff, len(unknown), got, want)
			}
		}
	}
}

// speaking connects with pgx in one version of the protocol.
func (p *pgseal) speaking(t *testing.T, version string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(p.dsn("app", execMode))
	if err != nil {
		t.Fatal(err)
	}
	config.MinProtocolVersion, config.MaxProtocolVersion = version, version
	conn, err := pgx.ConnectConfig(soon(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestAClientOfEachProtocolVersionCancelsWithItsKey(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}}})
		observer := pg.direct(t, "app")
		for version, size := range map[string]int{"3.0": 4, "3.2": 32} {
			conn := p.speaking(t, version)
			if n := len(conn.PgConn().SecretKey()); n != size {
				t.Errorf("%s: the secret has %d bytes, want %d", version, n, size)
			}
			for how, cancel := range map[string]func() error{
				"over TLS":     func() error { return conn.PgConn().CancelRequest(soon(t)) },
				"in plaintext": func() error { return p.cancelInPlaintext(conn) },
			} {
				canceled := inBackground(conn, soon(t), slow("mine"))
				runs(t, observer, "mine")
				if err := cancel(); err != nil {
					t.Fatalf("%s, %s: %v", version, how, err)
				}
				wantState(t, receive(t, canceled, "my query ends"), "57014")
			}
		}
	})
}

func TestTenThousandCancelRequestsWithKeysOfNobodyLeaveTheServerAlone(t *testing.T) {
	pg := sharedPostgres(t, "18")
	p := start(t, pg, options{binary: plainBinary, databases: map[string]settings{"app": {"pool_size": "1"}}})
	observer := pg.direct(t, "app")
	conn := p.pgx(t, "app", execMode)
	running := inBackground(conn, soon(t), slow("mine"))
	runs(t, observer, "mine")
	secret := make([]byte, 32)
	flood := func(n int) {
		for i := range n {
			raw, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.port()), patience)
			if err != nil {
				t.Fatal(err)
			}
			binary.BigEndian.PutUint32(secret, uint32(i))
			raw.Write(cancelRequest(uint32(i), secret[:4+i%29]))
			raw.SetDeadline(time.Now().Add(patience))
			io.Copy(io.Discard, raw)
			raw.Close()
		}
	}
	flood(2000)
	before := p.peakMemory()
	flood(8000)
	if grown := p.peakMemory() - before; grown > 4<<20 {
		t.Errorf("8000 more requests took %d bytes", grown)
	}
	runs(t, observer, "mine")
	if err := conn.PgConn().CancelRequest(soon(t)); err != nil {
		t.Fatal(err)
	}
	wantState(t, receive(t, running, "my query ends"), "57014")
}
