package auth

import (
	"crypto/subtle"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// ErrWrongPassword is the one answer to a proof that does not fit: the password
// is wrong, or the user is unknown, or has none. Nothing else about the
// exchange differs between these.
var ErrWrongPassword = errors.New("password authentication failed")

// ErrBinding is the answer to a client that is bound to another connection than
// ours: there is a man in the middle.
var ErrBinding = errors.New("SCRAM channel binding check failed")

// ErrBindingDowngrade is the answer to a client that supports channel binding
// and was told by a man in the middle that we do not.
var ErrBindingDowngrade = errors.New("SCRAM channel binding negotiation error: the client supports channel binding but thinks the server does not")

// A ServerExchange is the server's part of one SCRAM-SHA-256 login, as
// PostgreSQL's server plays it (RFC 5802; protocol chapter, SASL
// Authentication): First, then Final, and an error in either ends it. It is
// used by one goroutine at a time.
type ServerExchange struct {
	// Given: known is false for a user who cannot log in.
	secret Secret
	known  bool

	// endpointHash is the tls-server-end-point data of the connection (RFC 5929,
	// section 4). It is nil while SCRAM-SHA-256-PLUS is not offered. plus is set
	// when the client chose that.
	endpointHash []byte
	plus         bool

	// What the messages so far have said.
	step            step
	nonce           string // our part
	gs2Header       string
	clientNonce     string
	clientFirstBare string
	serverFirst     string

	// clientKey is set by success.
	clientKey []byte
}

// NewServerExchange begins an exchange over the secret of the user that the
// startup packet named. With known false the secret is a mock one, made by a
// [Mocker]: the exchange takes the same steps and ends with [ErrWrongPassword]
// whatever the client proves.
func NewServerExchange(secret Secret, known bool) *ServerExchange {
	return &ServerExchange{secret: secret, known: known, nonce: newNonce()}
}

// Bind offers SCRAM-SHA-256-PLUS: the connection is TLS, by a certificate with
// this tls-server-end-point hash. A nil hash changes nothing. It may be called
// before First.
func (x *ServerExchange) Bind(endpointHash []byte) { x.endpointHash = endpointHash }

// Mechanisms returns what to offer, the best first, as PostgreSQL orders it.
func (x *ServerExchange) Mechanisms() []string {
	if x.endpointHash == nil {
		return []string{ScramSHA256}
	}
	return []string{ScramSHA256Plus, ScramSHA256}
}

// Choose notes which mechanism the client chose, and returns false for one that
// was not offered. Without it the client chose SCRAM-SHA-256.
func (x *ServerExchange) Choose(mechanism string) bool {
	x.plus = mechanism == ScramSHA256Plus
	return slices.Contains(x.Mechanisms(), mechanism)
}

// First takes the client-first-message and returns the server-first-message. An
// error is a [*ProtocolError] or [ErrBindingDowngrade], or tells of an incomplete secret, which is our
// own fault.
func (x *ServerExchange) First(clientFirst []byte) (serverFirst []byte, err error) {
	if !x.step.take(stepFirst) {
		return nil, errOutOfTurn
	}
	if !x.secret.valid() {
		return nil, errors.New("incomplete SCRAM secret")
	}
	msg, err := checkMessage(clientFirst)
	if err != nil {
		return nil, err
	}
	if x.gs2Header, x.clientFirstBare, err = x.cutGS2Header(msg); err != nil {
		return nil, err
	}
	if x.clientNonce, err = parseClientFirstBare(x.clientFirstBare); err != nil {
		return nil, err
	}
	x.serverFirst = "r=" + x.clientNonce + x.nonce +
		",s=" + encodeBase64(x.secret.Salt) +
		",i=" + strconv.Itoa(x.secret.Iterations)
	x.step = stepFinal
	return []byte(x.serverFirst), nil
}

// Final takes the client-final-message and returns the server-final-message,
// which is to be sent before AuthenticationOk. An error is [ErrWrongPassword],
// for which there is no message but the ErrorResponse, [ErrBinding], or a
// [*ProtocolError].
func (x *ServerExchange) Final(clientFinal []byte) (serverFinal []byte, err error) {
	if !x.step.take(stepFinal) {
		return nil, errOutOfTurn
	}
	msg, err := checkMessage(clientFinal)
	if err != nil {
		return nil, err
	}
	final, err := parseClientFinal(msg)
	if err != nil {
		return nil, err
	}
	bound := []byte(x.gs2Header)
	if x.plus {
		bound = append(bound, x.endpointHash...)
	}
	switch {
	case final.channelBinding == encodeBase64(bound):
	case x.plus:
		return nil, ErrBinding
	default:
		return nil, malformed("unexpected channel-binding attribute")
	}
	if final.nonce != x.clientNonce+x.nonce {
		return nil, malformed("nonce mismatch")
	}

	message := authMessage(x.clientFirstBare, x.serverFirst, final.withoutProof)
	clientKey := make([]byte, keyLen)
	subtle.XORBytes(clientKey, final.proof, mac(x.secret.StoredKey, message))
	// The proof is checked for an unknown user too: both take the same time.
	right := subtle.ConstantTimeCompare(hash(clientKey), x.secret.StoredKey) == 1
	if !right || !x.known {
		return nil, ErrWrongPassword
	}
	x.clientKey = clientKey
	return []byte("v=" + encodeBase64(mac(x.secret.ServerKey, message))), nil
}

// ClientKey returns the key that the client's proof revealed, 32 bytes, and nil
// before Final has succeeded. With it and the secret's ServerKey
// [NewClientExchangeFromKeys] can log in to a server that stores the same
// secret: it is worth as much as the password there, and it is the caller's.
func (x *ServerExchange) ClientKey() []byte { return slices.Clone(x.clientKey) }

// Keys returns the keys that the client's proof revealed, zero before Final has
// succeeded.
func (x *ServerExchange) Keys() (k Keys) {
	if x.clientKey != nil {
		copy(k.client[:], x.clientKey)
		copy(k.server[:], x.secret.ServerKey)
	}
	return k
}

// cutGS2Header splits a client-first-message behind its gs2-header. The flag
// says what the client thinks of channel binding: p that it does it, n that it
// does not, y that it would but believes that we do not.
func (x *ServerExchange) cutGS2Header(msg string) (header, bare string, err error) {
	flag := msg[:1]
	switch {
	case flag == "p" && !x.plus:
		return "", "", malformed("the client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data")
	case flag == "p":
		if !strings.HasPrefix(msg, strings.TrimSuffix(bindingHeader, ",,")+",") {
			return "", "", unsupported("unsupported SCRAM channel-binding type")
		}
		flag = strings.TrimSuffix(bindingHeader, ",,")
	case flag != "n" && flag != "y":
		return "", "", malformed("unexpected channel-binding flag")
	case x.plus:
		return "", "", malformed("the client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data")
	case flag == "y" && x.endpointHash != nil:
		return "", "", ErrBindingDowngrade
	}
	rest, ok := strings.CutPrefix(msg[len(flag):], ",")
	if !ok {
		return "", "", malformed("comma expected after the channel-binding flag")
	}
	if strings.HasPrefix(rest, "a") {
		return "", "", unsupported("client uses authorization identity, but it is not supported")
	}
	if bare, ok = strings.CutPrefix(rest, ","); !ok {
		return "", "", malformed("unexpected attribute in client-first-message")
	}
	return msg[:len(msg)-len(bare)], bare, nil
}

// parseClientFirstBare returns the client's nonce. The user name before it is
// not looked at: libpq leaves it empty, and the startup packet's holds.
func parseClientFirstBare(bare string) (nonce string, err error) {
	attrs := attributes{rest: bare}
	if _, err := attrs.expect('n'); err != nil {
		return "", err
	}
	if nonce, err = attrs.expect('r'); err != nil {
		return "", err
	}
	if !validNonce(nonce) {
		return "", malformed("invalid nonce")
	}
	return nonce, attrs.skip()
}

// clientFinal is a client-final-message taken apart.
type clientFinal struct {
	channelBinding string // still in base64, as it is compared
	nonce          string
	withoutProof   string // the message up to the comma before the proof
	proof          []byte
}

func parseClientFinal(msg string) (f clientFinal, err error) {
	attrs := attributes{rest: msg}
	if f.channelBinding, err = attrs.expect('c'); err != nil {
		return f, err
	}
	if f.nonce, err = attrs.expect('r'); err != nil {
		return f, err
	}
	for {
		name, value, err := attrs.next()
		if err != nil {
			return f, err
		}
		if name != 'p' {
			continue // an optional extension
		}
		if !attrs.end {
			return f, malformed("garbage at the end of client-final-message")
		}
		var ok bool
		if f.proof, ok = decodeBase64(value); !ok || len(f.proof) != keyLen {
			return f, malformed("malformed proof in client-final-message")
		}
		f.withoutProof = msg[:len(msg)-len(",p=")-len(value)]
		return f, nil
	}
}
