package auth

import "testing"

func TestTheKeysOfALoginMakeAnotherOne(t *testing.T) {
	secret, err := NewSecret("right", DefaultIterations)
	if err != nil {
		t.Fatal(err)
	}
	login := func(client *ClientExchange, secret Secret) (Keys, error) {
		server := NewServerExchange(secret, true)
		if server.Keys().Known() {
			t.Error("keys are known before the client proved anything")
		}
		first, err := server.First(client.First())
		if err != nil {
			t.Fatal(err)
		}
		final, err := client.Respond(first)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Final(final)
		if err != nil {
			return server.Keys(), err
		}
		return server.Keys(), client.Verify(answer)
	}
	keys, err := login(NewClientExchange("right"), secret)
	if err != nil || !keys.Known() {
		t.Fatalf("known: %t, %v", keys.Known(), err)
	}
	again, err := login(keys.NewClientExchange(), secret)
	if err != nil || !again.Equal(keys) {
		t.Errorf("with the keys: %v, the same ones: %t", err, again.Equal(keys))
	}
	other, err := NewSecret("right", DefaultIterations) // another salt
	if err != nil {
		t.Fatal(err)
	}
	if _, err := login(keys.NewClientExchange(), other); err == nil {
		t.Error("the keys fit a secret with another salt")
	}
	if none, err := login(NewClientExchange("wrong"), secret); err == nil || none.Known() {
		t.Error("a wrong password revealed keys")
	}
}

func TestSecretsThatDifferInOnePlaceAreNotEqual(t *testing.T) {
	keys := Keys{client: [keyLen]byte{1}, server: [keyLen]byte{2}}
	for i := range keyLen {
		client, server := keys, keys
		client.client[i]++
		server.server[i]++
		if keys.Equal(client) || keys.Equal(server) {
			t.Errorf("keys that differ in byte %d are equal", i)
		}
	}
	if same := keys; !keys.Equal(same) || (Keys{}).Known() || !(Keys{server: keys.server}).Known() {
		t.Error("keys are not themselves, or known where there are none")
	}
	md5 := NewMD5Secret("right", "alice")
	if !md5.Equal(NewMD5Secret("right", "alice")) || md5.Equal(NewMD5Secret("right", "bob")) || md5.Equal(MD5Secret{}) {
		t.Error("md5 secrets are not told apart")
	}
}
