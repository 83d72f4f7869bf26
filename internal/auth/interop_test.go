package auth

import (
	"errors"
	"testing"

	"github.com/xdg-go/scram"
)

// The other side in these tests is an implementation that is not ours.

func TestOurServerLogsInAnotherClient(t *testing.T) {
	for _, name := range []string{"", "user", "us=er,name"} {
		for _, v := range []struct {
			password, tried string
			known           bool
			want            error
		}{
			{"pencil", "pencil", true, nil},
			{"pencil", "Pencil", true, ErrWrongPassword},
			{"pencil", "pencil", false, ErrWrongPassword},
			{"I\u00adX", "IX", true, nil},
			{"\u2168", "IX", true, nil},
			{"пароль", "пароль", true, nil},
		} {
			secret, err := NewSecret(v.password, 4096)
			if err != nil {
				t.Fatal(err)
			}
			client, err := scram.SHA256.NewClient(name, v.tried, "")
			if err != nil {
				t.Fatal(err)
			}
			err = loginOther(client.NewConversation(), NewServerExchange(secret, v.known))
			if err != v.want {
				t.Errorf("name %q, password %q, tried %q: got %v, want %v", name, v.password, v.tried, err, v.want)
			}
		}
	}
}

func TestOurServerTakesAClientThatCouldBindTheChannel(t *testing.T) {
	secret, err := NewSecret("pencil", 4096)
	if err != nil {
		t.Fatal(err)
	}
	client, err := scram.SHA256.NewClient("", "pencil", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := loginOther(client.NewConversationAdvertisingChannelBinding(), NewServerExchange(secret, true)); err != nil {
		t.Errorf("flag y: %v", err)
	}
	binding := scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: []byte("hash")}
	err = loginOther(client.NewConversationWithChannelBinding(binding), NewServerExchange(secret, true))
	var protocol *ProtocolError
	if !errors.As(err, &protocol) {
		t.Errorf("flag p without the PLUS mechanism: got %v, want a ProtocolError", err)
	}
}

// loginOther carries the messages between another client and our server. The
// client checks our signature in its last step.
func loginOther(c *scram.ClientConversation, s *ServerExchange) error {
	clientFirst, err := c.Step("")
	if err != nil {
		return err
	}
	serverFirst, err := s.First([]byte(clientFirst))
	if err != nil {
		return err
	}
	clientFinal, err := c.Step(string(serverFirst))
	if err != nil {
		return err
	}
	serverFinal, err := s.Final([]byte(clientFinal))
	if err != nil {
		return err
	}
	if _, err = c.Step(string(serverFinal)); err == nil && !c.Valid() {
		err = errors.New("the client does not believe the server")
	}
	return err
}

func TestOurClientLogsInToAnotherServer(t *testing.T) {
	secret, err := NewSecret("I\u00adX", 4096)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"IX": true, "\u2168": true, "ix": false, "": false} {
		valid, err := loginTo(t, secret, NewClientExchange(password))
		if valid != want || (err == nil) != want {
			t.Errorf("%q: the server says %t, our client %v", password, valid, err)
		}
	}
}

func TestOurClientLogsInToAnotherServerWithKeysAlone(t *testing.T) {
	secret, err := NewSecret("pencil", 4096)
	if err != nil {
		t.Fatal(err)
	}
	clientKey, serverKey, err := deriveKeys("pencil", secret.Salt, secret.Iterations)
	if err != nil {
		t.Fatal(err)
	}
	if valid, err := loginTo(t, secret, NewClientExchangeFromKeys(clientKey, serverKey)); !valid || err != nil {
		t.Errorf("the server says %t, our client %v", valid, err)
	}
}

func TestOurClientFindsOutAServerThatDoesNotKnowThePassword(t *testing.T) {
	secret, err := NewSecret("pencil", 4096)
	if err != nil {
		t.Fatal(err)
	}
	secret.ServerKey = NewMocker(nil).Secret("", DefaultIterations).ServerKey
	valid, err := loginTo(t, secret, NewClientExchange("pencil"))
	if !valid || !errors.Is(err, errServerSignature) {
		t.Errorf("the server says %t, our client %v", valid, err)
	}
}

// loginTo carries the messages between our client and another server, and
// returns what each of them thinks of the other.
func loginTo(t *testing.T, secret Secret, c *ClientExchange) (valid bool, err error) {
	t.Helper()
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(secret.Salt), Iters: secret.Iterations},
			StoredKey:  secret.StoredKey,
			ServerKey:  secret.ServerKey,
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s := server.NewConversation()
	serverFirst, err := s.Step(string(c.First()))
	if err != nil {
		t.Fatal(err)
	}
	clientFinal, err := c.Respond([]byte(serverFirst))
	if err != nil {
		t.Fatal(err)
	}
	serverFinal, _ := s.Step(string(clientFinal)) // its error is in the message too
	return s.Valid(), c.Verify([]byte(serverFinal))
}
