package auth

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// manyUsers is a file of users with plain passwords.
func manyUsers(n int) string {
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "\"user%d\" \"password%d\"\n", i, i)
	}
	return file.String()
}

func TestEverySecretIsDerivedBeforeTheFirstLookup(t *testing.T) {
	users := parseUsers(t, manyUsers(100))
	for i := range 100 {
		name := fmt.Sprintf("user%d", i)
		found, ok := users.Lookup(name)
		if !ok || found.Password != fmt.Sprintf("password%d", i) || !found.Secret.Verify(found.Password) {
			t.Errorf("%s is found: %t, and the password fits the secret: %t", name, ok, found.Secret.Verify(found.Password))
		}
	}
}

func TestOnlyWhatChangedIsDerivedWhenAFileIsReadAgain(t *testing.T) {
	m := NewMocker(nil)
	read := func(content string, m *Mocker, old *Users) *Users {
		users, err := ParseUsers("users", []byte(content), m, old)
		if err != nil {
			t.Fatal(err)
		}
		return users
	}
	kept := func(users, old *Users) (n int) {
		for _, u := range users.list {
			// A slice that is the same memory was not derived again.
			if before := old.nearest(u.key); before.key == u.key && &before.secret.StoredKey[0] == &u.secret.StoredKey[0] {
				n++
			}
		}
		return n
	}
	first := read(manyUsers(20), m, nil)
	second := read(strings.Replace(manyUsers(20), `"password7"`, `"another"`, 1)+`"more" "password7"`, m, first)
	if n := kept(second, first); n != 19 {
		t.Errorf("%d secrets were kept, want 19", n)
	}
	for name, password := range map[string]string{"user7": "another", "user8": "password8", "more": "password7"} {
		if found, _ := second.Lookup(name); !found.Secret.Verify(password) {
			t.Errorf("the secret of %s does not fit", name)
		}
	}
	if n := kept(read(manyUsers(20), NewMocker(nil), first), first); n != 0 {
		t.Errorf("%d secrets were kept under another key, whose salts differ", n)
	}
}

func TestAPlainPasswordHasTheSaltOfAStranger(t *testing.T) {
	m := NewMocker(nil)
	for _, content := range []string{"", `"alice" "one"`, "\"bob\" \"two\"\n\"alice\" \"two\""} {
		users, err := ParseUsers("users", []byte(content), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		found, known := users.Find("alice", m)
		if known != (content != "") {
			t.Errorf("%q: known is %t", content, known)
		}
		if !bytes.Equal(found.Secret.Salt, m.Secret("alice", 1).Salt) || found.Secret.Iterations != DefaultIterations {
			t.Errorf("%q: the salt or the iterations tell whether there is such a role", content)
		}
	}
}

func TestStrangersAreAskedForAsManyIterationsAsMost(t *testing.T) {
	line := func(name string, iterations int) string {
		secret, err := NewSecret("secret", iterations)
		if err != nil {
			t.Fatal(err)
		}
		return quoteUser(name, secret.Encode()) + "\n"
	}
	for want, content := range map[int]string{
		DefaultIterations: "",
		64:                line("a", 64) + line("b", 64) + line("c", 4096),
		32:                line("a", 64) + line("b", 32),
	} {
		found, known := parseUsers(t, content).Find("nobody", NewMocker(nil))
		if known || found.Secret.Iterations != want {
			t.Errorf("%d iterations, want %d", found.Secret.Iterations, want)
		}
	}
	if found, known := (*Users)(nil).Find("nobody", NewMocker(nil)); known || found.Secret.Iterations != DefaultIterations {
		t.Errorf("without a file: known %t, %d iterations", known, found.Secret.Iterations)
	}
}

func TestAStrangerFindsNobodysSecret(t *testing.T) {
	users := parseUsers(t, manyUsers(50))
	for i := range 200 { // some of them beyond either end of the list
		found, known := users.Find(fmt.Sprintf("stranger%d", i), NewMocker(nil))
		if known || found.Password != "" {
			t.Fatal("a stranger is taken for a neighbour")
		}
		for _, u := range users.list {
			if bytes.Equal(found.Secret.StoredKey, u.secret.StoredKey) {
				t.Fatal("a stranger is given a neighbour's secret")
			}
		}
	}
}

func TestALookupAllocatesTheSameForAUserAndAStranger(t *testing.T) {
	users, m := parseUsers(t, manyUsers(50)), NewMocker(nil)
	user := testing.AllocsPerRun(100, func() { users.Find("user7", m) })
	stranger := testing.AllocsPerRun(100, func() { users.Find("mario", m) })
	if user != stranger || user == 0 {
		t.Errorf("%v allocations for a user, %v for a stranger", user, stranger)
	}
}

func TestDerivingTenThousandPasswordsAgainCostsNextToNothing(t *testing.T) {
	secret, m := Secret{Iterations: 1, StoredKey: make([]byte, keyLen), ServerKey: make([]byte, keyLen)}, NewMocker(nil)
	content := manyUsers(10_000)
	old, err := readUsers("users", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	for i := range old.list {
		old.list[i].secret = secret
		old.list[i].secret.Salt = m.salt(old.list[i].name)
	}
	began := time.Now()
	if _, err := ParseUsers("users", []byte(content), m, old); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second { // 6 s of CPU otherwise
		t.Errorf("it took %v", took)
	}
}
