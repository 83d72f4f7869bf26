package auth

import (
	"bytes"
	"strings"
	"testing"
)

func TestAMockSecretIsStableForANameAndItsOwn(t *testing.T) {
	m := NewMocker(nil)
	alice, again, bob := m.Secret("alice", DefaultIterations), m.Secret("alice", DefaultIterations), m.Secret("bob", DefaultIterations)
	if alice.Encode() != again.Encode() {
		t.Error("the same name has two mock secrets")
	}
	if bytes.Equal(alice.Salt, bob.Salt) {
		t.Error("two names share a salt")
	}
}

func TestAMockSecretLooksLikeADefaultOne(t *testing.T) {
	mock := NewMocker(nil).Secret("alice", DefaultIterations)
	if mock.Iterations != DefaultIterations || len(mock.Salt) != 16 || !mock.valid() {
		t.Errorf("%d iterations and %d bytes of salt, valid: %t", mock.Iterations, len(mock.Salt), mock.valid())
	}
}

func TestTwoProcessesMockDifferentlyUnlessTheyShareAKey(t *testing.T) {
	if bytes.Equal(NewMocker(nil).Secret("alice", DefaultIterations).Salt, NewMocker(nil).Secret("alice", DefaultIterations).Salt) {
		t.Error("two random keys give the same salt")
	}
	key := bytes.Repeat([]byte{1}, 32)
	one := NewMocker(key)
	key[0] = 2
	if bytes.Equal(one.Secret("alice", DefaultIterations).Salt, NewMocker(key).Secret("alice", DefaultIterations).Salt) {
		t.Error("the key is not copied, or does not matter")
	}
	key[0] = 1
	if !bytes.Equal(one.Secret("alice", DefaultIterations).Salt, NewMocker(key).Secret("alice", DefaultIterations).Salt) {
		t.Error("the same key gives another salt")
	}
}

func TestAMockKeyIsTheContentOfAFile(t *testing.T) {
	parse := func(content string) (*Mocker, error) { return ParseMocker("mock", []byte(content)) }
	const key = "0123456789abcdef"
	m, err := parse(key + "\r\n")
	if err != nil || !m.Same(NewMocker([]byte(key))) {
		t.Fatalf("the key is not the file's content: %v", err)
	}
	if again, _ := parse(key); !again.Same(m) || again.Secret("alice", 1).Encode() != m.Secret("alice", 1).Encode() {
		t.Error("another process with the same file makes other secrets")
	}
	if other, _ := parse(key + "0"); other.Same(m) {
		t.Error("another key is the same")
	}
	for _, content := range []string{key[1:] + "\n", ""} {
		if _, err := parse(content); err == nil || !strings.HasPrefix(err.Error(), "mock: ") || strings.Contains(err.Error(), "abcdef") {
			t.Errorf("%q: %v", content, err)
		}
	}
	if (*Mocker)(nil).Same(m) || m.Same(nil) {
		t.Error("no key is the same as one")
	}
}
