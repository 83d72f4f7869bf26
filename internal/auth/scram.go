package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// SASL mechanism names as PostgreSQL sends them (protocol chapter, SASL
// Authentication).
const (
	ScramSHA256     = "SCRAM-SHA-256"
	ScramSHA256Plus = "SCRAM-SHA-256-PLUS" // with channel binding
)

// bindingHeader is the gs2-header of a message that is bound to its channel.
// tls-server-end-point is the one type that PostgreSQL has (RFC 5929).
const bindingHeader = "p=tls-server-end-point,,"

const (
	maxMessageLen = 4096 // of one SASL message; real ones are 60 to 250 bytes
	maxNonceLen   = 512  // of both parts together; libpq's are 24 bytes each
	rawNonceLen   = 18   // PostgreSQL's SCRAM_RAW_NONCE_LEN, 24 in base64
)

// A ProtocolError says that the peer's SASL message is not one this exchange
// can go on with. Its text holds nothing that the peer sent and may be shown
// to anyone.
type ProtocolError struct {
	// Reason is what is wrong, in lower case.
	Reason string

	// Unsupported marks a message that is well formed and asks for an optional
	// part of RFC 5802 that PostgreSQL does not have either. PostgreSQL answers
	// with SQLSTATE 0A000 then, and with 08P01 otherwise.
	Unsupported bool
}

// Error returns the reason in PostgreSQL's manner.
func (e *ProtocolError) Error() string {
	if e.Unsupported {
		return e.Reason
	}
	return "malformed SCRAM message (" + e.Reason + ")"
}

func malformed(reason string) error   { return &ProtocolError{Reason: reason} }
func unsupported(reason string) error { return &ProtocolError{Reason: reason, Unsupported: true} }

var errOutOfTurn = malformed("unexpected message")

// step is how far an exchange has come. A message is taken only in its turn,
// and an exchange that met an error is over.
type step uint8

const (
	stepFirst step = iota // no message has been seen
	stepFinal             // the first was good
	stepOver              // done, or failed
)

// take reports whether it is the turn of the message of step want, and ends the
// exchange: its owner opens the next step only when the message was good, so
// that no way out through an error leaves it open.
func (s *step) take(want step) bool {
	ok := *s == want
	*s = stepOver
	return ok
}

// checkMessage applies the rules that hold for every message before it is read.
func checkMessage(b []byte) (string, error) {
	switch {
	case len(b) == 0:
		return "", malformed("it is empty")
	case len(b) > maxMessageLen:
		return "", malformed("it is too long")
	case bytes.IndexByte(b, 0) >= 0:
		return "", malformed("it contains a NUL byte")
	}
	return string(b), nil
}

// attributes reads a list "a=value,b=value" (attr-val of RFC 5802, section 7)
// from front to back.
type attributes struct {
	rest string
	end  bool
}

// next returns the next attribute. A mandatory extension is an error wherever
// it stands, because whoever sent it wants no login without it.
func (a *attributes) next() (name byte, value string, err error) {
	if a.end {
		return 0, "", malformed("an attribute is missing")
	}
	attr, rest, more := strings.Cut(a.rest, ",")
	a.rest, a.end = rest, !more
	if len(attr) < 2 || !isLetter(attr[0]) || attr[1] != '=' {
		return 0, "", malformed("attribute expected")
	}
	if attr[0] == 'm' {
		return 0, "", unsupported("mandatory SCRAM extensions are not supported")
	}
	return attr[0], attr[2:], nil
}

// expect returns the value of the next attribute, which must have this name.
func (a *attributes) expect(name byte) (string, error) {
	got, value, err := a.next()
	if err == nil && got != name {
		err = malformed("attribute \"" + string(rune(name)) + "\" expected")
	}
	return value, err
}

// skip reads the optional extensions up to the end. RFC 5802 has unknown ones
// ignored.
func (a *attributes) skip() error {
	for !a.end {
		if _, _, err := a.next(); err != nil {
			return err
		}
	}
	return nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// newNonce returns one side's part of the nonce.
func newNonce() string {
	raw := make([]byte, rawNonceLen)
	rand.Read(raw) // never fails: it ends the process instead
	return encodeBase64(raw)
}

// validNonce reports whether s is "printable" of RFC 5802, section 7.
func validNonce(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return s != "" && len(s) <= maxNonceLen
}

// authMessage is AuthMessage of RFC 5802, section 3.
func authMessage(clientFirstBare, serverFirst, clientFinalWithoutProof string) string {
	return clientFirstBare + "," + serverFirst + "," + clientFinalWithoutProof
}

// mac is HMAC(key, message) of RFC 5802 with SHA-256.
func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// hash is H(b) of RFC 5802 with SHA-256.
func hash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
