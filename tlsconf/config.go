package tlsconf

import (
	"crypto/tls"
	"strings"

	"github.com/pgseal/pgseal/internal/setting"
)

// Modes of a listener's tls block.
const (
	// ListenRequire refuses clients that do not ask for TLS.
	ListenRequire = "require"
	// ListenPrefer offers TLS and also takes clients in plaintext.
	ListenPrefer = "prefer"
	// ListenDisable offers no TLS.
	ListenDisable = "disable"
)

// Values of sslmode that pgseal knows, with libpq's meaning (PostgreSQL
// manual, "SSL Support").
const (
	// SSLModeVerifyFull verifies the server's chain and its host name.
	SSLModeVerifyFull = "verify-full"
	// SSLModeVerifyCA verifies the chain but not the name.
	SSLModeVerifyCA = "verify-ca"
	// SSLModeRequire encrypts. As in libpq it verifies the chain as well if
	// sslrootcert is set, and nothing otherwise.
	SSLModeRequire = "require"
	// SSLModeDisable speaks plaintext.
	SSLModeDisable = "disable"
)

// Values of sslnegotiation.
const (
	// NegotiatePostgres asks for TLS by an SSLRequest.
	NegotiatePostgres = "postgres"
	// NegotiateDirect begins with TLS, which PostgreSQL takes from 17 on.
	NegotiateDirect = "direct"
)

// Values of channel_binding, with libpq's meaning.
const (
	// ChannelBindingDisable never binds.
	ChannelBindingDisable = "disable"
	// ChannelBindingPrefer binds if the server offers it.
	ChannelBindingPrefer = "prefer"
	// ChannelBindingRequire takes no server that does not bind.
	ChannelBindingRequire = "require"
)

// SystemRoots as sslrootcert stands for the roots of the operating system.
const SystemRoots = "system"

// ListenerConfig is the tls block of a listener.
type ListenerConfig struct {
	// Mode is require, prefer or disable.
	Mode string `yaml:"mode"`
	// CertFile is a PEM file: the server certificate first, then each
	// intermediate after the certificate that it issued.
	CertFile string `yaml:"cert_file"`
	// KeyFile is a PEM file with the one private key of the server
	// certificate, with the permissions that PostgreSQL asks for.
	KeyFile string `yaml:"key_file"`
	// ClientCAFile is a PEM file of the CAs whose client certificates are
	// accepted. Without it none are requested.
	ClientCAFile string `yaml:"client_ca_file"`
	// ClientCRLFile holds CRLs, in PEM or one in DER. With it every authority
	// on a client's chain needs one that is in force.
	ClientCRLFile string `yaml:"client_crl_file"`
	// ClientCert is none, optional or require.
	ClientCert string `yaml:"client_cert"`
	// ClientCertRecheck is end or keep: what happens to sessions whose client
	// certificate expires or is no longer trusted after a reload.
	ClientCertRecheck string `yaml:"client_cert_recheck"`
	// MinVersion is the lowest TLS version accepted: 1.2 or 1.3.
	MinVersion string `yaml:"min_version"`
	// MaxRecordSize is the most plaintext in a TLS record towards a client.
	// libpq's asynchronous interface can stall on more than 8 KiB, the size of
	// PostgreSQL's own records: it waits for the socket while the rest of the
	// record is in OpenSSL's buffer already.
	MaxRecordSize setting.Size `yaml:"max_record_size"`
	// Ciphers are the suites of TLS 1.2, separated by colons; empty: all that
	// have AEAD and forward secrecy.
	Ciphers string `yaml:"ciphers"`
	// Groups are the key exchanges, separated by colons; empty: crypto/tls's
	// own choice, which begins with post-quantum ones.
	Groups string `yaml:"groups"`
	// Certificates are more certificates, chosen by the requested server name. All
	// other clients get CertFile's.
	Certificates []CertificateConfig `yaml:"certificates"`
}

// Bounds of MaxRecordSize: what RFC 8449 lets a peer ask for at least, in
// round figures, and what a record holds at most (RFC 8446, 5.1).
const (
	minRecordSize = 512
	maxRecordSize = 16 * setting.KiB
)

// DefaultListenerConfig requires TLS 1.2 or newer. It names no files, so it
// is not valid by itself.
func DefaultListenerConfig() ListenerConfig {
	return ListenerConfig{Mode: ListenRequire, ClientCert: ClientCertOptional, ClientCertRecheck: RecheckEnd, MinVersion: "1.2", MaxRecordSize: 8 * setting.KiB}
}

var listenerVersions = map[string]uint16{
	"1.2": tls.VersionTLS12,
	"1.3": tls.VersionTLS13,
}

// Validate checks the values, not the files. Its error joins one *setting.Error
// for each wrong key.
func (c ListenerConfig) Validate() error {
	var f setting.Faults
	switch c.Mode {
	case ListenRequire, ListenPrefer:
		f.AddIf(c.CertFile == "", "cert_file", "required when mode is %s", c.Mode)
		f.AddIf(c.KeyFile == "", "key_file", "required when mode is %s", c.Mode)
	}
	f.OneOf("mode", c.Mode, ListenRequire, ListenPrefer, ListenDisable)
	c.validateClients(&f)
	f.OneOf("min_version", c.MinVersion, "1.2", "1.3")
	f.AddIf(c.MaxRecordSize < minRecordSize || c.MaxRecordSize > maxRecordSize,
		"max_record_size", "%v is outside the valid range (%dB .. %v)", c.MaxRecordSize, minRecordSize, maxRecordSize)
	_, _, err := parseCiphers(c.Ciphers)
	f.AddErr("ciphers", err)
	_, err = parseGroups(c.Groups)
	f.AddErr("groups", err)
	c.validateNames(&f)
	return f.Err()
}

func (c ListenerConfig) validateClients(f *setting.Faults) {
	f.OneOf("client_cert", c.ClientCert, ClientCertNone, ClientCertOptional, ClientCertRequire)
	if c.ClientCert == ClientCertRequire {
		switch {
		case c.ClientCAFile == "":
			f.Add("client_ca_file", "required when client_cert is require")
		case c.Mode != ListenRequire:
			f.Add("client_cert", "require is only valid with mode require")
		}
	}
	f.OneOf("client_cert_recheck", c.ClientCertRecheck, RecheckEnd, RecheckKeep)
	f.AddIf(c.ClientCRLFile != "" && c.ClientCAFile == "",
		"client_crl_file", "has no effect without client_ca_file")
}

// Warnings names the choices that are weaker than the default, one sentence
// each. It looks at the settings only; a loaded Listener has warnings about
// the files.
func (c ListenerConfig) Warnings() []string {
	switch c.Mode {
	case ListenPrefer:
		return []string{"mode prefer accepts clients in plaintext"}
	case ListenDisable:
		return []string{"mode disable accepts passwords and data in plaintext"}
	}
	if weak := WeakCiphers(c.Ciphers); len(weak) > 0 {
		return []string{"ciphers allows suites without AEAD: " + strings.Join(weak, ", ")}
	}
	return nil
}

// UpstreamConfig is what one database says about TLS to its servers, in
// libpq's keywords.
type UpstreamConfig struct {
	// SSLMode is verify-full, verify-ca, require or disable.
	SSLMode string `yaml:"sslmode"`
	// SSLRootCert is a PEM file of trusted certificates, or "system".
	SSLRootCert string `yaml:"sslrootcert"`
	// SSLCert is a PEM file with the certificate, and its intermediates, that
	// pgseal shows to servers that ask for one, and SSLKey its private key.
	SSLCert string `yaml:"sslcert"`
	SSLKey  string `yaml:"sslkey"`
	// SSLCRL holds CRLs, in PEM or one in DER. With it every authority on a
	// server's chain needs one that is in force.
	SSLCRL string `yaml:"sslcrl"`
	// SSLNegotiation is postgres or direct.
	SSLNegotiation string `yaml:"sslnegotiation"`
	// ChannelBinding is disable, prefer or require.
	ChannelBinding string `yaml:"channel_binding"`
	// MinVersion is the lowest TLS version accepted: TLSv1.2 or TLSv1.3.
	MinVersion string `yaml:"ssl_min_protocol_version"`
	// Groups are the key exchanges offered, separated by colons. Empty: at
	// first crypto/tls's own choice, and then what each server took.
	Groups string `yaml:"ssl_groups"`
}

// DefaultUpstreamConfig verifies the server in full, by TLS 1.2 or newer. It
// names no roots, so it is not valid by itself.
func DefaultUpstreamConfig() UpstreamConfig {
	return UpstreamConfig{
		SSLMode: SSLModeVerifyFull, SSLNegotiation: NegotiatePostgres,
		ChannelBinding: ChannelBindingPrefer, MinVersion: "TLSv1.2",
	}
}

var upstreamVersions = map[string]uint16{
	"TLSv1.2": tls.VersionTLS12,
	"TLSv1.3": tls.VersionTLS13,
}

// Validate checks the values, not the files. Its error joins one *setting.Error
// for each wrong key.
func (c UpstreamConfig) Validate() error {
	var f setting.Faults
	switch c.SSLMode {
	case SSLModeVerifyFull, SSLModeVerifyCA:
		f.AddIf(c.SSLRootCert == "", "sslrootcert",
			"required with sslmode %s: a file of trusted CA certificates, or %q", c.SSLMode, SystemRoots)
	case "prefer", "allow":
		f.Add("sslmode", "%q is not supported, since it falls back to plaintext: must be verify-full, verify-ca, require or disable", c.SSLMode)
	default:
		f.OneOf("sslmode", c.SSLMode, SSLModeVerifyFull, SSLModeVerifyCA, SSLModeRequire, SSLModeDisable)
	}
	f.AddIf(c.SSLRootCert == SystemRoots && (c.SSLMode == SSLModeVerifyCA || c.SSLMode == SSLModeRequire), "sslrootcert",
		"weak sslmode %q may not be used with sslrootcert %s (use verify-full)", c.SSLMode, SystemRoots)
	f.OneOf("ssl_min_protocol_version", c.MinVersion, "TLSv1.2", "TLSv1.3")
	_, err := parseGroups(c.Groups)
	f.AddErr("ssl_groups", err)
	c.validateMore(&f)
	return f.Err()
}

// validateMore looks at the keys that may be left out.
func (c UpstreamConfig) validateMore(f *setting.Faults) {
	plain := c.SSLMode == SSLModeDisable
	f.AddIf(plain && c.SSLCert != "", "sslcert", "has no effect with sslmode disable")
	f.AddIf(c.SSLCert != "" && c.SSLKey == "", "sslkey", "required with sslcert")
	f.AddIf(c.SSLCert == "" && c.SSLKey != "", "sslcert", "required with sslkey")
	f.AddIf(c.SSLCRL != "" && (plain || c.SSLRootCert == ""), "sslcrl", "has no effect without certificate verification: set sslrootcert")
	f.OneOf("sslnegotiation", c.SSLNegotiation, NegotiatePostgres, NegotiateDirect)
	f.AddIf(plain && c.SSLNegotiation == NegotiateDirect, "sslnegotiation", "direct requires TLS, but sslmode is disable")
	f.OneOf("channel_binding", c.ChannelBinding, ChannelBindingDisable, ChannelBindingPrefer, ChannelBindingRequire)
	f.AddIf(plain && c.ChannelBinding == ChannelBindingRequire, "channel_binding", "require needs TLS, but sslmode is disable")
}

// Warnings names the choices that are weaker than the default, one sentence
// each. It looks at the settings only; a loaded Upstream has warnings about
// the files.
func (c UpstreamConfig) Warnings() []string {
	switch c.verification() {
	case SSLModeVerifyCA:
		return []string{"sslmode " + c.SSLMode + " accepts any certificate of the CA, whatever its host name"}
	case SSLModeRequire:
		return []string{"sslmode require encrypts but does not verify the server certificate"}
	case SSLModeDisable:
		return []string{"sslmode disable sends passwords and data to the server in plaintext"}
	}
	return nil
}

// verification is the sslmode that is really carried out: libpq treats
// require as verify-ca when there are roots to verify by.
func (c UpstreamConfig) verification() string {
	if c.SSLMode == SSLModeRequire && c.SSLRootCert != "" {
		return SSLModeVerifyCA
	}
	return c.SSLMode
}
