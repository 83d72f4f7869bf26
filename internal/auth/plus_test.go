package auth

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

var endpoint, elsewhere = bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)

func newSecret(t testing.TB) Secret {
	t.Helper()
	secret, err := NewSecret("pencil", 4096)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// exchange carries the messages between our two roles. strip takes PLUS out of
// the server's offer on the way.
func exchange(s *ServerExchange, c *ClientExchange, b ChannelBinding, strip bool) (mechanism string, err error) {
	offer := s.Mechanisms()
	if strip {
		offer = []string{ScramSHA256}
	}
	if mechanism, err = c.Negotiate(offer, b); err != nil {
		return "", err
	}
	if !s.Choose(mechanism) {
		return "", errors.New("the client chose what was not offered")
	}
	first, err := s.First(c.First())
	if err != nil {
		return mechanism, err
	}
	final, err := c.Respond(first)
	if err != nil {
		return mechanism, err
	}
	last, err := s.Final(final)
	if err != nil {
		return mechanism, err
	}
	return mechanism, c.Verify(last)
}

func TestALoginIsBoundWhereBothSidesCan(t *testing.T) {
	for name, test := range map[string]struct {
		server    []byte
		client    ChannelBinding
		strip     bool
		mechanism string
		want      string // empty: it succeeds
	}{
		"both can":                        {endpoint, ChannelBinding{"prefer", true, endpoint}, false, ScramSHA256Plus, ""},
		"both can, it is required":        {endpoint, ChannelBinding{"require", true, endpoint}, false, ScramSHA256Plus, ""},
		"the client does not want to":     {endpoint, ChannelBinding{"disable", true, endpoint}, false, ScramSHA256, ""},
		"the client's policy is not set":  {endpoint, ChannelBinding{"", true, endpoint}, false, ScramSHA256, ""},
		"the server can't":                {nil, ChannelBinding{"prefer", true, endpoint}, false, ScramSHA256, ""},
		"the server can't and must":       {nil, ChannelBinding{"require", true, endpoint}, false, "", "server did not offer"},
		"no hash at the client":           {endpoint, ChannelBinding{"prefer", true, nil}, false, ScramSHA256, ""},
		"no hash at the client, required": {endpoint, ChannelBinding{"require", true, nil}, false, "", "signature algorithm of the server certificate"},
		"no TLS at all":                   {nil, ChannelBinding{"prefer", false, nil}, false, ScramSHA256, ""},
		"no TLS at all, required":         {nil, ChannelBinding{"require", false, nil}, false, "", "server did not offer"},
		"TLS ends before the client":      {endpoint, ChannelBinding{"prefer", false, nil}, false, "", "non-SSL connection"},
		"somebody in between":             {endpoint, ChannelBinding{"prefer", true, elsewhere}, false, ScramSHA256Plus, "check failed"},
		"somebody strips the offer":       {endpoint, ChannelBinding{"prefer", true, elsewhere}, true, ScramSHA256, "negotiation error"},
		"and the client requires it":      {endpoint, ChannelBinding{"require", true, elsewhere}, true, "", "server did not offer"},
	} {
		server := NewServerExchange(newSecret(t), true)
		server.Bind(test.server)
		mechanism, err := exchange(server, NewClientExchange("pencil"), test.client, test.strip)
		if mechanism != test.mechanism {
			t.Errorf("%s: mechanism %q, want %q", name, mechanism, test.mechanism)
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

func TestABoundLoginWithAWrongPasswordFailsAsAnUnboundOneDoes(t *testing.T) {
	for _, known := range []bool{true, false} {
		server := NewServerExchange(newSecret(t), known)
		server.Bind(endpoint)
		password := map[bool]string{true: "Pencil", false: "pencil"}[known]
		if _, err := exchange(server, NewClientExchange(password), ChannelBinding{"require", true, endpoint}, false); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("known %t: %v", known, err)
		}
	}
}

func TestTheFirstMessageHasToFitTheMechanism(t *testing.T) {
	for first, want := range map[string]struct{ plus, plain string }{ // the error of either, empty for none
		"p=tls-server-end-point,,n=,r=abc":      {"", "without channel binding"},
		"p=tls-unique,,n=,r=abc":                {"unsupported SCRAM channel-binding type", "without channel binding"},
		"p=tls-server-end-point2,,n=,r=abc":     {"unsupported SCRAM channel-binding type", "without channel binding"},
		"p=tls-server-end-point,a=bob,n=,r=abc": {"authorization identity", "without channel binding"},
		"p=tls-server-end-point,n=,r=abc":       {"unexpected attribute", "without channel binding"},
		"p":                                     {"unsupported SCRAM channel-binding type", "without channel binding"},
		"n,,n=,r=abc":                           {"does not include channel binding data", ""},
		"y,,n=,r=abc":                           {"does not include channel binding data", "negotiation error"},
	} {
		for mechanism, says := range map[string]string{ScramSHA256Plus: want.plus, ScramSHA256: want.plain} {
			s := NewServerExchange(newSecret(t), true)
			s.Bind(endpoint)
			s.Choose(mechanism)
			_, err := s.First([]byte(first))
			if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%s with %q: %v, want %q", mechanism, first, err, says)
			}
		}
	}
}

func TestPlusCannotBeChosenWhereItIsNotOffered(t *testing.T) {
	s := NewServerExchange(newSecret(t), true)
	if s.Choose(ScramSHA256Plus) || s.Choose("PLAIN") || s.Choose("") {
		t.Error("a mechanism was taken that was not offered")
	}
	if !s.Choose(ScramSHA256) {
		t.Error("SCRAM-SHA-256 was not taken")
	}
}

func TestAnotherImplementationIsBoundToOurServer(t *testing.T) {
	for hash, want := range map[string]error{string(endpoint): nil, string(elsewhere): ErrBinding} {
		client, err := scram.SHA256.NewClient("", "pencil", "")
		if err != nil {
			t.Fatal(err)
		}
		server := NewServerExchange(newSecret(t), true)
		server.Bind(endpoint)
		server.Choose(ScramSHA256Plus)
		binding := scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: []byte(hash)}
		if err := loginOther(client.NewConversationWithChannelBinding(binding), server); err != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func FuzzBoundExchange(f *testing.F) {
	f.Add([]byte("p=tls-server-end-point,,n=,r=abc"), []byte("c=biws,r=abc,p="))
	f.Add([]byte("y,,n=,r=abc"), []byte(""))
	secret := newSecret(f)
	f.Fuzz(func(t *testing.T, first, final []byte) {
		s := NewServerExchange(secret, true)
		s.Bind(endpoint)
		s.Choose(ScramSHA256Plus)
		if _, err := s.First(first); err == nil && !bytes.HasPrefix(first, []byte(bindingHeader)) {
			t.Errorf("%q was taken for a bound message", first)
		}
		if _, err := s.Final(final); err == nil {
			t.Errorf("%q let somebody in", final)
		}
	})
}
