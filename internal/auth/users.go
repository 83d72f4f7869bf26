package auth

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxFileLen = 64 << 20  // of a users file, in bytes
	maxLineLen = 256 << 10 // of a line: a password of 64 KiB, all of it quotes, fits
)

// A Credential is what is known of a user who may log in. It formats as a
// placeholder.
type Credential struct {
	// Secret checks a login of the user.
	Secret Secret

	// Password is empty when only a secret is known.
	Password string

	// MD5 is the secret of a user who has no other, else zero: Secret can't
	// check a login then.
	MD5 MD5Secret

	// Keys are what a login by SCRAM revealed, zero before it.
	Keys Keys
}

// Keys log in to a server that stores the same SCRAM secret: the same salt and
// iteration count. They are worth as much as the password there, and are kept
// in memory only. They are compared by Equal, and format as a placeholder.
type Keys struct {
	_              notByOperator
	client, server [keyLen]byte
}

// notByOperator keeps a type from being compared by == and from being the key of
// a map, whose time tells how much of two secrets is alike.
type notByOperator [0]func()

// Known reports whether there are keys.
func (k Keys) Known() bool { return !k.Equal(Keys{}) }

// Equal reports in constant time whether both are the same keys.
func (k Keys) Equal(other Keys) bool {
	return subtle.ConstantTimeCompare(k.client[:], other.client[:])&subtle.ConstantTimeCompare(k.server[:], other.server[:]) == 1
}

// NewClientExchange begins an exchange with the keys.
func (k Keys) NewClientExchange() *ClientExchange {
	return NewClientExchangeFromKeys(k.client[:], k.server[:])
}

// Users holds the content of a users file. It never changes; any goroutine may
// look up in it. A nil *Users holds nobody.
type Users struct {
	list       []user // in the order of key
	iterations int    // of most secrets
	md5        int    // how many have an md5 secret
}

// user is one line of the file.
type user struct {
	key      userKey
	name     string
	line     int
	password string // empty when only the secret is known
	md5      MD5Secret
	secret   Secret
}

// HavePasswords reports whether any user's password itself is known.
func (u *Users) HavePasswords() bool {
	return u != nil && slices.ContainsFunc(u.list, func(one user) bool { return one.password != "" })
}

// ParseUsers reads a users file in the format of PgBouncer's auth_file: a line
// for each user with two strings in double quotes, the name and the secret,
//
//	"alice" "SCRAM-SHA-256$4096:..."
//
// where a double quote inside a string is written twice, and whatever follows
// the second string after a space is ignored. Empty lines are allowed, and
// lines that begin with ; or #. The secret is a SCRAM-SHA-256 secret, an md5
// secret, unless [CheckMD5] forbids it, or a plain password. An empty one
// leaves the user without a way to log in.
//
// The secret of each plain password is derived here, with the salt that m has
// for the name, because a login that had to wait for it would tell that there
// is such a user. It takes 0.6 ms of CPU each, spread over processors, and
// nothing for those whom old, the users from before or nil, has with the same
// password and salt.
//
// name is what the errors call the file; they begin with name:line and show
// nothing of the line. The file may be 64 MiB, a line of it 256 KiB long.
func ParseUsers(name string, content []byte, m *Mocker, old *Users) (*Users, error) {
	users, err := readUsers(name, content)
	if err != nil {
		return nil, err
	}
	users.derive(m, old)
	users.countIterations()
	return users, nil
}

// CheckUsers returns the error that [ParseUsers] would return, and derives
// nothing.
func CheckUsers(name string, content []byte) error {
	_, err := readUsers(name, content)
	return err
}

// PasswordIn returns the plain password that a user has in a users file, empty
// if it has none, and derives nothing. The error is that of [ParseUsers].
func PasswordIn(name string, content []byte, user string) (string, error) {
	users, err := readUsers(name, content)
	if err != nil {
		return "", err
	}
	for _, u := range users.list {
		if u.name == user {
			return u.password, nil
		}
	}
	return "", nil
}

func readUsers(name string, content []byte) (*Users, error) {
	if len(content) > maxFileLen {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxFileLen)
	}
	users := &Users{}
	lines := map[string]int{} // by name
	number := 0
	for line := range bytes.Lines(content) {
		number++
		u, err := parseUserLine(line)
		if err == nil && u != nil {
			if first, ok := lines[u.name]; ok {
				err = fmt.Errorf("this user is already on line %d", first)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if u == nil {
			continue
		}
		lines[u.name], u.line, u.key = number, number, keyOf(u.name)
		users.list = append(users.list, *u)
		if u.md5.Known() {
			users.md5++
		}
	}
	slices.SortFunc(users.list, func(a, b user) int { return bytes.Compare(a.key[:], b.key[:]) })
	return users, nil
}

// MD5Share returns how many of the users have an md5 secret, and how many there
// are in all.
func (u *Users) MD5Share() (md5, all int) {
	if u == nil {
		return 0, 0
	}
	return u.md5, len(u.list)
}

// parseUserLine returns the user of a line, nil if it has none.
func parseUserLine(line []byte) (*user, error) {
	if len(line) > maxLineLen {
		return nil, fmt.Errorf("line is longer than %d bytes", maxLineLen)
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == ';' || line[0] == '#' {
		return nil, nil
	}
	name, secret, err := splitUserLine(line)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errors.New("empty user name")
	}
	u := &user{name: name}
	md5, isMD5 := parseMD5Secret(secret)
	switch {
	case isMD5:
		u.md5, err = md5, CheckMD5()
	case strings.HasPrefix(secret, secretScheme):
		u.secret, err = ParseSecret(secret)
	default:
		u.password = secret
	}
	return u, err
}

// splitUserLine takes the two quoted strings from a line.
func splitUserLine(line []byte) (name, secret string, err error) {
	name, rest, err := cutQuoted(line)
	if err != nil {
		return "", "", fmt.Errorf("user name: %w", err)
	}
	secret, rest, err = cutQuoted(bytes.TrimLeft(rest, " \t"))
	if err != nil {
		return "", "", fmt.Errorf("secret: %w", err)
	}
	// PgBouncer ignores the rest of the line, and with it whatever stands after
	// a quote that should have been doubled.
	if len(rest) > 0 && rest[0] != ' ' && rest[0] != '\t' {
		return "", "", errors.New("secret: space expected after the closing quote (a quote inside is written twice)")
	}
	if strings.ContainsRune(name, 0) || strings.ContainsRune(secret, 0) {
		return "", "", errors.New("NUL byte in the line")
	}
	return name, secret, nil
}

// cutQuoted returns the string in double quotes that b begins with, and what
// follows it.
func cutQuoted(b []byte) (s string, rest []byte, err error) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, errors.New("double quote expected")
	}
	b = b[1:]
	var unquoted strings.Builder
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			return "", nil, errors.New("closing double quote expected")
		}
		unquoted.Write(b[:i])
		b = b[i+1:]
		if len(b) == 0 || b[0] != '"' {
			return unquoted.String(), b, nil
		}
		unquoted.WriteByte('"')
		b = b[1:]
	}
}
