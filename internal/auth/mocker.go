package auth

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
)

// A Mocker makes secrets for users who cannot log in, so that the exchange does
// not tell them from those who can (PostgreSQL calls it mock authentication).
// Any goroutine may use it.
type Mocker struct{ key []byte }

// NewMocker returns a Mocker whose secrets follow from key, of 32 bytes by
// custom. An empty key stands for a random one: a name then has the same salt
// for the life of the process, and another one in the next.
func NewMocker(key []byte) *Mocker {
	if len(key) == 0 {
		key = make([]byte, keyLen)
		rand.Read(key) // never fails: it ends the process instead
	}
	return &Mocker{key: slices.Clone(key)}
}

// Secret returns the mock secret of a user: the same salt for the same name,
// and PostgreSQL's default iteration count. Nobody's password fits it.
func (m *Mocker) Secret(user string) Secret {
	return Secret{
		Iterations: DefaultIterations,
		Salt:       mac(m.key, "salt:"+user)[:saltLen],
		StoredKey:  mac(m.key, "StoredKey:"+user),
		ServerKey:  mac(m.key, "ServerKey:"+user),
	}
}

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
