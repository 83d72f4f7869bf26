package auth

import (
	"crypto/fips140"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

// MD5SaltLen is the length of the salt in an AuthenticationMD5Password message.
const MD5SaltLen = 4

// errMD5FIPS is why md5 can't be had.
var errMD5FIPS = errors.New("MD5 is not available in FIPS mode: use scram-sha-256")

// CheckMD5 returns an error where this program may not use md5: a build for
// FIPS 140-3, or one that was started in that mode, has no approved use of it.
func CheckMD5() error {
	if fips140.Enabled() {
		return errMD5FIPS
	}
	return nil
}

// MD5Secret is what PostgreSQL keeps of a password where password_encryption is
// md5: "md5" and the MD5 of password and role in hexadecimal digits (protocol
// chapter, AuthenticationMD5Password). Who has it can log in with it. It is
// compared by Equal, and formats as a placeholder.
type MD5Secret struct {
	_      notByOperator
	digits string
}

// NewMD5Secret makes the secret of a role from its password.
func NewMD5Secret(password, role string) MD5Secret {
	return MD5Secret{digits: md5Digits(password + role)}
}

// parseMD5Secret takes a text for a secret if it looks like one.
func parseMD5Secret(s string) (m MD5Secret, ok bool) {
	digits, ok := strings.CutPrefix(s, "md5")
	if !ok || len(digits) != 2*md5.Size || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return m, false
	}
	return MD5Secret{digits: strings.ToLower(digits)}, true
}

// Known reports whether there is a secret.
func (m MD5Secret) Known() bool { return m.digits != "" }

// Equal reports in constant time whether both are the same secret.
func (m MD5Secret) Equal(other MD5Secret) bool {
	return subtle.ConstantTimeCompare([]byte(m.digits), []byte(other.digits)) == 1
}

// Respond returns the answer to a challenge with this salt, as it stands in a
// PasswordMessage.
func (m MD5Secret) Respond(salt [MD5SaltLen]byte) string {
	return "md5" + md5Digits(m.digits+string(salt[:]))
}

// Verify reports whether response answers a challenge with this salt.
func (m MD5Secret) Verify(response string, salt [MD5SaltLen]byte) bool {
	right := subtle.ConstantTimeCompare([]byte(response), []byte(m.Respond(salt))) == 1
	return right && m.Known()
}

// VerifyPassword reports whether the secret was made from the role's password.
func (m MD5Secret) VerifyPassword(password, role string) bool {
	right := subtle.ConstantTimeCompare([]byte(NewMD5Secret(password, role).digits), []byte(m.digits)) == 1
	return right && password != ""
}

// NewMD5Salt returns the random salt of a challenge.
func NewMD5Salt() (salt [MD5SaltLen]byte) {
	rand.Read(salt[:]) // never fails: it ends the process instead
	return salt
}

func md5Digits(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
