package client

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"sync"
)

const (
	mechanism     = "SCRAM-SHA-256"
	maxIterations = 1_000_000
)

// saltedKey says from what a salted password was derived.
type saltedKey struct {
	password, salt string
	iterations     int
}

// salted keeps salted passwords. With thousands of logins, deriving them would
// be most of the load generator's work.
var salted sync.Map // saltedKey to []byte

func saltedPassword(k saltedKey) ([]byte, error) {
	if kept, ok := salted.Load(k); ok {
		return kept.([]byte), nil
	}
	derived, err := pbkdf2.Key(sha256.New, k.password, []byte(k.salt), k.iterations, sha256.Size)
	if err != nil {
		return nil, err
	}
	salted.Store(k, derived)
	return derived, nil
}

// exchange is one SCRAM exchange as the client (RFC 5802 section 3), without
// channel binding.
type exchange struct {
	password    string
	nonce       string
	serverProof []byte
}

const gs2Header = "n,,"

func newExchange(password string) *exchange {
	return &exchange{password: password, nonce: rand.Text()}
}

// first is the client-first-message. PostgreSQL ignores the name in it.
func (x *exchange) first() string { return gs2Header + x.firstBare() }

func (x *exchange) firstBare() string { return "n=,r=" + x.nonce }

// respond answers the server-first-message with the client-final-message.
func (x *exchange) respond(serverFirst string) (string, error) {
	var nonce, saltText, count string
	for field := range strings.SplitSeq(serverFirst, ",") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "r":
			nonce = value
		case "s":
			saltText = value
		case "i":
			count = value
		}
	}
	salt, err := base64.StdEncoding.DecodeString(saltText)
	iterations, err2 := strconv.Atoi(count)
	switch {
	case err != nil || err2 != nil || len(salt) == 0 || iterations < 1 || iterations > maxIterations:
		return "", errors.New("malformed SCRAM message from the server")
	case !strings.HasPrefix(nonce, x.nonce) || len(nonce) == len(x.nonce):
		return "", errors.New("invalid SCRAM response (nonce mismatch)")
	}
	key, err := saltedPassword(saltedKey{x.password, string(salt), iterations})
	if err != nil {
		return "", err
	}
	final := "c=" + base64.StdEncoding.EncodeToString([]byte(gs2Header)) + ",r=" + nonce
	message := x.firstBare() + "," + serverFirst + "," + final
	clientKey := mac(key, "Client Key")
	stored := sha256.Sum256(clientKey)
	proof := make([]byte, sha256.Size)
	subtle.XORBytes(proof, clientKey, mac(stored[:], message))
	x.serverProof = mac(mac(key, "Server Key"), message)
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// verify checks the server-final-message.
func (x *exchange) verify(serverFinal string) error {
	text, _, _ := strings.Cut(strings.TrimPrefix(serverFinal, "v="), ",")
	proof, err := base64.StdEncoding.DecodeString(text)
	if err != nil || x.serverProof == nil || !hmac.Equal(proof, x.serverProof) {
		return errors.New("incorrect server signature")
	}
	return nil
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
