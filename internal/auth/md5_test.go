package auth

import (
	"crypto/fips140"
	"fmt"
	"strings"
	"testing"
)

// What PostgreSQL stores for the role alice with the password pencil, the MD5
// of "pencilalice", and what a client answers to the salt 1 2 3 4.
const (
	aliceMD5    = "md5ee69efad287c7423caf0b3229d71f567"
	aliceAnswer = "md537cba386e8b90f1e3941a0e792722253"
)

func TestAnMD5LoginIsThatOfTheProtocol(t *testing.T) {
	salt := [MD5SaltLen]byte{1, 2, 3, 4}
	m, ok := parseMD5Secret(aliceMD5)
	if !ok || !m.Equal(NewMD5Secret("pencil", "alice")) {
		t.Fatal("the secret is not that of the password")
	}
	if got := m.Respond(salt); got != aliceAnswer {
		t.Errorf("the answer is %q, want %q", got, aliceAnswer)
	}
	for answer, want := range map[string]bool{
		aliceAnswer: true, "": false, aliceAnswer[:34]: false, aliceAnswer + "0": false, aliceMD5: false,
		strings.ToUpper(aliceAnswer): false, "pencil": false, aliceAnswer[3:]: false,
	} {
		if m.Verify(answer, salt) != want {
			t.Errorf("%q: want %t", answer, want)
		}
	}
	if m.Verify(aliceAnswer, [MD5SaltLen]byte{1, 2, 3, 5}) {
		t.Error("an answer to another salt is taken")
	}
	if none := (MD5Secret{}); none.Verify(none.Respond(salt), salt) || none.Known() {
		t.Error("no secret is a secret")
	}
	for password, want := range map[string]bool{"pencil": true, "": false, "Pencil": false, aliceMD5: false} {
		if m.VerifyPassword(password, "alice") != want {
			t.Errorf("password %q: want %t", password, want)
		}
	}
}

func TestSaltsOfMD5Differ(t *testing.T) {
	seen := map[[MD5SaltLen]byte]bool{}
	for range 50 {
		seen[NewMD5Salt()] = true
	}
	if len(seen) < 45 {
		t.Errorf("%d of 50 salts differ", len(seen))
	}
}

func TestAnMD5SecretOfTheUsersFileIsTakenUnlessInFIPSMode(t *testing.T) {
	users, err := ParseUsers("users.txt", []byte(fmt.Sprintf("\"bob\" \"x\"\n\"alice\" %q\n", strings.ToUpper(aliceMD5[3:]))), NewMocker(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if md5, all := users.MD5Share(); md5 != 0 || all != 2 {
		t.Errorf("%d of %d users have md5 secrets", md5, all)
	}
	users, err = ParseUsers("users.txt", []byte(fmt.Sprintf("\"bob\" \"x\"\n\"alice\" %q\n", aliceMD5)), NewMocker(nil), nil)
	if fips140.Enabled() {
		if err == nil || !strings.HasPrefix(err.Error(), "users.txt:2: MD5 is not available in FIPS mode") || strings.Contains(err.Error(), aliceMD5[3:]) {
			t.Errorf("in FIPS mode: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	alice, ok := users.Lookup("alice")
	if !ok || !alice.MD5.Equal(NewMD5Secret("pencil", "alice")) || alice.Secret.valid() || alice.Password != "" {
		t.Error("the secret of alice is not taken for one of md5")
	}
	if bob, ok := users.Lookup("bob"); !ok || bob.MD5.Known() {
		t.Error("bob has an md5 secret")
	}
	if md5, all := users.MD5Share(); md5 != 1 || all != 2 {
		t.Errorf("%d of %d users have md5 secrets", md5, all)
	}
}

func TestUnknownUsersAreAskedByMD5AsOftenAsKnownOnes(t *testing.T) {
	m := NewMocker(nil)
	asked := 0
	for i := range 1000 {
		name := fmt.Sprintf("user%d", i)
		first := m.AsksMD5(name, 1, 4)
		if first {
			asked++
		}
		if m.AsksMD5(name, 1, 4) != first {
			t.Fatal("the same name is asked otherwise the second time")
		}
		if m.AsksMD5(name, 0, 4) || !m.AsksMD5(name, 4, 4) {
			t.Fatal("a name is asked as no known one is")
		}
	}
	if asked < 180 || asked > 320 {
		t.Errorf("%d of 1000 are asked by md5, want about 250", asked)
	}
}
