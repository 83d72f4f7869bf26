package auth

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// rfcServer returns an exchange that stands where RFC 7677's example does.
func rfcServer(t testing.TB, known bool) *ServerExchange {
	t.Helper()
	secret, err := ParseSecret(rfcSecret)
	if err != nil {
		t.Fatal(err)
	}
	x := NewServerExchange(secret, known)
	x.nonce = rfcServerNonce
	return x
}

// wantProtocolError fails the test unless err is a ProtocolError that shows
// nothing of what the peer sent.
func wantProtocolError(t *testing.T, err error, sent string) *ProtocolError {
	t.Helper()
	var protocol *ProtocolError
	if !errors.As(err, &protocol) {
		t.Fatalf("got error %v, want a ProtocolError", err)
	}
	if strings.Contains(sent, "MARK") && strings.Contains(err.Error(), "MARK") {
		t.Errorf("the error shows what the peer sent: %v", err)
	}
	return protocol
}

func TestTheServerPlaysTheExampleOfRFC7677(t *testing.T) {
	x := rfcServer(t, true)
	first, err := x.First([]byte(rfcClientFirst))
	if err != nil || string(first) != rfcServerFirst {
		t.Fatalf("server-first %s, %v, want %s", first, err, rfcServerFirst)
	}
	if x.ClientKey() != nil {
		t.Error("there is a ClientKey before the proof")
	}
	final, err := x.Final([]byte(rfcClientFinal))
	if err != nil || string(final) != rfcServerFinal {
		t.Fatalf("server-final %s, %v, want %s", final, err, rfcServerFinal)
	}
	clientKey, _, err := deriveKeys(rfcPassword, x.secret.Salt, x.secret.Iterations)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x.ClientKey(), clientKey) {
		t.Error("ClientKey is not the one the password gives")
	}
}

// The proof fits in both cases: it is the user that is unknown in one, and the
// stored key that is another one in the other.
func TestAnUnknownUserGetsTheSameAnswerAsAWrongPassword(t *testing.T) {
	unknown := rfcServer(t, false)
	wrong := rfcServer(t, true)
	wrong.secret.StoredKey = bytes.Clone(wrong.secret.StoredKey)
	wrong.secret.StoredKey[31] ^= 1
	for name, x := range map[string]*ServerExchange{"unknown": unknown, "wrong": wrong} {
		first, err := x.First([]byte(rfcClientFirst))
		if err != nil || string(first) != rfcServerFirst {
			t.Fatalf("%s: server-first %s, %v", name, first, err)
		}
		final, err := x.Final([]byte(rfcClientFinal))
		if err != ErrWrongPassword || final != nil {
			t.Errorf("%s: server-final %q, error %v, want none and ErrWrongPassword", name, final, err)
		}
		if x.ClientKey() != nil {
			t.Errorf("%s: there is a ClientKey after a failed login", name)
		}
	}
}

func TestEachByteOfTheProofCounts(t *testing.T) {
	withoutProof, encoded, _ := strings.Cut(rfcClientFinal, ",p=")
	proof, ok := decodeBase64(encoded)
	if !ok {
		t.Fatal("the example's proof is no base64")
	}
	for i := range proof {
		proof[i] ^= 0x80
		x := rfcServer(t, true)
		if _, err := x.First([]byte(rfcClientFirst)); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Final([]byte(withoutProof + ",p=" + encodeBase64(proof))); err != ErrWrongPassword {
			t.Errorf("byte %d: got %v, want ErrWrongPassword", i, err)
		}
		proof[i] ^= 0x80
	}
}

func TestClientFirstMessagesThatPostgreSQLAccepts(t *testing.T) {
	for name, msg := range map[string]string{
		"libpq's empty user name":       "n,,n=,r=abc",
		"a user name":                   "n,,n=user,r=abc",
		"an escaped user name":          "n,,n=a=2Cb=3Dc,r=abc",
		"a client that could bind":      "y,,n=,r=abc",
		"optional extensions":           "n,,n=,r=abc,x=1,Z=a=b",
		"an extension with no value":    "n,,n=,r=abc,x=",
		"a nonce of one character":      "n,,n=,r=a",
		"a nonce of odd characters":     "n,,n=,r=!~=+/\"'",
		"a nonce as long as is allowed": "n,,n=,r=" + strings.Repeat("a", maxNonceLen),
	} {
		t.Run(name, func(t *testing.T) {
			x := rfcServer(t, true)
			first, err := x.First([]byte(msg))
			if err != nil {
				t.Fatal(err)
			}
			_, nonce, _ := strings.Cut(msg, ",r=")
			nonce, _, _ = strings.Cut(nonce, ",")
			if !strings.HasPrefix(string(first), "r="+nonce+rfcServerNonce+",s=") {
				t.Errorf("server-first is %s", first)
			}
		})
	}
}

func TestMalformedClientFirstMessagesAreRefused(t *testing.T) {
	for name, msg := range map[string]string{
		"empty":                     "",
		"flag alone":                "n",
		"header alone":              "n,,",
		"one comma":                 "n,",
		"unknown flag":              "MARK,,n=,r=abc",
		"upper-case flag":           "N,,n=,r=abc",
		"channel binding":           "p=tls-server-end-point,,n=,r=abc",
		"p without a name":          "p,,n=,r=abc",
		"flag of two letters":       "ny,,n=,r=abc",
		"something for authzid":     "n,b=MARK,n=,r=abc",
		"no header":                 "n=,r=abc",
		"no user name":              "n,,r=abc",
		"no nonce":                  "n,,n=user",
		"a comma for a nonce":       "n,,n=user,",
		"empty nonce":               "n,,n=,r=",
		"user name after nonce":     "n,,r=abc,n=",
		"no equals sign":            "n,,nMARK,r=abc",
		"space in the nonce":        "n,,n=,r=MARK abc",
		"newline in the nonce":      "n,,n=,r=MARK\n",
		"8-bit nonce":               "n,,n=,r=MARK\xff",
		"DEL in the nonce":          "n,,n=,r=MARK\x7f",
		"nonce beyond the limit":    "n,,n=,r=" + strings.Repeat("a", maxNonceLen+1),
		"trailing comma":            "n,,n=,r=abc,",
		"extra commas":              "n,,,n=,r=abc",
		"commas in between":         "n,,n=,,r=abc",
		"extension without a name":  "n,,n=,r=abc,=1",
		"extension that is a digit": "n,,n=,r=abc,1=1",
		"zero byte at the end":      "n,,n=,r=abc\x00",
		"zero byte within":          "n,,n=a\x00b,r=abc",
		"longer than a message":     "n,,n=" + strings.Repeat("a", maxMessageLen) + ",r=abc",
		"nothing but commas":        strings.Repeat(",", 100),
	} {
		t.Run(name, func(t *testing.T) {
			first, err := rfcServer(t, true).First([]byte(msg))
			if p := wantProtocolError(t, err, msg); p.Unsupported {
				t.Errorf("%v is called unsupported, not malformed", err)
			}
			if first != nil {
				t.Errorf("there is an answer to a malformed message: %s", first)
			}
		})
	}
}

func TestOptionalPartsThatPostgreSQLLacksAreCalledUnsupported(t *testing.T) {
	for name, msg := range map[string]string{
		"authorization identity":            "n,a=MARK,n=,r=abc",
		"empty authorization identity":      "n,a=,n=,r=abc",
		"mandatory extension":               "n,,m=MARK,n=,r=abc",
		"mandatory extension, not in front": "n,,n=,r=abc,m=MARK",
	} {
		_, err := rfcServer(t, true).First([]byte(msg))
		if p := wantProtocolError(t, err, msg); !p.Unsupported {
			t.Errorf("%s: %v is not called unsupported", name, err)
		}
	}
	x := rfcServer(t, true)
	if _, err := x.First([]byte(rfcClientFirst)); err != nil {
		t.Fatal(err)
	}
	msg := strings.Replace(rfcClientFinal, ",p=", ",m=MARK,p=", 1)
	_, err := x.Final([]byte(msg))
	if p := wantProtocolError(t, err, msg); !p.Unsupported {
		t.Errorf("client-final: %v is not called unsupported", err)
	}
}

func TestMalformedClientFinalMessagesAreRefused(t *testing.T) {
	const nonce = rfcClientNonce + rfcServerNonce
	_, proof, _ := strings.Cut(rfcClientFinal, ",p=")
	for name, msg := range map[string]string{
		"empty":                        "",
		"the first message again":      rfcClientFirst,
		"no proof":                     "c=biws,r=" + nonce,
		"no nonce":                     "c=biws,p=" + proof,
		"no channel binding":           "r=" + nonce + ",p=" + proof,
		"proof alone":                  "p=" + proof,
		"proof first":                  "p=" + proof + ",c=biws,r=" + nonce,
		"nonce first":                  "r=" + nonce + ",c=biws,p=" + proof,
		"header of the y flag":         "c=eSws,r=" + nonce + ",p=" + proof,
		"binding data without the p":   "c=" + encodeBase64([]byte("n,,MARK")) + ",r=" + nonce + ",p=" + proof,
		"header of the p flag":         "c=" + encodeBase64([]byte("p=tls-server-end-point,,x")) + ",r=" + nonce + ",p=" + proof,
		"empty channel binding":        "c=,r=" + nonce + ",p=" + proof,
		"channel binding in clear":     "c=n,r=" + nonce + ",p=" + proof,
		"nonce of the client alone":    "c=biws,r=" + rfcClientNonce + ",p=" + proof,
		"nonce of the server alone":    "c=biws,r=" + rfcServerNonce + ",p=" + proof,
		"nonce with more behind":       "c=biws,r=" + nonce + "MARK,p=" + proof,
		"nonce cut short":              "c=biws,r=" + nonce[:len(nonce)-1] + ",p=" + proof,
		"nonce with another end":       "c=biws,r=" + nonce[:len(nonce)-1] + "x,p=" + proof,
		"empty nonce":                  "c=biws,r=,p=" + proof,
		"empty proof":                  "c=biws,r=" + nonce + ",p=",
		"proof that is no base64":      "c=biws,r=" + nonce + ",p=MARK!" + proof[6:],
		"proof with a line end":        "c=biws,r=" + nonce + ",p=\n" + proof,
		"proof cut short":              "c=biws,r=" + nonce + ",p=" + encodeBase64(make([]byte, 31)),
		"proof too long":               "c=biws,r=" + nonce + ",p=" + encodeBase64(make([]byte, 33)),
		"proof as long as the message": "c=biws,r=" + nonce + ",p=" + encodeBase64(make([]byte, 2900)),
		"something behind the proof":   rfcClientFinal + ",x=MARK",
		"a comma behind the proof":     rfcClientFinal + ",",
		"two proofs":                   rfcClientFinal + ",p=" + proof,
		"zero byte at the end":         rfcClientFinal + "\x00",
		"longer than a message":        rfcClientFinal + strings.Repeat("=", maxMessageLen),
		"nothing but commas":           strings.Repeat(",", 100),
		"extension without a name":     "c=biws,r=" + nonce + ",=x,p=" + proof,
	} {
		t.Run(name, func(t *testing.T) {
			x := rfcServer(t, true)
			if _, err := x.First([]byte(rfcClientFirst)); err != nil {
				t.Fatal(err)
			}
			final, err := x.Final([]byte(msg))
			wantProtocolError(t, err, msg)
			if final != nil || x.ClientKey() != nil {
				t.Error("a malformed message was answered as if it were good")
			}
		})
	}
}

func TestTheChannelBindingAttributeRepeatsTheHeaderTheClientSent(t *testing.T) {
	for flag, encoded := range map[string]string{"n": "biws", "y": "eSws"} {
		for _, sent := range []string{"biws", "eSws"} {
			x := rfcServer(t, true)
			if _, err := x.First([]byte(flag + ",,n=,r=" + rfcClientNonce)); err != nil {
				t.Fatal(err)
			}
			final := signedFinal(t, x, "c="+sent+",r="+rfcClientNonce+rfcServerNonce)
			_, err := x.Final([]byte(final))
			if sent != encoded {
				wantProtocolError(t, err, final)
			} else if err != nil {
				t.Errorf("flag %s with c=%s: %v", flag, sent, err)
			}
		}
	}
}

func TestExtensionsOfClientFinalAreIgnoredAndSigned(t *testing.T) {
	const withoutProof = "c=biws,r=" + rfcClientNonce + rfcServerNonce + ",x=1,r=again"
	x := rfcServer(t, true)
	if _, err := x.First([]byte(rfcClientFirst)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Final([]byte(signedFinal(t, x, withoutProof))); err != nil {
		t.Errorf("an extension that the proof covers: %v", err)
	}
	x = rfcServer(t, true)
	if _, err := x.First([]byte(rfcClientFirst)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Final([]byte(strings.Replace(rfcClientFinal, ",p=", ",x=1,p=", 1))); err != ErrWrongPassword {
		t.Errorf("an extension that the proof does not cover: got %v, want ErrWrongPassword", err)
	}
}

// signedFinal appends the proof of someone who knows the example's password.
func signedFinal(t *testing.T, x *ServerExchange, withoutProof string) string {
	t.Helper()
	clientKey, _, err := deriveKeys(rfcPassword, x.secret.Salt, x.secret.Iterations)
	if err != nil {
		t.Fatal(err)
	}
	signature := mac(hash(clientKey), x.clientFirstBare+","+x.serverFirst+","+withoutProof)
	for i := range signature {
		signature[i] ^= clientKey[i]
	}
	return withoutProof + ",p=" + encodeBase64(signature)
}

func TestAServerExchangeTakesEachMessageOnceAndInTurn(t *testing.T) {
	t.Run("final before first", func(t *testing.T) {
		x := rfcServer(t, true)
		_, err := x.Final([]byte(rfcClientFinal))
		wantProtocolError(t, err, "")
		_, err = x.First([]byte(rfcClientFirst))
		wantProtocolError(t, err, "")
	})
	t.Run("first twice", func(t *testing.T) {
		x := rfcServer(t, true)
		if _, err := x.First([]byte(rfcClientFirst)); err != nil {
			t.Fatal(err)
		}
		_, err := x.First([]byte(rfcClientFirst))
		wantProtocolError(t, err, "")
		_, err = x.Final([]byte(rfcClientFinal))
		wantProtocolError(t, err, "")
	})
	t.Run("first after a malformed one", func(t *testing.T) {
		x := rfcServer(t, true)
		_, err := x.First([]byte("garbage"))
		wantProtocolError(t, err, "")
		_, err = x.First([]byte(rfcClientFirst))
		wantProtocolError(t, err, "")
	})
	t.Run("a second guess", func(t *testing.T) {
		x := rfcServer(t, true)
		if _, err := x.First([]byte(rfcClientFirst)); err != nil {
			t.Fatal(err)
		}
		wrong := rfcClientFinal[:len(rfcClientFinal)-44] + encodeBase64(make([]byte, 32))
		if _, err := x.Final([]byte(wrong)); err != ErrWrongPassword {
			t.Fatalf("got %v, want ErrWrongPassword", err)
		}
		_, err := x.Final([]byte(rfcClientFinal))
		wantProtocolError(t, err, "")
	})
	t.Run("final after success", func(t *testing.T) {
		x := rfcServer(t, true)
		if _, err := x.First([]byte(rfcClientFirst)); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Final([]byte(rfcClientFinal)); err != nil {
			t.Fatal(err)
		}
		_, err := x.Final([]byte(rfcClientFinal))
		wantProtocolError(t, err, "")
	})
}

func TestTheClientKeyThatACallerChangesIsItsOwn(t *testing.T) {
	x := rfcServer(t, true)
	if _, err := x.First([]byte(rfcClientFirst)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Final([]byte(rfcClientFinal)); err != nil {
		t.Fatal(err)
	}
	key := x.ClientKey()
	clear(key)
	if bytes.Equal(x.ClientKey(), key) {
		t.Error("ClientKey hands out the exchange's own bytes")
	}
}

func TestAnIncompleteSecretLetsNobodyIn(t *testing.T) {
	good, err := ParseSecret(rfcSecret)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Secret){
		"zero":          func(s *Secret) { *s = Secret{} },
		"no salt":       func(s *Secret) { s.Salt = nil },
		"no StoredKey":  func(s *Secret) { s.StoredKey = nil },
		"no ServerKey":  func(s *Secret) { s.ServerKey = nil },
		"no iterations": func(s *Secret) { s.Iterations = 0 },
	} {
		secret := good
		spoil(&secret)
		x := NewServerExchange(secret, true)
		var protocol *ProtocolError
		if _, err := x.First([]byte(rfcClientFirst)); err == nil || errors.As(err, &protocol) {
			t.Errorf("%s: got %v, want an error that does not blame the client", name, err)
		}
		if _, err := x.Final([]byte(rfcClientFinal)); err == nil {
			t.Errorf("%s: the exchange went on", name)
		}
	}
}

func TestNoncesAreLongFreshAndPrintable(t *testing.T) {
	secret := NewMocker(nil).Secret("alice", DefaultIterations)
	seen := map[string]bool{}
	for range 100 {
		first, err := NewServerExchange(secret, true).First([]byte("n,,n=,r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(first), "r=abc"), ",")
		if len(nonce) != 24 || !validNonce(nonce) || seen[nonce] {
			t.Fatalf("nonce %q, seen before: %t", nonce, seen[nonce])
		}
		seen[nonce] = true
	}
}

func FuzzServerExchange(f *testing.F) {
	f.Add([]byte(rfcClientFirst), []byte(rfcClientFinal))
	f.Add([]byte("y,,n=,r=abc,x=1"), []byte("c=eSws,r=abc"+rfcServerNonce+",x=1,p="+encodeBase64(make([]byte, 32))))
	f.Add([]byte("p=tls-server-end-point,,n=,r=abc"), []byte("c=,r=,p="))
	f.Add([]byte("n,a=x,m=1,n=,r=\x00"), []byte(",,,"))
	f.Add([]byte("n,,"), []byte("p="))
	f.Fuzz(func(t *testing.T, clientFirst, clientFinal []byte) {
		x := rfcServer(t, true)
		first, err := x.First(clientFirst)
		checkOutcome(t, first, err)
		final, finalErr := x.Final(clientFinal)
		checkOutcome(t, final, finalErr)
		switch {
		case err != nil && finalErr == nil:
			t.Error("Final succeeded after First had failed")
		case finalErr != nil && x.ClientKey() != nil:
			t.Error("there is a ClientKey without a login")
		case finalErr == nil && !bytes.Equal(hash(x.ClientKey()), x.secret.StoredKey):
			t.Error("a login without the user's key")
		}
	})
}

// checkOutcome holds for every call of either exchange.
func checkOutcome(t *testing.T, answer []byte, err error) {
	t.Helper()
	var protocol *ProtocolError
	switch {
	case err == nil && (len(answer) == 0 || len(answer) > maxMessageLen):
		t.Errorf("an answer of %d bytes", len(answer))
	case err != nil && answer != nil:
		t.Errorf("an answer with an error: %v", err)
	case err != nil && err != ErrWrongPassword && !errors.As(err, &protocol):
		t.Errorf("unexpected kind of error: %v", err)
	}
}
