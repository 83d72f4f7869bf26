package auth

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestNoFormattingShowsASecret(t *testing.T) {
	secret, err := deriveSecret("hunter2", []byte("saltsaltsaltsalt"), 1)
	if err != nil {
		t.Fatal(err)
	}
	var revealed Keys
	copy(revealed.client[:], secret.StoredKey)
	copy(revealed.server[:], secret.ServerKey)
	credential := Credential{Secret: secret, Password: "hunter2", Keys: revealed}
	users, err := ParseUsers("users", []byte(`"alice" "hunter2"`), NewMocker(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := NewClientExchangeFromKeys(secret.StoredKey, secret.ServerKey)
	type outer struct {
		S Secret
		P *Secret
		C Credential
		L []Credential
	}
	values := map[string]any{
		"MD5Secret": MD5Secret{digits: "saltsalt"}, "md5": Credential{MD5: MD5Secret{digits: "saltsalt"}},
		"Secret": secret, "*Secret": &secret, "Credential": credential, "*Credential": &credential,
		"Keys": revealed, "*Keys": &revealed, "login": struct{ K Keys }{revealed},
		"Users": users, "Mocker": NewMocker([]byte("hunter2")),
		"ServerExchange": NewServerExchange(secret, true),
		"ClientExchange": NewClientExchange("hunter2"), "keys": keys,
		"nested": outer{secret, &secret, credential, []Credential{credential}},
		"map":    map[string]Credential{"alice": credential},
	}
	for name, v := range values {
		texts := []string{fmt.Sprint(v)}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, text := range append(texts, string(text)) {
			for what, shown := range map[string]string{
				"the password":     "hunter2",
				"it in hex":        fmt.Sprintf("%x", "hunter2"),
				"the salt":         "saltsalt",
				"the salt in hex":  fmt.Sprintf("%x", secret.Salt),
				"salt in numbers":  strings.Trim(fmt.Sprint(secret.Salt[:4]), "[]"),
				"keys in numbers":  strings.Trim(fmt.Sprint(secret.StoredKey[:4]), "[]"),
				"the key in hex":   fmt.Sprintf("%x", secret.StoredKey[:4]),
				"the key's base64": encodeBase64(secret.ServerKey)[:8],
			} {
				if strings.Contains(strings.ToLower(text), strings.ToLower(shown)) {
					t.Errorf("%s shows %s: %s", name, what, text)
				}
			}
		}
	}
}

func TestAPlaceholderSaysWhatItStandsFor(t *testing.T) {
	for _, c := range []struct {
		got  string
		want string
	}{
		{Secret{}.String(), "auth.Secret[redacted]"},
		{Secret{}.GoString(), "auth.Secret[redacted]"},
		{Credential{}.String(), "auth.Credential[redacted]"},
		{Credential{}.GoString(), "auth.Credential[redacted]"},
		{fmt.Sprintf("%+v", Secret{}), "auth.Secret[redacted]"},
		{fmt.Sprintf("%d", (*Users)(nil)), "auth.Users[redacted]"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}
