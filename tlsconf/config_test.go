package tlsconf

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pgseal/pgseal/internal/setting"
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
		keyErr, isKeyErr := errors.AsType[*setting.Error](e)
		if !isKeyErr {
			t.Fatalf("%v is no setting.Error", e)
		}
		keys = append(keys, keyErr.Key)
	}
	return keys
}

func listenerWith(mode, cert, key, minVersion string) ListenerConfig {
	c := DefaultListenerConfig()
	c.Mode, c.CertFile, c.KeyFile, c.MinVersion = mode, cert, key, minVersion
	return c
}

// edited is a complete configuration, changed.
func edited(edit func(*ListenerConfig)) ListenerConfig {
	c := listenerWith("require", "c", "k", "1.2")
	edit(&c)
	return c
}

func upstreamWith(mode, rootCert, minVersion string) UpstreamConfig {
	c := DefaultUpstreamConfig()
	c.SSLMode, c.SSLRootCert, c.MinVersion = mode, rootCert, minVersion
	return c
}

func TestValidatingAListenerNamesEveryWrongKey(t *testing.T) {
	for _, test := range []struct {
		name string
		c    ListenerConfig
		want []string
	}{
		{"complete", listenerWith("require", "c", "k", "1.2"), nil},
		{"prefer and 1.3", listenerWith("prefer", "c", "k", "1.3"), nil},
		{"disable needs no files", listenerWith("disable", "", "", "1.2"), nil},
		{"the default lacks files", DefaultListenerConfig(), []string{"cert_file", "key_file"}},
		{"prefer without a key", listenerWith("prefer", "c", "", "1.2"), []string{"key_file"}},
		{"nothing at all", ListenerConfig{}, []string{"mode", "client_cert", "client_cert_recheck", "min_version", "max_record_size"}},
		{"libpq's spelling", listenerWith("verify-full", "c", "k", "TLSv1.2"), []string{"mode", "min_version"}},
		{"certificates required of nobody", edited(func(c *ListenerConfig) { c.ClientCert = "require" }), []string{"client_ca_file"}},
		{"certificates required, plaintext taken", edited(func(c *ListenerConfig) { c.Mode, c.ClientCAFile, c.ClientCert = "prefer", "ca", "require" }), []string{"client_cert"}},
		{"certificates required", edited(func(c *ListenerConfig) { c.ClientCAFile, c.ClientCert = "ca", "require" }), nil},
		{"CRL of nobody", edited(func(c *ListenerConfig) { c.ClientCRLFile = "crl" }), []string{"client_crl_file"}},
		{"libpq's clientcert", edited(func(c *ListenerConfig) { c.ClientCert = "verify-full" }), []string{"client_cert"}},
		{"TLS 1.1", listenerWith("require", "c", "k", "1.1"), []string{"min_version"}},
		{"the smallest records", edited(func(c *ListenerConfig) { c.MaxRecordSize = 512 }), nil},
		{"the largest records", edited(func(c *ListenerConfig) { c.MaxRecordSize = 16 * setting.KiB }), nil},
		{"records too small", edited(func(c *ListenerConfig) { c.MaxRecordSize = 511 }), []string{"max_record_size"}},
		{"records too large", edited(func(c *ListenerConfig) { c.MaxRecordSize = 16*setting.KiB + 1 }), []string{"max_record_size"}},
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
		{"verified in full", upstreamWith("verify-full", "ca", "TLSv1.2"), nil},
		{"the system's roots", upstreamWith("verify-full", "system", "TLSv1.3"), nil},
		{"chain only", upstreamWith("verify-ca", "ca", "TLSv1.3"), nil},
		{"encrypted", upstreamWith("require", "", "TLSv1.2"), nil},
		{"encrypted, with roots", upstreamWith("require", "ca", "TLSv1.2"), nil},
		{"plaintext", upstreamWith("disable", "", "TLSv1.2"), nil},
		{"the default lacks roots", DefaultUpstreamConfig(), []string{"sslrootcert"}},
		{"chain only without roots", upstreamWith("verify-ca", "", "TLSv1.2"), []string{"sslrootcert"}},
		{"any public authority", upstreamWith("verify-ca", "system", "TLSv1.2"), []string{"sslrootcert"}},
		{"require by public authorities", upstreamWith("require", "system", "TLSv1.2"), []string{"sslrootcert"}},
		{"all of it", UpstreamConfig{"verify-ca", "ca", "cert", "key", "crl", "direct", "require", "TLSv1.3", "X25519:prime256v1"}, nil},
		{"half a pair", UpstreamConfig{"verify-ca", "ca", "cert", "", "", "postgres", "prefer", "TLSv1.3", ""}, []string{"sslkey"}},
		{"the other half", UpstreamConfig{"verify-ca", "ca", "", "key", "", "postgres", "prefer", "TLSv1.3", ""}, []string{"sslcert"}},
		{"a CRL and nobody verified", UpstreamConfig{"require", "", "", "", "crl", "postgres", "prefer", "TLSv1.3", ""}, []string{"sslcrl"}},
		{"TLS things without TLS", UpstreamConfig{"disable", "", "cert", "key", "", "direct", "require", "TLSv1.3", ""}, []string{"sslcert", "sslnegotiation", "channel_binding"}},
		{"unknown words", UpstreamConfig{"require", "", "", "", "", "at once", "yes", "TLSv1.3", "X448"}, []string{"ssl_groups", "sslnegotiation", "channel_binding"}},
		{"the other spelling", upstreamWith("verify-full", "ca", "1.2"), []string{"ssl_min_protocol_version"}},
		{"TLS 1.1", upstreamWith("verify-full", "ca", "TLSv1.1"), []string{"ssl_min_protocol_version"}},
		{"nothing at all", UpstreamConfig{}, []string{"sslmode", "ssl_min_protocol_version", "sslnegotiation", "channel_binding"}},
	} {
		if got := keysOf(t, test.c.Validate()); !slices.Equal(got, test.want) {
			t.Errorf("%s: wrong keys %q, want %q", test.name, got, test.want)
		}
	}
}

func TestModesThatFallBackToPlaintextAreRefusedWithTheReason(t *testing.T) {
	for _, mode := range []string{"prefer", "allow"} {
		err := UpstreamConfig{SSLMode: mode, MinVersion: "TLSv1.2"}.Validate()
		wantError(t, err, "sslmode", mode, "falls back to plaintext", "verify-full")
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
		{UpstreamConfig{SSLMode: "verify-ca", SSLRootCert: "ca"}.Warnings(), "whatever its host name"},
		{UpstreamConfig{SSLMode: "require", SSLRootCert: "ca"}.Warnings(), "whatever its host name"},
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
	l := DefaultListenerConfig()
	u := DefaultUpstreamConfig()
	ok(t, yaml.Unmarshal([]byte(listener), &l))
	ok(t, yaml.Unmarshal([]byte(upstream), &u))
	want := listenerWith("prefer", "c", "k", "1.3")
	want.MaxRecordSize = 4 * setting.KiB
	if !reflect.DeepEqual(l, want) {
		t.Errorf("decoded %+v, want %+v", l, want)
	}
	if want := (upstreamWith("verify-ca", "ca", "TLSv1.3")); u != want {
		t.Errorf("decoded %+v, want %+v", u, want)
	}
}
