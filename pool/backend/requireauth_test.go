package backend

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

func TestRequireAuthReadsAsInLibpq(t *testing.T) {
	for value, want := range map[string]string{
		"scram-sha-256,none":            "scram-sha-256 none",
		" scram-sha-256 , md5":          "scram-sha-256 md5",
		"none":                          "none",
		"password,md5":                  "md5 password",
		"!password,!md5":                "scram-sha-256 none",
		"!none,!gss,!sspi,!oauth":       "scram-sha-256 md5 password",
		"!none":                         "scram-sha-256 md5 password",
		"":                              "error required",
		" ":                             "error required",
		"md5,":                          `error invalid value "": must be`,
		"md5,md5":                       "error duplicate method",
		"!md5,!md5":                     "error duplicate method",
		"md5,!none":                     "error cannot be mixed",
		"!md5,none":                     "error cannot be mixed",
		"gss":                           "error is not supported",
		"MD5":                           "error invalid value",
		"!":                             "error invalid value",
		"!!md5":                         "error invalid value",
		"scram-sha-256-plus":            "error invalid value",
		"scram-sha-256,md5,oauth,!none": "error is not supported",
	} {
		got, err := ParseRequireAuth(value)
		if says, fails := strings.CutPrefix(want, "error "); fails {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q: error %v, want one with %q", value, err, says)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q allows %v, %v, want %s", value, got, err, want)
		}
	}
}

// enterBy logs in by the methods of require_auth to a server that asks by
// messages, and returns what it was sent behind the startup packet.
func enterBy(t *testing.T, requireAuth string, login Login, messages ...string) (sent string, err error) {
	t.Helper()
	conn := &script{in: strings.NewReader(strings.Join(messages, ""))}
	d, to := Dialer{Net: conn.dial}, target(t, nil)
	to.Login, to.RequireAuth = login, requireAuth
	_, err = d.Dial(t.Context(), to)
	return strings.Join(conn.sent[1:], ""), err
}

// script is a connection to a server that has said all it will say.
type script struct {
	net.Conn
	in   *strings.Reader
	sent []string
}

func (s *script) dial(context.Context, string, string) (net.Conn, error) { return s, nil }

func (s *script) Close() error                { return nil }
func (s *script) SetDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr        { return new(net.TCPAddr) }
func (s *script) LocalAddr() net.Addr         { return new(net.TCPAddr) }

func (s *script) Read(b []byte) (int, error) { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) {
	s.sent = append(s.sent, string(b))
	return len(b), nil
}

func TestAServerIsAnsweredByTheMethodsThatAreAllowedAlone(t *testing.T) {
	md5 := auth.NewMD5Secret(password, "app")
	byPassword, bySecret, byKeys := Login{User: "app", Password: password}, Login{User: "app", MD5: md5}, Login{User: "app", Keys: someKeys(t)}
	askMD5, askClear, askSCRAM := frame('R', word(5), "salt"), frame('R', word(3)), frame('R', word(10), "SCRAM-SHA-256\x00\x00")
	answer := frame('p', md5.Respond([4]byte([]byte("salt"))), "\x00")
	for name, test := range map[string]struct {
		allowed string
		login   Login
		asks    string
		sent    string
		says    string
	}{
		"md5 by a password":              {"md5", byPassword, askMD5 + welcome, answer, ""},
		"md5 by an md5 secret":           {"scram-sha-256,md5", bySecret, askMD5 + welcome, answer, ""},
		"md5 by keys":                    {"md5", byKeys, askMD5, "", "neither a password nor an MD5 secret is known"},
		"md5, not allowed":               {"scram-sha-256,password,none", byPassword, askMD5, "", `authentication method requirement "scram-sha-256,password,none" failed: server requested MD5 authentication: `},
		"md5 with a short salt":          {"md5", byPassword, frame('R', word(5), "sal"), "", "an MD5 salt of 3 bytes"},
		"md5 with a long salt":           {"md5", byPassword, frame('R', word(5), "salty"), "", "an MD5 salt of 5 bytes"},
		"md5 twice":                      {"md5", byPassword, askMD5 + askMD5, answer, "requested a password twice"},
		"md5, then in the clear":         {"md5,password", byPassword, askMD5 + askClear, answer, "requested a password twice"},
		"md5, then SCRAM":                {"!none", byPassword, askMD5 + askSCRAM, answer, "duplicate SASL authentication request"},
		"in the clear":                   {"password", byPassword, askClear + welcome, frame('p', password, "\x00"), ""},
		"in the clear, not allowed":      {"scram-sha-256,md5,none", byPassword, askClear, "", "server requested a cleartext password"},
		"in the clear, by an md5 secret": {"password", bySecret, askClear, "", "none is known"},
		"SCRAM, not allowed":             {"md5,password,none", byPassword, askSCRAM, "", "server requested SCRAM-SHA-256 authentication"},
		"SCRAM by an md5 secret":         {"!none", bySecret, askSCRAM, "", "users_file has only an MD5 secret"},
		"nothing, not allowed":           {"!none", byPassword, welcome, "", "server did not request authentication"},
		"nothing":                        {"none", byPassword, welcome, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sent, err := enterBy(t, test.allowed, test.login, test.asks)
			if sent != test.sent {
				t.Errorf("the server was sent %q, want %q", sent, test.sent)
			}
			if test.says == "" {
				ok(t, err)
			} else {
				says(t, err, test.says)
			}
		})
	}
}

func TestChannelBindingThatIsRequiredForbidsWeakerMethods(t *testing.T) {
	for _, asks := range []string{frame('R', word(5), "salt"), frame('R', word(3))} {
		conn := &script{in: strings.NewReader(asks)}
		c := &Conn{transport: &transport{Conn: conn}}
		err := c.logIn(Login{User: "app", Password: password}, terms{authMethods, auth.ChannelBinding{Policy: tlsconf.ChannelBindingRequire}}, nil)
		says(t, err, "channel binding required")
		if len(conn.sent) != 1 {
			t.Errorf("the server was sent %q", conn.sent)
		}
	}
}

func TestAServersOwnWordsAreKeptWhenItRefusesAnMD5Answer(t *testing.T) {
	_, err := enterBy(t, "md5", Login{User: "app", Password: password}, frame('R', word(5), "salt"), frame('E', "SFATAL\x00C28P01\x00Mno\x00\x00"))
	if e := code(t, err, wire.CodeInvalidPassword); e.Message != "no" {
		t.Errorf("told %q", e.Message)
	}
}

// someKeys returns the keys that a login by SCRAM reveals.
func someKeys(t *testing.T) auth.Keys {
	t.Helper()
	secret, err := auth.NewSecret(password, 1)
	ok(t, err)
	server, client := auth.NewServerExchange(secret, true), auth.NewClientExchange(password)
	first, err := server.First(client.First())
	ok(t, err)
	final, err := client.Respond(first)
	ok(t, err)
	_, err = server.Final(final)
	ok(t, err)
	return server.Keys()
}
