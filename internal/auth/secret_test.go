package auth

import (
	"bytes"
	"strings"
	"testing"
)

func TestASecretHasPostgreSQLsFormBothWays(t *testing.T) {
	secret, err := ParseSecret(rfcSecret)
	if err != nil {
		t.Fatal(err)
	}
	if secret.Iterations != 4096 || len(secret.Salt) != 16 || len(secret.StoredKey) != 32 || len(secret.ServerKey) != 32 {
		t.Errorf("fields of unexpected size: %d iterations, %d, %d and %d bytes",
			secret.Iterations, len(secret.Salt), len(secret.StoredKey), len(secret.ServerKey))
	}
	if got := secret.Encode(); got != rfcSecret {
		t.Errorf("encodes as %s, want %s", got, rfcSecret)
	}
}

func TestKeysAreThoseThatPostgreSQLDerives(t *testing.T) {
	for _, v := range secretsOfPostgreSQL {
		t.Run(v.name, func(t *testing.T) {
			want, err := ParseSecret(v.secret)
			if err != nil {
				t.Fatal(err)
			}
			got, err := deriveSecret(v.password, want.Salt, want.Iterations)
			if err != nil {
				t.Fatal(err)
			}
			if got.Encode() != v.secret {
				t.Errorf("%q gives %s, want %s", v.password, got.Encode(), v.secret)
			}
		})
	}
}

func TestANewSecretHasItsOwnSaltAndTheIterationsAskedFor(t *testing.T) {
	one, err := NewSecret("pencil", DefaultIterations)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSecret("pencil", 7)
	if err != nil {
		t.Fatal(err)
	}
	if one.Iterations != 4096 || other.Iterations != 7 {
		t.Errorf("iterations are %d and %d, want 4096 and 7", one.Iterations, other.Iterations)
	}
	if len(one.Salt) != 16 || bytes.Equal(one.Salt, other.Salt) {
		t.Errorf("salts of %d bytes, equal: %t", len(one.Salt), bytes.Equal(one.Salt, other.Salt))
	}
	again, err := ParseSecret(one.Encode())
	if err != nil || again.Encode() != one.Encode() {
		t.Errorf("a new secret does not survive encoding: %v", err)
	}
}

func TestNewSecretRefusesWhatNobodyCouldLogInWith(t *testing.T) {
	for _, c := range []struct {
		name, password string
		iterations     int
	}{
		{"empty password", "", 4096},
		{"no iterations", "pencil", 0},
		{"negative iterations", "pencil", -1},
		{"more iterations than a client of ours spends", "pencil", MaxServerIterations + 1},
	} {
		if _, err := NewSecret(c.password, c.iterations); err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
}

// Each replacement breaks one thing in a good secret. MARK stands in each for
// what an error must not show.
func TestAMalformedSecretIsRefusedAndNotShown(t *testing.T) {
	const (
		salt   = "W22ZaJ0SNY7soEsUEjb6gQ=="
		stored = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
		server = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	)
	for name, s := range map[string]string{
		"empty":                     "",
		"a password":                "MARK",
		"another scheme":            "SCRAM-SHA-512$4096:" + salt + "$" + stored + ":MARK",
		"lower-case scheme":         "scram-sha-256$4096:" + salt + "$" + stored + ":" + server,
		"scheme alone":              "SCRAM-SHA-256$",
		"no salt":                   "SCRAM-SHA-256$4096$" + stored + ":" + server,
		"empty salt":                "SCRAM-SHA-256$4096:$" + stored + ":" + server,
		"salt that is no base64":    "SCRAM-SHA-256$4096:MARK!$" + stored + ":" + server,
		"salt without padding":      "SCRAM-SHA-256$4096:" + strings.TrimRight(salt, "=") + "$" + stored + ":" + server,
		"salt with a line end":      "SCRAM-SHA-256$4096:W22ZaJ0S\nNY7soEsUEjb6gQ==$" + stored + ":" + server,
		"salt with loose last bits": "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gR==$" + stored + ":" + server,
		"salt beyond the limit":     "SCRAM-SHA-256$4096:" + encodeBase64(make([]byte, maxSaltLen+1)) + "$" + stored + ":" + server,
		"no iterations":             "SCRAM-SHA-256$:" + salt + "$" + stored + ":" + server,
		"zero iterations":           "SCRAM-SHA-256$0:" + salt + "$" + stored + ":" + server,
		"negative iterations":       "SCRAM-SHA-256$-1:" + salt + "$" + stored + ":" + server,
		"signed iterations":         "SCRAM-SHA-256$+4096:" + salt + "$" + stored + ":" + server,
		"iterations with a space":   "SCRAM-SHA-256$ 4096:" + salt + "$" + stored + ":" + server,
		"iterations beyond 32 bits": "SCRAM-SHA-256$2147483648:" + salt + "$" + stored + ":" + server,
		"iterations beyond 64 bits": "SCRAM-SHA-256$99999999999999999999:" + salt + "$" + stored + ":" + server,
		"no keys":                   "SCRAM-SHA-256$4096:" + salt,
		"one key":                   "SCRAM-SHA-256$4096:" + salt + "$" + stored,
		"short StoredKey":           "SCRAM-SHA-256$4096:" + salt + "$TUFSSw==:" + server,
		"short ServerKey":           "SCRAM-SHA-256$4096:" + salt + "$" + stored + ":TUFSSw==",
		"long ServerKey":            "SCRAM-SHA-256$4096:" + salt + "$" + stored + ":" + encodeBase64(make([]byte, 33)),
		"third key":                 "SCRAM-SHA-256$4096:" + salt + "$" + stored + ":" + server + ":MARK",
		"third part":                "SCRAM-SHA-256$4096:" + salt + "$" + stored + ":" + server + "$MARK",
		"space before":              " " + rfcSecret,
		"newline behind":            rfcSecret + "\n",
		"zero byte behind":          rfcSecret + "\x00",
		"very long":                 "SCRAM-SHA-256$4096:" + strings.Repeat("MARK", 1000) + "$" + stored + ":" + server,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSecret(s)
			if err == nil {
				t.Fatal("no error")
			}
			for _, shown := range []string{"MARK", salt, stored, server} {
				if strings.Contains(err.Error(), shown) {
					t.Errorf("the error shows a part of the secret: %v", err)
				}
			}
		})
	}
}

func TestSecretsOfOtherMakersAreRead(t *testing.T) {
	for _, n := range []int{1, 8, 20, 32, maxSaltLen} {
		want := Secret{Iterations: MaxStoredIterations, Salt: bytes.Repeat([]byte{7}, n), StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}
		got, err := ParseSecret(want.Encode())
		if err != nil || !bytes.Equal(got.Salt, want.Salt) || got.Iterations != want.Iterations {
			t.Errorf("salt of %d bytes: got %d bytes, %d iterations, %v", n, len(got.Salt), got.Iterations, err)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(rfcSecret)
	f.Add("SCRAM-SHA-256$1:AA==$" + encodeBase64(make([]byte, 32)) + ":" + encodeBase64(make([]byte, 32)))
	f.Add("SCRAM-SHA-256$04096:$:")
	f.Add("md50123456789abcdef0123456789abcdef")
	for _, v := range secretsOfPostgreSQL {
		f.Add(v.secret)
	}
	f.Fuzz(func(t *testing.T, s string) {
		secret, err := ParseSecret(s)
		if err != nil {
			return
		}
		if !secret.valid() {
			t.Errorf("%q is accepted as a secret no exchange can be held with", s)
		}
		if secret.Encode() != s {
			t.Errorf("%q is accepted and encodes as %q", s, secret.Encode())
		}
	})
}
