package auth

import (
	"bytes"
	"testing"
)

func TestAMockSecretIsStableForANameAndItsOwn(t *testing.T) {
	m := NewMocker(nil)
	alice, again, bob := m.Secret("alice"), m.Secret("alice"), m.Secret("bob")
	if alice.Encode() != again.Encode() {
		t.Error("the same name has two mock secrets")
	}
	if bytes.Equal(alice.Salt, bob.Salt) {
		t.Error("two names share a salt")
	}
}

func TestAMockSecretLooksLikeADefaultOne(t *testing.T) {
	mock := NewMocker(nil).Secret("alice")
	if mock.Iterations != DefaultIterations || len(mock.Salt) != 16 || !mock.valid() {
		t.Errorf("%d iterations and %d bytes of salt, valid: %t", mock.Iterations, len(mock.Salt), mock.valid())
	}
}

func TestTwoProcessesMockDifferentlyUnlessTheyShareAKey(t *testing.T) {
	if bytes.Equal(NewMocker(nil).Secret("alice").Salt, NewMocker(nil).Secret("alice").Salt) {
		t.Error("two random keys give the same salt")
	}
	key := bytes.Repeat([]byte{1}, 32)
	one := NewMocker(key)
	key[0] = 2
	if bytes.Equal(one.Secret("alice").Salt, NewMocker(key).Secret("alice").Salt) {
		t.Error("the key is not copied, or does not matter")
	}
	key[0] = 1
	if !bytes.Equal(one.Secret("alice").Salt, NewMocker(key).Secret("alice").Salt) {
		t.Error("the same key gives another salt")
	}
}
