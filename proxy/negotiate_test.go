package proxy

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
)

func prefer(p *plan)  { p.mode = "prefer" }
func disable(p *plan) { p.mode = "disable" }

func TestAnSSLRequestIsAnsweredAndTheSessionIsEncrypted(t *testing.T) {
	h := open(t)
	c := h.login("app")
	if got := c.ask("SELECT pid"); got != "1" {
		t.Errorf("the server answered %q", got)
	}
	b := receive(t, "a server connection", h.server.opened)
	if !b.tls || b.startup["user"] != "alice" || b.startup["database"] != "app" {
		t.Errorf("the server was reached with TLS %v and %v", b.tls, b.startup)
	}
}

func TestBytesBehindAnSSLRequestEndTheConnection(t *testing.T) {
	for name, behind := range map[string]string{
		"one byte":         "x",
		"a startup packet": packet(version3, "user", "alice"),
		"a query":          query("SELECT 1"),
		"a client hello":   "\x16\x03\x01\x00\x05hello",
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			c := h.dial()
			c.write(sslRequest + behind)
			c.refused("08P01")
		})
	}
}

func TestBytesBehindAnSSLRequestEndTheConnectionWithoutTLSToo(t *testing.T) {
	h := open(t, disable)
	c := h.dial()
	c.write(sslRequest + packet(version3, "user", "alice"))
	c.refused("08P01")
}

func TestAGSSENCRequestIsDeclinedAndTLSMayFollow(t *testing.T) {
	h := open(t)
	c := h.dial()
	c.write(gssRequest)
	c.wantByte('N')
	c.secure()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.greeted()
}

func TestBytesBehindAGSSENCRequestEndTheConnection(t *testing.T) {
	h := open(t)
	c := h.dial()
	c.write(gssRequest + "x")
	c.refused("08P01")
}

func TestAskingForEncryptionTwiceEndsTheConnection(t *testing.T) {
	h := open(t, disable)
	for _, request := range []string{sslRequest, gssRequest} {
		c := h.dial()
		c.write(request)
		c.wantByte('N')
		c.write(request)
		c.refused("08P01")
	}
}

func TestAskingForEncryptionWithinTLSEndsTheConnection(t *testing.T) {
	h := open(t)
	for _, request := range []string{sslRequest, gssRequest} {
		c := h.dialTLS()
		c.write(request)
		c.refused("08P01")
	}
}

func TestAPlaintextSessionIsRefusedWhereTLSIsRequired(t *testing.T) {
	h := open(t)
	c := h.dial()
	c.write(packet(version3, "user", "alice", "database", "app"))
	if fields := c.refused("28000"); fields['H'] == "" {
		t.Errorf("%q has no hint", fields)
	}
	nothing(t, "a server was asked", h.server.opened)
}

func TestAPlaintextSessionIsServedWhereItIsAllowed(t *testing.T) {
	for name, mode := range map[string]func(*plan){"prefer": prefer, "disable": disable} {
		t.Run(name, func(t *testing.T) {
			h := open(t, mode)
			c := h.dial()
			c.write(packet(version3, "user", "alice", "database", "app"))
			c.authenticate(password)
			c.greeted()
			c.ask("SELECT pid")
		})
	}
}

func TestAClientThatIsDeniedTLSMayGoOnInPlaintext(t *testing.T) {
	h := open(t, disable)
	c := h.dial()
	c.write(sslRequest)
	c.wantByte('N')
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.greeted()
}

func TestOtherMajorVersionsOfTheProtocolAreRefusedInWords(t *testing.T) {
	h := open(t, prefer)
	for code, version := range map[string]string{"\x00\x02\x00\x00": "2.0", "\x00\x04\x00\x00": "4.0", "\x00\x00\x00\x00": "0.0"} {
		c := h.dial()
		c.write(packet(code, "user", "alice"))
		want := "unsupported frontend protocol " + version + ": server supports 3.0 to 3.2"
		if fields := c.refused("0A000"); fields['M'] != want {
			t.Errorf("version %s is refused with %q", version, fields['M'])
		}
	}
}

func TestANewerMinorVersionOrAnUnknownOptionIsNegotiatedOnce(t *testing.T) {
	h := open(t)
	for _, minor := range []uint16{0, 1, 2, 3, 9999, 1<<16 - 1} {
		for _, options := range [][]string{nil, {"_pq_.a"}, {"_pq_.c", "_pq_.a", "_pq_.test_protocol_negotiation"}} {
			t.Run(fmt.Sprintf("3.%d with %d options", minor, len(options)), func(t *testing.T) {
				fields := []string{"user", "alice"}
				spoken := min(minor, 2)
				body := "\x00\x03" + string(binary.BigEndian.AppendUint16(nil, spoken)) + size(strings.Repeat(" ", len(options)))
				for _, o := range options {
					fields = append(fields, o, "on")
					body += o + "\x00"
				}
				c := h.dialTLS()
				c.write(packet("\x00\x03"+string(binary.BigEndian.AppendUint16(nil, minor)), append(fields, "database", "app")...))
				if minor > spoken || len(options) > 0 {
					c.wants(msg('v', body))
				}
				c.authenticate(password) // it reads the request first, and nothing else
				c.greeted()
				if want := map[bool]int{true: 32, false: 4}[spoken == 2]; len(c.key) != 4+want {
					t.Errorf("the secret has %d bytes, want %d", len(c.key)-4, want)
				}
				c.leave()
			})
		}
	}
}

func TestAStartupPacketOfImpossibleLengthIsRefused(t *testing.T) {
	h := open(t)
	for _, length := range []uint32{0, 1, 3, 4, 7, 10_005, 1<<31 - 1, 1 << 31, 1<<32 - 1, 0x17030102} {
		for _, c := range []*client{h.dial(), h.dialTLS()} {
			c.write(string(binary.BigEndian.AppendUint32(nil, length)))
			c.refused("08P01")
		}
	}
}

func TestAStartupPacketWithoutSenseIsRefused(t *testing.T) {
	h := open(t)
	for content, code := range map[string]string{
		packet(version3):                                         "08P01", // length 8: no terminator
		packet(version3 + "\x00"):                                "28000", // length 9: no role
		packet(version3 + "user\x00"):                            "08P01",
		packet(version3 + "user\x00alice\x00"):                   "08P01",
		packet(version3 + "user\x00alice\x00\x00x"):              "08P01",
		packet(version3, "user", "alice", "user", "admin"):       "08P01",
		packet(version3, "user", "alice", "replication", "both"): "22023",
		packet(version3, "user", "alice", "options", "-W 1"):     "0A000",
		packet(version3 + strings.Repeat("x", 9_996)):            "08P01", // the longest
	} {
		c := h.dialTLS()
		c.write(content)
		c.refused(code)
	}
	nothing(t, "a server was asked", h.server.opened)
}

func TestAPeerThatLeavesBeforeItSaidAnythingIsNoEvent(t *testing.T) {
	h := open(t)
	for _, sent := range []string{"", "\x00\x00", sslRequest} {
		c := h.dial()
		c.write(sent)
		ok(t, c.raw.(*net.TCPConn).CloseWrite())
		if sent == sslRequest {
			c.wantByte('S')
		}
		c.ended()
	}
	h.dialTLS().raw.Close()
	eventually(t, "the connections are gone", func() bool { return h.proxy.Clients() == 0 })
	for _, line := range h.logs.All() {
		if line.Level > -1 && line.Message != "client left during login" {
			t.Errorf("log line %q", line.Message)
		}
	}
	nothing(t, "a server was asked", h.server.opened)
}

func TestATLSHandshakeThatFailsIsToldToTheLog(t *testing.T) {
	h := open(t)
	c := h.dial()
	c.write(sslRequest)
	c.wantByte('S')
	c.write(packet(version3, "user", "alice"))
	c.ended()
	eventually(t, "the log says so", func() bool { return h.logs.FilterMessage("TLS handshake failed").Len() == 1 })
}
