package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/xdg-go/scram"
)

// runHashPassword runs the command with stdin as its input.
func runHashPassword(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	c := &cli{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs}
	err = hashPassword(c, args)
	return out.String(), errs.String(), err
}

// fits reports whether a client that knows the password would be let in with
// the secret that the command printed.
func fits(t *testing.T, printed, password string) bool {
	t.Helper()
	line, ok := strings.CutSuffix(printed, "\n")
	if !ok {
		t.Fatalf("the secret does not end its line: %q", printed)
	}
	secret, err := auth.ParseSecret(line)
	if err != nil {
		t.Fatal(err)
	}
	client, err := scram.SHA256.NewClientUnprepped("", password, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := client.WithMinIterations(1).GetStoredCredentialsWithError(
		scram.KeyFactors{Salt: string(secret.Salt), Iters: secret.Iterations})
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(secret.StoredKey, want.StoredKey) && bytes.Equal(secret.ServerKey, want.ServerKey)
}

func TestHashPasswordPrintsASecretThatFitsThePassword(t *testing.T) {
	for stdin, password := range map[string]string{
		"pencil\n":                          "pencil",
		"pencil":                            "pencil",
		"pencil\r\n":                        "pencil",
		"pencil\r":                          "pencil\r",
		" two words \n":                     " two words ",
		strings.Repeat("x", 65535):          strings.Repeat("x", 65535),
		strings.Repeat("x", 65535) + "\r\n": strings.Repeat("x", 65535),
	} {
		stdout, stderr, err := runHashPassword(stdin)
		if err != nil {
			t.Errorf("%.20q: %v", stdin, err)
			continue
		}
		if !strings.HasPrefix(stdout, "SCRAM-SHA-256$4096:") || !fits(t, stdout, password) {
			t.Errorf("%.20q: %s does not fit", stdin, stdout)
		}
		if stderr != "" {
			t.Errorf("%.20q: nobody was there to be told %q", stdin, stderr)
		}
	}
}

func TestHashPasswordTakesTheNumberOfIterations(t *testing.T) {
	stdout, _, err := runHashPassword("pencil\n", "--iterations", "10")
	if err != nil || !strings.HasPrefix(stdout, "SCRAM-SHA-256$10:") || !fits(t, stdout, "pencil") {
		t.Errorf("got %q, %v", stdout, err)
	}
}

func TestHashPasswordRefusesWhatIsNoPassword(t *testing.T) {
	for stdin, want := range map[string]string{
		"":                          "empty",
		"\n":                        "empty",
		"\r\n":                      "empty",
		"MARK\nMARK\n":              "more than one line",
		"MARK\n\n":                  "more than one line",
		"MARK\x00MARK\n":            "NUL byte",
		strings.Repeat("x", 65536):  "longer than 65535 bytes",
		strings.Repeat("x", 100000): "longer than 65535 bytes",
	} {
		stdout, _, err := runHashPassword(stdin)
		var usage usageError
		if err == nil || errors.As(err, &usage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "MARK") {
			t.Errorf("%.20q: got error %v, want %q", stdin, err, want)
		}
		if stdout != "" {
			t.Errorf("%.20q: printed %q", stdin, stdout)
		}
	}
}

func TestHashPasswordTellsUsageErrorsApart(t *testing.T) {
	for _, args := range [][]string{
		{"--iterations", "0"},
		{"--iterations", "-1"},
		{"--iterations", "1000001"},
		{"--iterations", "many"},
		{"--iterations"},
		{"--no-such-flag"},
		{"MARK"},
	} {
		stdout, _, err := runHashPassword("pencil\n", args...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), "hash-password: ") {
			t.Errorf("%q: got %v, want a usage error", args, err)
		} else if strings.Contains(err.Error(), "MARK") {
			t.Errorf("a password given as an argument is repeated: %v", err)
		}
		if stdout != "" {
			t.Errorf("%q: printed %q", args, stdout)
		}
	}
}

func TestHashPasswordHelps(t *testing.T) {
	for _, flag := range []string{"--help", "-h"} {
		stdout, _, err := runHashPassword("", flag)
		if !errors.Is(err, errHelp) || !strings.Contains(stdout, "pgseal hash-password") || !strings.Contains(stdout, "1 to 1000000 (default 4096)") {
			t.Errorf("%s: %v, printed %q", flag, err, stdout)
		}
	}
}

func TestHashPasswordReportsAnInputThatCannotBeRead(t *testing.T) {
	broken := errors.New("broken pipe")
	c := &cli{stdin: errReader{broken}, stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	if err := hashPassword(c, nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
