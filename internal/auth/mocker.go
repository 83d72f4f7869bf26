package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"slices"
)

// A Mocker makes secrets for users who cannot log in, so that the exchange does
// not tell them from those who can (PostgreSQL calls it mock authentication).
// Any goroutine may use it.
type Mocker struct{ key []byte }

// NewMocker returns a Mocker whose secrets follow from key, of 32 bytes by
// custom. An empty key means a random one: a name then has the same salt
// for the life of the process, and another one in the next.
func NewMocker(key []byte) *Mocker {
	if len(key) == 0 {
		key = make([]byte, keyLen)
		rand.Read(key) // never fails: it ends the process instead
	}
	return &Mocker{key: slices.Clone(key)}
}

// minMockKey is the least that a key in a file may have, in bytes.
const minMockKey = 16

// ParseMocker returns a Mocker whose key is the content of a file, without line
// ends behind it: 16 bytes or more. The error begins with name, the file's, and
// shows nothing of the content.
func ParseMocker(name string, content []byte) (*Mocker, error) {
	key := bytes.TrimRight(content, "\r\n")
	if len(key) < minMockKey {
		return nil, fmt.Errorf("%s: shorter than %d bytes", name, minMockKey)
	}
	return NewMocker(key), nil
}

// Same reports whether two Mockers have the same key.
func (m *Mocker) Same(other *Mocker) bool {
	return m == other || m != nil && other != nil && subtle.ConstantTimeCompare(m.key, other.key) == 1
}

// Secret returns the mock secret of a user: the same salt for the same name.
// Nobody's password fits it.
func (m *Mocker) Secret(user string, iterations int) Secret {
	return Secret{
		Iterations: iterations,
		Salt:       m.salt(user),
		StoredKey:  mac(m.key, "StoredKey:"+user),
		ServerKey:  mac(m.key, "ServerKey:"+user),
	}
}

// salt is that of a user's mock secret, and of a secret that is derived from
// the user's password: whoever asks for it can't tell which.
func (m *Mocker) salt(user string) []byte { return mac(m.key, "salt:"+user)[:saltLen] }

// AsksMD5 reports whether a user who is not known is asked by md5 where those
// who have an md5 secret are: for the same name always the same, and in the
// measure in which users have one, md5 of all. Else the method by which a name
// is asked would tell that it is known.
func (m *Mocker) AsksMD5(user string, md5, all int) bool {
	if md5 <= 0 {
		return false
	}
	return binary.BigEndian.Uint64(mac(m.key, "method:"+user))%uint64(max(all, md5)) < uint64(md5)
}
