package auth

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxServerIterations is the most PBKDF2 iterations that a server can make this
// process spend on one login. libpq has no limit, and a hostile server could
// ask it for minutes of work; a million take about 0.2 s. PostgreSQL's default
// is 4096, and what is advised for PBKDF2 with SHA-256 is below a million.
const MaxServerIterations = 1_000_000

// errServerSignature says that the server accepted our proof, or pretends to,
// and does not hold the user's secret.
var errServerSignature = errors.New("incorrect server signature: the server does not know this user's password")

// A ClientExchange is the client's part of one SCRAM-SHA-256 login to a
// PostgreSQL server, as libpq plays it (RFC 5802): First, Respond, Verify, and
// an error ends it. The user name in it is empty, since the startup packet has
// it. The login is good only if Verify was called and returned nil: a server
// that goes to AuthenticationOk without a server-final-message has proved
// nothing. It is used by one goroutine at a time.
type ClientExchange struct {
	// Given: the password, or else the keys.
	password             string
	clientKey, serverKey []byte
	fromKeys             bool

	// What the messages so far have said.
	step      step
	gs2Header string
	binding   []byte // the channel-binding data, with SCRAM-SHA-256-PLUS
	firstBare string
	nonce     string // our part
	signature []byte // ServerSignature, what the server must answer
}

// NewClientExchange begins an exchange with a password. The password is
// prepared as libpq prepares it.
func NewClientExchange(password string) *ClientExchange {
	x := newClientExchange()
	x.password = password
	return x
}

// NewClientExchangeFromKeys begins an exchange with the keys of a login that
// [ServerExchange] has seen: its ClientKey, and the ServerKey of the secret. It
// succeeds with a server that stores the same secret; the salt and the
// iteration count that the server names are then of no use. The keys must be 32
// bytes each, else Respond fails.
func NewClientExchangeFromKeys(clientKey, serverKey []byte) *ClientExchange {
	x := newClientExchange()
	x.fromKeys = true
	x.clientKey, x.serverKey = slices.Clone(clientKey), slices.Clone(serverKey)
	return x
}

func newClientExchange() *ClientExchange {
	nonce := newNonce()
	return &ClientExchange{gs2Header: "n,,", firstBare: "n=,r=" + nonce, nonce: nonce}
}

// ChannelBinding is what a client knows of the connection that its login goes
// over.
type ChannelBinding struct {
	// Policy is disable, prefer or require, as libpq's channel_binding. Empty
	// is disable.
	Policy string
	// TLS is set if the connection is TLS.
	TLS bool
	// EndpointHash is the tls-server-end-point hash of the certificate that the
	// server showed, nil if that is undefined.
	EndpointHash []byte
}

// Negotiate chooses a mechanism of those that the server offers, as libpq does.
// It may be called once, before First. A server that offers no binding although
// it could learns that we could too: if somebody between us took the offer
// away, the server sees it and ends the login (RFC 5802, section 6).
func (x *ClientExchange) Negotiate(offered []string, b ChannelBinding) (mechanism string, err error) {
	plus := slices.Contains(offered, ScramSHA256Plus)
	able := b.TLS && b.EndpointHash != nil && (b.Policy == "prefer" || b.Policy == "require")
	switch {
	case plus && !b.TLS:
		return "", &ProtocolError{Reason: "server offered SCRAM-SHA-256-PLUS authentication over a non-SSL connection"}
	case plus && able:
		x.gs2Header, x.binding = bindingHeader, slices.Clone(b.EndpointHash)
		return ScramSHA256Plus, nil
	case b.Policy == "require" && b.TLS && b.EndpointHash == nil:
		return "", errors.New("channel binding is required, but not defined for the signature algorithm of the server certificate")
	case b.Policy == "require":
		return "", errors.New("channel binding is required, but server did not offer an authentication method that supports channel binding")
	case !slices.Contains(offered, ScramSHA256):
		return "", errors.New("none of the server's SASL authentication mechanisms are supported")
	case able:
		x.gs2Header = "y,,"
	}
	return ScramSHA256, nil
}

// First returns the client-first-message, the same one each time.
func (x *ClientExchange) First() []byte { return []byte(x.gs2Header + x.firstBare) }

// Respond takes the server-first-message and returns the client-final-message.
// With a password it costs about 0.15 us of CPU for each iteration that the
// server asks for, up to [MaxServerIterations]. An error is a [*ProtocolError]
// if the server is to blame.
func (x *ClientExchange) Respond(serverFirst []byte) (clientFinal []byte, err error) {
	if !x.step.take(stepFirst) {
		return nil, errOutOfTurn
	}
	msg, err := checkMessage(serverFirst)
	if err != nil {
		return nil, err
	}
	challenge, err := parseServerFirst(msg)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(challenge.nonce, x.nonce) || len(challenge.nonce) == len(x.nonce) {
		return nil, malformed("nonce mismatch")
	}
	if err := x.keys(challenge); err != nil {
		return nil, err
	}

	withoutProof := "c=" + encodeBase64(append([]byte(x.gs2Header), x.binding...)) + ",r=" + challenge.nonce
	message := authMessage(x.firstBare, msg, withoutProof)
	x.signature = mac(x.serverKey, message)
	proof := make([]byte, keyLen)
	subtle.XORBytes(proof, x.clientKey, mac(hash(x.clientKey), message))
	x.step = stepFinal
	return []byte(withoutProof + ",p=" + encodeBase64(proof)), nil
}

// Verify takes the server-final-message and returns nil if it proves that the
// server holds the user's secret. The error that a server names in it is
// reported.
func (x *ClientExchange) Verify(serverFinal []byte) error {
	if !x.step.take(stepFinal) {
		return errOutOfTurn
	}
	msg, err := checkMessage(serverFinal)
	if err != nil {
		return err
	}
	attrs := attributes{rest: msg}
	name, value, err := attrs.next()
	if err != nil {
		return err
	}
	switch name {
	case 'e':
		return fmt.Errorf("error received from server in SCRAM exchange: %s", serverErrorValue(value))
	case 'v':
	default:
		return malformed("attribute \"v\" expected")
	}
	signature, ok := decodeBase64(value)
	if !ok || len(signature) != keyLen {
		return malformed("invalid server signature")
	}
	if err := attrs.skip(); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(signature, x.signature) != 1 {
		return errServerSignature
	}
	return nil
}

// keys puts the keys in place, by deriving them if they were not given.
func (x *ClientExchange) keys(c serverFirst) (err error) {
	if x.fromKeys {
		if len(x.clientKey) != keyLen || len(x.serverKey) != keyLen {
			return errors.New("incomplete SCRAM keys")
		}
		return nil
	}
	if c.iterations > MaxServerIterations {
		return &ProtocolError{Reason: fmt.Sprintf(
			"server requested %d iterations, more than the maximum of %d", c.iterations, MaxServerIterations)}
	}
	x.clientKey, x.serverKey, err = deriveKeys(x.password, c.salt, c.iterations)
	return err
}

// serverFirst is a server-first-message taken apart.
type serverFirst struct {
	nonce      string
	salt       []byte
	iterations int
}

func parseServerFirst(msg string) (f serverFirst, err error) {
	attrs := attributes{rest: msg}
	if f.nonce, err = attrs.expect('r'); err != nil {
		return f, err
	}
	if !validNonce(f.nonce) {
		return f, malformed("invalid nonce")
	}
	salt, err := attrs.expect('s')
	if err != nil {
		return f, err
	}
	var ok bool
	if f.salt, ok = decodeBase64(salt); !ok || !validSaltLen(f.salt) {
		return f, malformed("invalid salt")
	}
	iterations, err := attrs.expect('i')
	if err != nil {
		return f, err
	}
	if f.iterations, ok = parseIterations(iterations); !ok {
		return f, malformed("invalid iteration count")
	}
	return f, attrs.skip()
}

// serverErrorValue returns a server-error-value of RFC 5802, section 7, if it
// looks like one. Other text could put anything at all into a log.
func serverErrorValue(s string) string {
	if s == "" || len(s) > 64 {
		return "unknown error"
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && c != '-' {
			return "unknown error"
		}
	}
	return s
}
