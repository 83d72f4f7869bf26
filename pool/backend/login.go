package backend

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// Login is the role that pgseal logs in as, and its secret.
type Login struct {
	User     string
	Password string
	Keys     auth.Keys      // instead of a password
	MD5      auth.MD5Secret // instead of a password
}

// Equal reports in constant time, but for the lengths, whether both log in as the
// same role with the same secret.
func (l Login) Equal(other Login) bool {
	password := subtle.ConstantTimeCompare([]byte(l.Password), []byte(other.Password)) == 1
	keys, md5 := l.Keys.Equal(other.Keys), l.MD5.Equal(other.MD5)
	return l.User == other.User && password && keys && md5
}

// Known reports whether there is anything to log in with but a certificate.
func (l Login) Known() bool { return l.Password != "" || l.Keys.Known() || l.MD5.Known() }

// md5 returns what answers a challenge by md5, and false if nothing can.
func (l Login) md5() (auth.MD5Secret, bool) {
	if l.Password != "" {
		return auth.NewMD5Secret(l.Password, l.User), true
	}
	return l.MD5, l.MD5.Known()
}

// exchange begins to log in by SCRAM.
func (l Login) exchange() *auth.ClientExchange {
	if l.Password == "" {
		return l.Keys.NewClientExchange()
	}
	return auth.NewClientExchange(l.Password)
}

// String returns the role and hides the password from logs.
func (l Login) String() string { return l.User }

// Format writes the same for every verb.
func (l Login) Format(f fmt.State, _ rune) { io.WriteString(f, l.User) }

// MarshalText returns the same for encoders.
func (l Login) MarshalText() ([]byte, error) { return []byte(l.User), nil }

// Bounds of a server's answers during login. A server that runs over them is
// cut off before it costs memory or time.
const (
	loginMessageLimit = 256 << 10
	loginBytes        = 1 << 20
)

// serverLogin is one login under way, as the client of PostgreSQL's
// "Start-up" message flow.
type serverLogin struct {
	*Conn      // what it reports goes there
	login      Login
	terms      terms
	scram      *auth.ClientExchange // nil until the server asks for SCRAM
	proof      bool                 // the server proved that it knows the secret
	answered   bool                 // it was sent an MD5 response or the password
	ok         bool                 // AuthenticationOk was seen
	downgraded bool                 // the server negotiated the protocol down
}

// logIn sends a startup packet of protocol 3.2 and answers the server until it is ready for
// a query. An error that the server reported is returned as *wire.Error.
func (c *Conn) logIn(login Login, terms terms, params []wire.Parameter) error {
	packet, err := wire.AppendStartup(nil, wire.Version32, append([]wire.Parameter{{Name: "user", Value: login.User}}, params...))
	if err != nil {
		return err
	}
	if _, err := c.transport.Write(packet); err != nil {
		return lastWord(c.transport, err)
	}
	l := &serverLogin{Conn: c, login: login, terms: terms}
	buf := make([]byte, 0, 1024)
	for got := 0; got < loginBytes; {
		typ, body, err := wire.ReadMessage(c.transport, buf, loginMessageLimit)
		if err != nil {
			return err
		}
		got += wire.HeaderSize + len(body)
		if ready, err := l.message(typ, body); err != nil || ready {
			return err
		}
	}
	return fmt.Errorf("server sent %d bytes during login without ReadyForQuery", loginBytes)
}

func (l *serverLogin) message(typ byte, body []byte) (ready bool, err error) {
	switch typ {
	case wire.Authentication:
		return false, l.authentication(body)
	case wire.ErrorResponse:
		e, err := wire.ParseError(body)
		if err != nil {
			return false, err
		}
		return false, e
	case wire.NoticeResponse:
		return false, nil
	case wire.NegotiateProtocolVersion:
		return false, l.negotiate(body)
	}
	if !l.ok {
		return false, fmt.Errorf("expected authentication request from server, but received message type 0x%02x", typ)
	}
	switch typ {
	case wire.ParameterStatus:
		p, err := wire.ParseParameterStatus(body)
		if err != nil {
			return false, err
		}
		l.Parameters = wire.SetParameter(l.Parameters, p)
		return false, nil
	case wire.BackendKeyData:
		l.Key, err = wire.ParseCancelKey(body)
		return false, err
	case wire.ReadyForQuery:
		if len(body) != 1 || body[0] != wire.StatusIdle {
			return false, errors.New("unexpected transaction status in ReadyForQuery from server")
		}
		return true, nil
	}
	return false, fmt.Errorf("unexpected message type 0x%02x from server during login", typ)
}

// negotiate takes notice that the server speaks no 3.2, as PostgreSQL 17 and
// older do not. It may say so once and before anything else, has to name a
// version that there is, and can't know less of our options: we send none.
func (l *serverLogin) negotiate(body []byte) error {
	version, unknown, err := wire.ParseNegotiateProtocolVersion(body)
	switch {
	case err != nil:
		return err
	case l.downgraded || l.ok || l.scram != nil || l.answered:
		return errors.New("received unexpected protocol negotiation message")
	case version != wire.Version30:
		return fmt.Errorf("received invalid protocol negotiation message: server requested protocol version %d.%d", version>>16, version&0xffff)
	case len(unknown) > 0:
		return errors.New("received invalid protocol negotiation message: server reported an unsupported parameter that was not requested")
	}
	l.downgraded = true
	return nil
}

func (l *serverLogin) authentication(body []byte) error {
	kind, data, err := wire.ParseAuthentication(body)
	if err != nil {
		return err
	}
	if l.ok {
		return errors.New("unexpected authentication request from server after AuthenticationOk")
	}
	switch kind {
	case wire.AuthOK:
		if l.scram != nil && !l.proof {
			return errors.New("server did not complete SCRAM authentication")
		}
		if l.terms.binding.Policy == tlsconf.ChannelBindingRequire && !l.Bound {
			return errors.New("channel binding required, but server authenticated client without channel binding")
		}
		if l.scram == nil && !l.answered {
			if err := l.terms.allow(noneMethod, "did not request authentication"); err != nil {
				return err
			}
		}
		l.ok = true
		return nil
	case wire.AuthSASL:
		return l.startSCRAM(data)
	case wire.AuthSASLContinue:
		if l.scram == nil {
			return errors.New("invalid authentication request from server: AUTH_REQ_SASL_CONT without AUTH_REQ_SASL")
		}
		answer, err := l.scram.Respond(data)
		if err != nil {
			return err
		}
		_, err = l.transport.Write(wire.AppendSASLResponse(nil, answer))
		return err
	case wire.AuthSASLFinal:
		if l.scram == nil {
			return errors.New("invalid authentication request from server: AUTH_REQ_SASL_FIN without AUTH_REQ_SASL")
		}
		if err := l.scram.Verify(data); err != nil {
			return err
		}
		l.proof = true
		return nil
	case wire.AuthCleartext:
		return l.sendCleartext()
	case wire.AuthMD5:
		return l.answerMD5(data)
	}
	return fmt.Errorf("authentication method %d not supported", kind)
}

func (l *serverLogin) startSCRAM(data []byte) error {
	offered, err := wire.ParseMechanisms(data)
	if err != nil {
		return err
	}
	if l.scram != nil || l.answered {
		return errors.New("duplicate SASL authentication request")
	}
	if err := l.terms.allow(scramMethod, "requested SCRAM-SHA-256 authentication"); err != nil {
		return err
	}
	if l.login.Password == "" && !l.login.Keys.Known() {
		if l.login.MD5.Known() {
			return fmt.Errorf("server requested SCRAM-SHA-256 authentication, but users_file has only an MD5 secret for role %q: copy the role's secret from the server", l.login.User)
		}
		return fmt.Errorf("server requested a password, but none is known for role %q", l.login.User)
	}
	exchange := l.login.exchange()
	mechanism, err := exchange.Negotiate(offered, l.terms.binding)
	if err != nil {
		return err
	}
	l.scram, l.Bound = exchange, mechanism == auth.ScramSHA256Plus
	_, err = l.transport.Write(wire.AppendSASLInitialResponse(nil, mechanism, l.scram.First()))
	return err
}

// answerMD5 answers the salt of an AuthenticationMD5Password.
func (l *serverLogin) answerMD5(salt []byte) error {
	return l.sendPassword(MD5Method, "requested MD5 authentication", func() (string, error) {
		if len(salt) != auth.MD5SaltLen {
			return "", fmt.Errorf("server sent an MD5 salt of %d bytes", len(salt))
		}
		secret, ok := l.login.md5()
		if !ok {
			return "", fmt.Errorf("server requested MD5 authentication, but neither a password nor an MD5 secret is known for role %q", l.login.User)
		}
		return secret.Respond([auth.MD5SaltLen]byte(salt)), nil
	})
}

// sendCleartext answers an AuthenticationCleartextPassword.
func (l *serverLogin) sendCleartext() error {
	return l.sendPassword(PasswordMethod, "requested a cleartext password", func() (string, error) {
		if l.login.Password == "" {
			return "", fmt.Errorf("server requested a cleartext password, but none is known for role %q", l.login.User)
		}
		return l.login.Password, nil
	})
}

// sendPassword sends what a method answers, once and if that is allowed.
func (l *serverLogin) sendPassword(method, what string, answer func() (string, error)) error {
	if l.scram != nil || l.answered {
		return errors.New("server requested a password twice")
	}
	if err := l.terms.allow(method, what); err != nil {
		return err
	}
	text, err := answer()
	if err != nil {
		return err
	}
	l.answered = true
	_, err = l.transport.Write(wire.AppendPassword(nil, text))
	return err
}

// lastWord returns why a server closed the connection that could not be written
// to. In TLS 1.3 it learns of our certificate when our part of the handshake is
// over; if it has refused it and gone by the time we write, its alert has come
// all the same.
func lastWord(conn net.Conn, err error) error {
	_, alert := conn.Read(make([]byte, 1))
	var told *net.OpError
	if errors.As(alert, &told) && told.Op == "remote error" { // as crypto/tls calls an alert
		return alert
	}
	return err
}
