package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// userKey is what users are found by: the SHA-256 of the name. Two keys can be
// compared in constant time, whatever the names.
type userKey [sha256.Size]byte

func keyOf(name string) userKey { return sha256.Sum256([]byte(name)) }

// nobody is looked at where a file has no users.
var nobody user

// nearest returns the user with this key, or else some neighbour: there is
// always somebody to look at.
func (u *Users) nearest(key userKey) *user {
	if u == nil || len(u.list) == 0 {
		return &nobody
	}
	i, _ := slices.BinarySearchFunc(u.list, key, func(a user, key userKey) int { return bytes.Compare(a.key[:], key[:]) })
	return &u.list[min(i, len(u.list)-1)]
}

// Lookup returns the credential of a user. False means a user who is not
// in the file or has an empty password there.
func (u *Users) Lookup(name string) (Credential, bool) {
	key := keyOf(name)
	found := u.nearest(key)
	if subtle.ConstantTimeCompare(key[:], found.key[:]) != 1 || !found.usable() {
		return Credential{}, false
	}
	return Credential{Secret: found.secret, Password: found.password, MD5: found.md5}, true
}

// Holds reports whether the file has a line for a user, be it one that leaves
// the user without a way to log in.
func (u *Users) Holds(name string) bool {
	key := keyOf(name)
	return subtle.ConstantTimeCompare(key[:], u.nearest(key).key[:]) == 1
}

// usable reports whether there is anything that the user could prove.
func (u *user) usable() bool { return u.secret.valid() || u.md5.Known() }

// Find is Lookup for a login by password: false comes with the mock secret of
// m, and so does an md5 secret, which nobody can prove by SCRAM. Both take the same steps over the same kinds of memory, so that their time
// does not tell a user from a stranger: the mock secret is made in any case,
// and a stranger's neighbour is read like a user.
func (u *Users) Find(name string, m *Mocker) (Credential, bool) {
	key := keyOf(name)
	mock := Credential{Secret: m.Secret(name, u.Iterations())}
	found := u.nearest(key)
	own := Credential{Secret: found.secret.clone(), Password: found.password, MD5: found.md5}
	if found.md5.Known() {
		own.Secret = mock.Secret
	}
	usable := found.usable()
	if same := subtle.ConstantTimeCompare(key[:], found.key[:]) == 1; same && usable {
		return own, true
	}
	return mock, false
}

// derive makes the secrets of plain passwords. Where Go's FIPS 140-only mode
// forbids that, the user is left without a way to log in. While queries are
// served, which they are when there are users from before, half of the
// processors are left to them.
func (u *Users) derive(m *Mocker, old *Users) {
	workers := runtime.GOMAXPROCS(0)
	if old != nil {
		workers = max(1, workers/2)
	}
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(u.list)); i = next.Add(1) - 1 {
				u.list[i].derive(m, old)
			}
		})
	}
	done.Wait()
}

func (u *user) derive(m *Mocker, old *Users) {
	if u.password == "" {
		return
	}
	salt := m.salt(u.name)
	before := old.nearest(u.key)
	if before.key == u.key && before.secret.valid() &&
		subtle.ConstantTimeCompare([]byte(before.password), []byte(u.password)) == 1 && bytes.Equal(before.secret.Salt, salt) {
		u.secret = before.secret
		return
	}
	if secret, err := deriveSecret(u.password, salt, DefaultIterations); err == nil {
		u.secret = secret
	}
}

// Iterations returns the count that most secrets have, and [DefaultIterations]
// if there are none. Strangers are asked for as many.
func (u *Users) Iterations() int {
	if u == nil {
		return DefaultIterations
	}
	return u.iterations
}

func (u *Users) countIterations() {
	u.iterations = DefaultIterations
	have := map[int]int{}
	for i := range u.list {
		if secret := &u.list[i].secret; secret.valid() {
			n := secret.Iterations
			have[n]++
			if most := have[u.iterations]; have[n] > most || have[n] == most && n < u.iterations {
				u.iterations = n
			}
		}
	}
}
