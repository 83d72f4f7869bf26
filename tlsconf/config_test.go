package tlsconf

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// keysOf returns the keys that a joined error of Validate names.
func keysOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, isJoined := err.(interface{ Unwrap() []error })
	if !isJoined {
		t.Fatalf("%T is not a joined error", err)
	}
	var keys []string
	for _, e := range joined.Unwrap() {
		keyErr, isKeyErr := errors.AsType[*KeyError](e)
		if !isKeyErr {
			t.Fatalf("%v is no KeyError", e)
		}
		keys = append(keys, keyErr.Key)
	}
	return keys
}

func TestValidatingAListenerNamesEveryWrongKey(t *testing.T) {
	for _, test := range []struct {
		name string
		c    ListenerConfig
		want []string
	}{
		{"complete", ListenerConfig{"require", "c", "k", "1.2", 8 * KiB}, nil},
		{"prefer and 1.3", ListenerConfig{"prefer", "c", "k", "1.3", 8 * KiB}, nil},
		{"disable needs no files", ListenerConfig{"disable", "", "", "1.2", 8 * KiB}, nil},
		{"the default lacks files", DefaultListenerConfig(), []string{"cert_file", "key_file"}},
		{"prefer without a key", ListenerConfig{"prefer", "c", "", "1.2", 8 * KiB}, []string{"key_file"}},
		{"nothing at all", ListenerConfig{}, []string{"mode", "min_version", "max_record_size"}},
		{"libpq's spelling", ListenerConfig{"verify-full", "c", "k", "TLSv1.2", 8 * KiB}, []string{"mode", "min_version"}},
		{"TLS 1.1", ListenerConfig{"require", "c", "k", "1.1", 8 * KiB}, []string{"min_version"}},
		{"the smallest records", ListenerConfig{"require", "c", "k", "1.2", 512}, nil},
		{"the largest records", ListenerConfig{"require", "c", "k", "1.2", 16 * KiB}, nil},
		{"records too small", ListenerConfig{"require", "c", "k", "1.2", 511}, []string{"max_record_size"}},
		{"records too large", ListenerConfig{"require", "c", "k", "1.2", 16*KiB + 1}, []string{"max_record_size"}},
	} {
		if got := keysOf(t, test.c.Validate()); !slices.Equal(got, test.want) {
			t.Errorf("%s: wrong keys %q, want %q", test.name, got, test.want)
		}
	}
}

func TestValidatingAnUpstreamNamesEveryWrongKey(t *testing.T) {
	for _, test := range []struct {
		name string
		c    UpstreamConfig
		want []string
	}{
		{"verified in full", UpstreamConfig{"verify-full", "ca", "TLSv1.2"}, nil},
		{"the system's roots", UpstreamConfig{"verify-full", "system", "TLSv1.3"}, nil},
		{"chain only", UpstreamConfig{"verify-ca", "ca", "TLSv1.3"}, nil},
		{"encrypted", UpstreamConfig{"require", "", "TLSv1.2"}, nil},
		{"encrypted, with roots", UpstreamConfig{"require", "ca", "TLSv1.2"}, nil},
		{"plaintext", UpstreamConfig{"disable", "", "TLSv1.2"}, nil},
		{"the default lacks roots", DefaultUpstreamConfig(), []string{"sslrootcert"}},
		{"chain only without roots", UpstreamConfig{"verify-ca", "", "TLSv1.2"}, []string{"sslrootcert"}},
		{"any public authority", UpstreamConfig{"verify-ca", "system", "TLSv1.2"}, []string{"sslrootcert"}},
		{"require by public authorities", UpstreamConfig{"require", "system", "TLSv1.2"}, []string{"sslrootcert"}},
		{"the other spelling", UpstreamConfig{"verify-full", "ca", "1.2"}, []string{"ssl_min_protocol_version"}},
		{"TLS 1.1", UpstreamConfig{"verify-full", "ca", "TLSv1.1"}, []string{"ssl_min_protocol_version"}},
		{"nothing at all", UpstreamConfig{}, []string{"sslmode", "ssl_min_protocol_version"}},
	} {
		if got := keysOf(t, test.c.Validate()); !slices.Equal(got, test.want) {
			t.Errorf("%s: wrong keys %q, want %q", test.name, got, test.want)
		}
	}
}

func TestModesThatFallBackToPlaintextAreRefusedWithTheReason(t *testing.T) {
	for _, mode := range []string{"prefer", "allow"} {
		err := UpstreamConfig{SSLMode: mode, MinVersion: "TLSv1.2"}.Validate()
		wantError(t, err, "sslmode", mode, "fall back to plaintext", "verify-full")
	}
}

func TestAWrongConfigurationIsRefusedBeforeAnyFileIsRead(t *testing.T) {
	_, err := NewListenerStore("listener :6432", ListenerConfig{Mode: "require", CertFile: "/none", MinVersion: "1.2"})
	wantError(t, err, "listener :6432", "key_file")
	_, err = NewUpstreamStore("database app", UpstreamConfig{SSLMode: "verify-full", SSLRootCert: "/none"})
	wantError(t, err, "database app", "ssl_min_protocol_version")
}

func TestEachWeakerChoiceHasAWarning(t *testing.T) {
	for _, test := range []struct {
		warnings []string
		word     string // "" for none
	}{
		{ListenerConfig{Mode: "require"}.Warnings(), ""},
		{ListenerConfig{Mode: "prefer"}.Warnings(), "plaintext"},
		{ListenerConfig{Mode: "disable"}.Warnings(), "plaintext"},
		{UpstreamConfig{SSLMode: "verify-full", SSLRootCert: "ca"}.Warnings(), ""},
		{UpstreamConfig{SSLMode: "verify-ca", SSLRootCert: "ca"}.Warnings(), "whatever host"},
		{UpstreamConfig{SSLMode: "require", SSLRootCert: "ca"}.Warnings(), "whatever host"},
		{UpstreamConfig{SSLMode: "require"}.Warnings(), "does not verify"},
		{UpstreamConfig{SSLMode: "disable"}.Warnings(), "plaintext"},
	} {
		text := strings.Join(test.warnings, "\n")
		if (test.word == "") != (text == "") || !strings.Contains(text, test.word) {
			t.Errorf("warnings %q, want one with %q", text, test.word)
		}
	}
}

func TestTheKeysOfTheFileAreThoseOfTheContract(t *testing.T) {
	const listener = "mode: prefer\ncert_file: c\nkey_file: k\nmin_version: \"1.3\"\nmax_record_size: 4KiB\n"
	const upstream = "sslmode: verify-ca\nsslrootcert: ca\nssl_min_protocol_version: TLSv1.3\n"
	var l ListenerConfig
	var u UpstreamConfig
	ok(t, yaml.Unmarshal([]byte(listener), &l))
	ok(t, yaml.Unmarshal([]byte(upstream), &u))
	if want := (ListenerConfig{"prefer", "c", "k", "1.3", 4 * KiB}); l != want {
		t.Errorf("decoded %+v, want %+v", l, want)
	}
	if want := (UpstreamConfig{"verify-ca", "ca", "TLSv1.3"}); u != want {
		t.Errorf("decoded %+v, want %+v", u, want)
	}
}
