package auth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	// DefaultIterations is PostgreSQL's default for scram_iterations.
	DefaultIterations = 4096

	// MaxStoredIterations is the most a stored secret may name, PostgreSQL's
	// own limit for scram_iterations. It can be this high because the client
	// spends these iterations and pgseal does not.
	MaxStoredIterations = math.MaxInt32

	saltLen      = 16                // PostgreSQL's SCRAM_DEFAULT_SALT_LEN
	maxSaltLen   = 256               // other makers' salts are 8 to 32 bytes
	keyLen       = sha256.Size       // of every key, proof and signature
	maxSecretLen = 1024              // longer than any secret within the limits above
	secretScheme = ScramSHA256 + "$" // what tells a secret from a password
)

// A Secret is what PostgreSQL keeps of a password in pg_authid.rolpassword
// (RFC 5802, section 3): enough to check a login, and not enough to make one.
// It is still secret: with it a password can be guessed without asking anyone.
//
// It formats as a placeholder; Encode returns the text. Its slices are never
// changed once it is made, so copies may be used by any goroutine.
type Secret struct {
	// Iterations is the PBKDF2 iteration count, 1 or more.
	Iterations int

	Salt      []byte
	StoredKey []byte // H(ClientKey), 32 bytes
	ServerKey []byte // 32 bytes
}

// NewSecret makes a secret from a password with a new random salt. The password
// is prepared as PostgreSQL prepares it: with SASLprep if that is possible,
// else as it is. iterations is from 1 to [MaxServerIterations], so that pgseal
// can log in with what it made; 4096 cost about 0.6 ms of CPU.
func NewSecret(password string, iterations int) (Secret, error) {
	if password == "" {
		return Secret{}, errors.New("empty password")
	}
	if iterations < 1 || iterations > MaxServerIterations {
		return Secret{}, fmt.Errorf("iteration count %d is not between 1 and %d", iterations, MaxServerIterations)
	}
	salt := make([]byte, saltLen)
	rand.Read(salt) // never fails: it ends the process instead
	return deriveSecret(password, salt, iterations)
}

func deriveSecret(password string, salt []byte, iterations int) (Secret, error) {
	clientKey, serverKey, err := deriveKeys(password, salt, iterations)
	if err != nil {
		return Secret{}, err
	}
	return Secret{Iterations: iterations, Salt: salt, StoredKey: hash(clientKey), ServerKey: serverKey}, nil
}

// deriveKeys computes ClientKey and ServerKey of RFC 5802, section 3. It fails
// only where Go's FIPS 140-only mode forbids the parameters.
func deriveKeys(password string, salt []byte, iterations int) (clientKey, serverKey []byte, err error) {
	salted, err := pbkdf2.Key(sha256.New, preparePassword(password), salt, iterations, keyLen)
	if err != nil {
		return nil, nil, fmt.Errorf("derive the SCRAM keys: %w", err)
	}
	return mac(salted, "Client Key"), mac(salted, "Server Key"), nil
}

// ParseSecret reads a secret as PostgreSQL writes it in pg_authid.rolpassword:
//
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
//
// with the salt and the keys in base64. It accepts exactly what
// [Secret.Encode] can write. Its errors say what is wrong and show nothing of s.
func ParseSecret(s string) (Secret, error) {
	if len(s) > maxSecretLen {
		return Secret{}, secretError("too long")
	}
	s, ok := strings.CutPrefix(s, secretScheme)
	if !ok {
		return Secret{}, secretError("it does not start with " + secretScheme)
	}
	parameters, keys, ok1 := strings.Cut(s, "$")
	iterations, salt, ok2 := strings.Cut(parameters, ":")
	stored, server, ok3 := strings.Cut(keys, ":")
	if !ok1 || !ok2 || !ok3 {
		return Secret{}, secretError("a field is missing")
	}

	var secret Secret
	if secret.Iterations, ok = parseIterations(iterations); !ok {
		return Secret{}, secretError("invalid iteration count")
	}
	if secret.Salt, ok = decodeBase64(salt); !ok || !validSaltLen(secret.Salt) {
		return Secret{}, secretError("invalid salt")
	}
	if secret.StoredKey, ok = decodeBase64(stored); !ok || len(secret.StoredKey) != keyLen {
		return Secret{}, secretError("invalid StoredKey")
	}
	if secret.ServerKey, ok = decodeBase64(server); !ok || len(secret.ServerKey) != keyLen {
		return Secret{}, secretError("invalid ServerKey")
	}
	return secret, nil
}

func secretError(reason string) error {
	return errors.New("malformed " + ScramSHA256 + " secret: " + reason)
}

// Encode returns the secret as PostgreSQL stores it, ready for ALTER ROLE ...
// PASSWORD or the users file. The text is as secret as the secret.
func (s Secret) Encode() string {
	return secretScheme + strconv.Itoa(s.Iterations) + ":" + encodeBase64(s.Salt) +
		"$" + encodeBase64(s.StoredKey) + ":" + encodeBase64(s.ServerKey)
}

// clone returns a copy that shares no memory with s.
func (s Secret) clone() Secret {
	s.Salt, s.StoredKey, s.ServerKey = slices.Clone(s.Salt), slices.Clone(s.StoredKey), slices.Clone(s.ServerKey)
	return s
}

// valid reports whether an exchange can be held with the secret.
func (s Secret) valid() bool {
	return s.Iterations >= 1 && s.Iterations <= MaxStoredIterations && validSaltLen(s.Salt) &&
		len(s.StoredKey) == keyLen && len(s.ServerKey) == keyLen
}

func validSaltLen(salt []byte) bool { return len(salt) >= 1 && len(salt) <= maxSaltLen }

// parseIterations reads a posit-number of RFC 5802: digits, the first not zero.
func parseIterations(s string) (int, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	if s == "" || s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err == nil
}

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

var strictBase64 = base64.StdEncoding.Strict()

// decodeBase64 accepts what encodeBase64 writes and nothing else; Go's decoder
// alone would skip line ends.
func decodeBase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := strictBase64.DecodeString(s)
	return b, err == nil
}

// Verify reports whether the secret was made from password. It costs what the
// secret's iterations cost, and is false for more than [MaxServerIterations].
func (s Secret) Verify(password string) bool {
	if !s.valid() || s.Iterations > MaxServerIterations || password == "" {
		return false
	}
	clientKey, _, err := deriveKeys(password, s.Salt, s.Iterations)
	return err == nil && subtle.ConstantTimeCompare(hash(clientKey), s.StoredKey) == 1
}
