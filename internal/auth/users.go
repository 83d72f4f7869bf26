package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
)

const (
	maxFileLen = 64 << 20  // of a file that holds secrets, in bytes
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
// in memory only. They can be compared, and format as a placeholder.
type Keys struct{ client, server [keyLen]byte }

// Known reports whether there are keys.
func (k Keys) Known() bool { return k != Keys{} }

// NewClientExchange begins an exchange with the keys.
func (k Keys) NewClientExchange() *ClientExchange {
	return NewClientExchangeFromKeys(k.client[:], k.server[:])
}

// Users holds the content of a users file. It never changes; any goroutine may
// look up in it. A nil *Users holds nobody.
type Users struct {
	byName map[string]*user
	md5    int // how many have an md5 secret
}

// user is one line of the file.
type user struct {
	line     int
	password string // empty when only the secret is known
	md5      MD5Secret

	once   sync.Once // derives secret from password, at the first login
	secret Secret
	err    error
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
// name is what the errors call the file; they begin with name:line and show
// nothing of the line. The file may be 64 MiB, a line of it 256 KiB long.
func ParseUsers(name string, content []byte) (*Users, error) {
	if len(content) > maxFileLen {
		return nil, fmt.Errorf("%s: %w", name, errTooLong)
	}
	users := &Users{byName: make(map[string]*user)}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if err := users.add(number, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	return users, nil
}

// Lookup returns the credential of a user. False stands for a user who is not
// in the file or has an empty password there.
//
// The SCRAM secret of a plain password is derived by the first lookup of its
// user, which takes 0.6 ms, and kept. A file of SCRAM secrets has no such
// difference for a stranger to measure.
func (u *Users) Lookup(name string) (Credential, bool) {
	if u == nil {
		return Credential{}, false
	}
	found, ok := u.byName[name]
	if !ok {
		return Credential{}, false
	}
	return found.credential()
}

func (u *user) credential() (Credential, bool) {
	if u.password != "" {
		u.once.Do(func() { u.secret, u.err = NewSecret(u.password, DefaultIterations) })
	}
	if u.md5.Known() {
		return Credential{MD5: u.md5}, true
	}
	if u.err != nil || !u.secret.valid() {
		return Credential{}, false
	}
	return Credential{Secret: u.secret, Password: u.password}, true
}

// MD5Share returns how many of the users have an md5 secret, and how many there
// are in all.
func (u *Users) MD5Share() (md5, all int) {
	if u == nil {
		return 0, 0
	}
	return u.md5, len(u.byName)
}

// add takes one line into the file's users.
func (u *Users) add(number int, line []byte) error {
	if len(line) > maxLineLen {
		return fmt.Errorf("line is longer than %d bytes", maxLineLen)
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == ';' || line[0] == '#' {
		return nil
	}
	name, secret, err := splitUserLine(line)
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("empty user name")
	}
	if first, ok := u.byName[name]; ok {
		return fmt.Errorf("this user is already on line %d", first.line)
	}
	entry := &user{line: number}
	md5, isMD5 := parseMD5Secret(secret)
	switch {
	case isMD5:
		if err := CheckMD5(); err != nil {
			return err
		}
		entry.md5 = md5
		u.md5++
	case strings.HasPrefix(secret, secretScheme):
		if entry.secret, err = ParseSecret(secret); err != nil {
			return err
		}
	default:
		entry.password = secret
	}
	u.byName[name] = entry
	return nil
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
		return "", "", errors.New("zero byte in the line")
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
