package integration

import (
	"crypto/sha256"
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

	"github.com/xdg-go/scram"
)

// saslConn is a connection whose login is held message by message, with an
// implementation of SCRAM that is neither ours nor PostgreSQL's.
type saslConn struct {
	*tls.Conn
	t *testing.T
}

// dialSASL secures a connection to the server at port and names the role.
func dialSASL(t *testing.T, port int, root, role string) saslConn {
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
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(patience))
	if _, err := raw.Write([]byte("\x00\x00\x00\x08\x04\xd2\x16\x2f")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(raw, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c := saslConn{tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"postgresql"}}), t}
	c.send("", "\x00\x03\x00\x00user\x00"+role+"\x00database\x00app\x00\x00")
	return c
}

func (c saslConn) send(typ, body string) {
	c.t.Helper()
	if _, err := io.WriteString(c, typ+word(len(body)+4)+body); err != nil {
		c.t.Fatal(err)
	}
}

func word(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }

// read returns the next message: its type, and for authentication its kind.
func (c saslConn) read() (kind, body string) {
	c.t.Helper()
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatal(err)
	}
	if head[0] == 'R' {
		return fmt.Sprintf("R%d", binary.BigEndian.Uint32(b)), string(b[4:])
	}
	return string(head[:1]), string(b)
}

// challenge sends the first message of an exchange and returns the answer.
func (c saslConn) challenge(mechanism, first string) string {
	c.t.Helper()
	if kind, offered := c.read(); kind != "R10" || !strings.Contains(offered, mechanism+"\x00") {
		c.t.Fatalf("%s is not offered: %s %q", mechanism, kind, offered)
	}
	c.send("p", mechanism+"\x00"+word(len(first))+first)
	kind, answer := c.read()
	if kind != "R11" {
		c.t.Fatalf("the answer is %s %q", kind, answer)
	}
	return answer
}

// saltOf returns the salt and the iterations that pgseal asks a role with.
func saltOf(t *testing.T, p *pgseal, role string) string {
	t.Helper()
	_, salt, found := strings.Cut(dialSASL(t, p.port(), p.root, role).challenge("SCRAM-SHA-256", "n,,n=,r=abcdefgh"), ",s=")
	if !found {
		t.Fatal("the answer has no salt")
	}
	return salt
}

func TestTheSCRAMOfXdgLogsInBoundAndUnbound(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, "18")
	p := start(t, pg, options{auth: settings{"auth_delay": "1ms"}})
	bound := func(c saslConn) scram.ChannelBinding {
		sum := sha256.Sum256(c.ConnectionState().PeerCertificates[0].Raw)
		return scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: sum[:]}
	}
	for name, login := range map[string]struct {
		mechanism, password string
		begin               func(*scram.Client, saslConn) *scram.ClientConversation
		want                string // of the last message: R0 or SQLSTATE
	}{
		"unbound": {"SCRAM-SHA-256", appPassword,
			func(x *scram.Client, _ saslConn) *scram.ClientConversation { return x.NewConversation() }, "R0"},
		"bound": {"SCRAM-SHA-256-PLUS", appPassword,
			func(x *scram.Client, c saslConn) *scram.ClientConversation {
				return x.NewConversationWithChannelBinding(bound(c))
			}, "R0"},
		"bound to another": {"SCRAM-SHA-256-PLUS", appPassword,
			func(x *scram.Client, c saslConn) *scram.ClientConversation {
				b := bound(c)
				b.Data[0] ^= 1
				return x.NewConversationWithChannelBinding(b)
			}, "28000"},
		"wrong password": {"SCRAM-SHA-256", wrongPassword,
			func(x *scram.Client, _ saslConn) *scram.ClientConversation { return x.NewConversation() }, "28P01"},
	} {
		c := dialSASL(t, p.port(), p.root, "app")
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		client, err := scram.SHA256.NewClient("app", login.password, "")
		if err != nil {
			t.Fatal(err)
		}
		x := login.begin(client, c)
		step := func(challenge string) string {
			answer, err := x.Step(challenge)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return answer
		}
		c.send("p", step(c.challenge(login.mechanism, step(""))))
		kind, body := c.read()
		if kind == "R12" {
			step(body)
			if !x.Valid() {
				t.Errorf("%s: the client does not believe pgseal", name)
			}
			kind, _ = c.read()
		}
		if kind != login.want && !(kind == "E" && strings.Contains(body, "C"+login.want+"\x00")) {
			t.Errorf("%s: the login ends in %s %q, want %s", name, kind, body, login.want)
		}
	}
}
