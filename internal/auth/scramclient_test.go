package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// rfcClient returns an exchange that stands where RFC 7677's example does.
func rfcClient() *ClientExchange {
	x := NewClientExchange(rfcPassword)
	x.nonce = rfcClientNonce
	x.firstBare = "n=user,r=" + rfcClientNonce
	return x
}

func TestTheClientPlaysTheExampleOfRFC7677(t *testing.T) {
	x := rfcClient()
	if first := string(x.First()); first != rfcClientFirst {
		t.Fatalf("client-first %s, want %s", first, rfcClientFirst)
	}
	final, err := x.Respond([]byte(rfcServerFirst))
	if err != nil || string(final) != rfcClientFinal {
		t.Fatalf("client-final %s, %v, want %s", final, err, rfcClientFinal)
	}
	if err := x.Verify([]byte(rfcServerFinal)); err != nil {
		t.Errorf("the server's signature: %v", err)
	}
}

func TestTheClientSendsAnEmptyNameAndAFreshNonceAsLibpqDoes(t *testing.T) {
	x := NewClientExchange("pencil")
	first := string(x.First())
	nonce, ok := strings.CutPrefix(first, "n,,n=,r=")
	if !ok || len(nonce) != 24 || !validNonce(nonce) {
		t.Errorf("client-first is %q", first)
	}
	if again := string(x.First()); again != first {
		t.Errorf("client-first changed from %q to %q", first, again)
	}
	if other := string(NewClientExchange("pencil").First()); other == first {
		t.Error("two exchanges share a nonce")
	}
}

func TestTheClientLogsInWhateverTheLengthOfTheSalt(t *testing.T) {
	for _, n := range []int{1, 8, 16, 20, 32, maxSaltLen} {
		secret, err := deriveSecret("pencil", bytes.Repeat([]byte{9}, n), 10)
		if err != nil {
			t.Fatal(err)
		}
		if err := login(NewClientExchange("pencil"), NewServerExchange(secret, true)); err != nil {
			t.Errorf("salt of %d bytes: %v", n, err)
		}
	}
}

func TestALoginWorksWithPasswordsOfEveryLength(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 999, 1000, 1024, 2048, 65535, 65536} {
		password := strings.Repeat("x", n)
		secret, err := NewSecret(password, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := login(NewClientExchange(password), NewServerExchange(secret, true)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		if err := login(NewClientExchange(password+"x"), NewServerExchange(secret, true)); err != ErrWrongPassword {
			t.Errorf("%d bytes and one: %v", n, err)
		}
	}
}

// login carries the messages between the two exchanges of this package.
func login(c *ClientExchange, s *ServerExchange) error {
	serverFirst, err := s.First(c.First())
	if err != nil {
		return err
	}
	clientFinal, err := c.Respond(serverFirst)
	if err != nil {
		return err
	}
	serverFinal, err := s.Final(clientFinal)
	if err != nil {
		return err
	}
	return c.Verify(serverFinal)
}

func TestKeysSeenInOneLoginServeForTheNextOne(t *testing.T) {
	secret, err := NewSecret("pencil", 10)
	if err != nil {
		t.Fatal(err)
	}
	seen := NewServerExchange(secret, true)
	if err := login(NewClientExchange("pencil"), seen); err != nil {
		t.Fatal(err)
	}
	upstream := func() *ServerExchange { return NewServerExchange(secret, true) }
	if err := login(NewClientExchangeFromKeys(seen.ClientKey(), secret.ServerKey), upstream()); err != nil {
		t.Errorf("with the right keys: %v", err)
	}
	other, err := NewSecret("pencil", 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := login(NewClientExchangeFromKeys(seen.ClientKey(), secret.ServerKey), NewServerExchange(other, true)); err != ErrWrongPassword {
		t.Errorf("a server with another secret of the same password: %v", err)
	}
	if err := login(NewClientExchangeFromKeys(seen.ClientKey(), other.ServerKey), upstream()); !errors.Is(err, errServerSignature) {
		t.Errorf("with the ServerKey of another secret: %v", err)
	}
}

func TestKeysAreTakenWhateverIterationsTheServerNames(t *testing.T) {
	x := NewClientExchangeFromKeys(make([]byte, 32), make([]byte, 32))
	if _, err := x.Respond([]byte("r=" + x.nonce + "abc,s=AA==,i=2147483647")); err != nil {
		t.Errorf("an iteration count that costs nothing is refused: %v", err)
	}
}

func TestKeysOfTheWrongLengthAreRefused(t *testing.T) {
	for _, n := range [][2]int{{0, 0}, {0, 32}, {32, 0}, {31, 32}, {32, 33}} {
		x := NewClientExchangeFromKeys(make([]byte, n[0]), make([]byte, n[1]))
		var protocol *ProtocolError
		if _, err := x.Respond([]byte("r=" + x.nonce + "abc,s=AA==,i=1")); err == nil || errors.As(err, &protocol) {
			t.Errorf("keys of %v bytes: got %v, want an error that does not blame the server", n, err)
		}
	}
}

func TestMalformedServerFirstMessagesAreRefused(t *testing.T) {
	const r, s, i = "r=" + rfcClientNonce + "xyz", "s=W22ZaJ0SNY7soEsUEjb6gQ==", "i=4096"
	for name, msg := range map[string]string{
		"empty":                       "",
		"an error":                    "e=other-error",
		"no nonce":                    s + "," + i,
		"no salt":                     r + "," + i,
		"no iterations":               r + "," + s,
		"another order":               s + "," + r + "," + i,
		"empty nonce":                 "r=," + s + "," + i,
		"another nonce":               "r=MARKaaaaaaaaaaaaaaaaaaaa," + s + "," + i,
		"our nonce, nothing added":    "r=" + rfcClientNonce + "," + s + "," + i,
		"our nonce cut short":         "r=" + rfcClientNonce[:19] + "," + s + "," + i,
		"our nonce at the end":        "r=xyz" + rfcClientNonce + "," + s + "," + i,
		"nonce with a space":          r + " MARK," + s + "," + i,
		"nonce beyond the limit":      "r=" + rfcClientNonce + strings.Repeat("x", maxNonceLen) + "," + s + "," + i,
		"empty salt":                  r + ",s=," + i,
		"salt that is no base64":      r + ",s=MARK!," + i,
		"salt without padding":        r + ",s=W22ZaJ0SNY7soEsUEjb6gQ," + i,
		"salt with a line end":        r + ",s=W22Z\r\naJ0SNY7soEsUEjb6gQ==," + i,
		"salt beyond the limit":       r + ",s=" + encodeBase64(make([]byte, maxSaltLen+1)) + "," + i,
		"empty iterations":            r + "," + s + ",i=",
		"zero iterations":             r + "," + s + ",i=0",
		"negative iterations":         r + "," + s + ",i=-4096",
		"iterations that are letters": r + "," + s + ",i=MARK",
		"iterations with a tail":      r + "," + s + ",i=4096MARK",
		"one iteration too many":      r + "," + s + fmt.Sprintf(",i=%d", MaxServerIterations+1),
		"iterations beyond 32 bits":   r + "," + s + ",i=4294967297",
		"iterations beyond 64 bits":   r + "," + s + ",i=18446744073709551617",
		"mandatory extension":         "m=MARK," + r + "," + s + "," + i,
		"mandatory extension behind":  r + "," + s + "," + i + ",m=MARK",
		"trailing comma":              r + "," + s + "," + i + ",",
		"garbage behind":              r + "," + s + "," + i + ",MARK",
		"zero byte behind":            r + "," + s + "," + i + "\x00",
		"longer than a message":       r + "," + s + "," + i + ",x=" + strings.Repeat("x", maxMessageLen),
	} {
		t.Run(name, func(t *testing.T) {
			x := rfcClient()
			final, err := x.Respond([]byte(msg))
			wantProtocolError(t, err, msg)
			if final != nil {
				t.Errorf("there is an answer to a malformed message: %s", final)
			}
			if err := x.Verify([]byte(rfcServerFinal)); err == nil {
				t.Error("the exchange went on")
			}
		})
	}
}

func TestAttributesThatTheClientDoesNotKnowAreTolerated(t *testing.T) {
	x := rfcClient()
	if _, err := x.Respond([]byte(rfcServerFirst + ",x=1,Y=a=b")); err != nil {
		t.Errorf("in server-first: %v", err)
	}
	x = rfcClient()
	if _, err := x.Respond([]byte(rfcServerFirst)); err != nil {
		t.Fatal(err)
	}
	if err := x.Verify([]byte(rfcServerFinal + ",x=1")); err != nil {
		t.Errorf("in server-final: %v", err)
	}
}

func TestServerFinalMessagesThatProveNothingAreRefused(t *testing.T) {
	signature, ok := decodeBase64(strings.TrimPrefix(rfcServerFinal, "v="))
	if !ok {
		t.Fatal("the example's signature is no base64")
	}
	wrong := bytes.Clone(signature)
	wrong[0] ^= 1
	for name, msg := range map[string]string{
		"empty":                       "",
		"empty signature":             "v=",
		"wrong signature":             "v=" + encodeBase64(wrong),
		"signature cut short":         "v=" + encodeBase64(signature[:31]),
		"signature too long":          "v=" + encodeBase64(append(bytes.Clone(signature), 0)),
		"no base64":                   "v=MARK!",
		"another attribute":           "x=MARK",
		"signature second":            "x=1," + rfcServerFinal,
		"mandatory extension":         "m=MARK," + rfcServerFinal,
		"trailing comma":              rfcServerFinal + ",",
		"NUL byte":                    rfcServerFinal + "\x00",
		"an error and a signature":    "e=other-error," + rfcServerFinal,
		"the client's own proof back": "v=" + rfcClientFinal[len(rfcClientFinal)-44:],
		"longer than a message":       rfcServerFinal + ",x=" + strings.Repeat("x", maxMessageLen),
	} {
		t.Run(name, func(t *testing.T) {
			x := rfcClient()
			if _, err := x.Respond([]byte(rfcServerFirst)); err != nil {
				t.Fatal(err)
			}
			err := x.Verify([]byte(msg))
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "MARK") {
				t.Errorf("the error shows what the server sent: %v", err)
			}
			if x.Verify([]byte(rfcServerFinal)) == nil {
				t.Error("a second try was allowed")
			}
		})
	}
}

func TestTheErrorThatAServerNamesIsReportedIfItLooksLikeOne(t *testing.T) {
	for value, want := range map[string]string{
		"invalid-proof":                  "invalid-proof",
		"unknown-user":                   "unknown-user",
		"invalid-proof,x=1":              "invalid-proof",
		"":                               "unknown error",
		"\x1b[31mred":                    "unknown error",
		"two words\nand a line":          "unknown error",
		strings.Repeat("a", 65):          "unknown error",
		"caf\xe9":                        "unknown error",
		"other-error" + "\u202e" + "txt": "unknown error",
	} {
		x := rfcClient()
		if _, err := x.Respond([]byte(rfcServerFirst)); err != nil {
			t.Fatal(err)
		}
		err := x.Verify([]byte("e=" + value))
		if err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("e=%q: got %v, want it to end with %q", value, err, want)
		}
	}
}

func TestAClientExchangeTakesEachMessageOnceAndInTurn(t *testing.T) {
	t.Run("verify before respond", func(t *testing.T) {
		x := rfcClient()
		wantProtocolError(t, x.Verify([]byte(rfcServerFinal)), "")
		_, err := x.Respond([]byte(rfcServerFirst))
		wantProtocolError(t, err, "")
	})
	t.Run("an empty signature before respond", func(t *testing.T) {
		if rfcClient().Verify([]byte("v=")) == nil {
			t.Error("an empty signature passes for one not yet computed")
		}
	})
	t.Run("respond twice", func(t *testing.T) {
		x := rfcClient()
		if _, err := x.Respond([]byte(rfcServerFirst)); err != nil {
			t.Fatal(err)
		}
		_, err := x.Respond([]byte(rfcServerFirst))
		wantProtocolError(t, err, "")
		wantProtocolError(t, x.Verify([]byte(rfcServerFinal)), "")
	})
	t.Run("verify twice", func(t *testing.T) {
		x := rfcClient()
		if _, err := x.Respond([]byte(rfcServerFirst)); err != nil {
			t.Fatal(err)
		}
		if err := x.Verify([]byte(rfcServerFinal)); err != nil {
			t.Fatal(err)
		}
		wantProtocolError(t, x.Verify([]byte(rfcServerFinal)), "")
	})
}

func TestTheMechanismIsFoundWhereverItStandsInTheList(t *testing.T) {
	for _, c := range []struct {
		list []string
		want bool
	}{
		{[]string{ScramSHA256}, true},
		{[]string{ScramSHA256Plus, ScramSHA256}, true},
		{[]string{ScramSHA256, ScramSHA256Plus}, true},
		{[]string{"OAUTHBEARER", "", ScramSHA256}, true},
		{[]string{ScramSHA256Plus}, false},
		{[]string{"scram-sha-256"}, false},
		{nil, false},
	} {
		got, err := NewClientExchange("x").Negotiate(c.list, ChannelBinding{TLS: true})
		if (err == nil) != c.want || c.want && got != "SCRAM-SHA-256" || !c.want && got != "" {
			t.Errorf("%q: got %q, %v", c.list, got, err)
		}
	}
}

func FuzzClientExchange(f *testing.F) {
	f.Add([]byte("xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), []byte(rfcServerFinal), true)
	f.Add([]byte("xyz,s=AA==,i=1,x=1"), []byte("e=invalid-proof"), true)
	f.Add([]byte(",s=AA==,i=1"), []byte("v="), true)
	f.Add([]byte(rfcServerFirst), []byte(rfcServerFinal), false)
	f.Add([]byte("m=1,r=\x00"), []byte("m=,v=,,"), false)
	// The keys are given, lest the fuzzer spend its time on iterations.
	f.Fuzz(func(t *testing.T, serverFirst, serverFinal []byte, ours bool) {
		x := NewClientExchangeFromKeys(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32))
		x.nonce = rfcClientNonce
		if ours {
			serverFirst = append([]byte("r="+rfcClientNonce), serverFirst...)
		}
		final, err := x.Respond(serverFirst)
		checkOutcome(t, final, err)
		if err == nil && !bytes.HasPrefix(final, []byte("c=biws,r="+rfcClientNonce)) {
			t.Errorf("client-final is %q", final)
		}
		if verified := x.Verify(serverFinal); verified == nil &&
			(err != nil || !bytes.HasPrefix(serverFinal, []byte("v="+encodeBase64(x.signature)))) {
			t.Error("a server that proved nothing is believed")
		}
	})
}
