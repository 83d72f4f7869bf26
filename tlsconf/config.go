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
	// ChannelBindingPrefer binds where the server offers it.
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
	// ClientCAFile is a PEM file of the authorities whose client certificates
	// are taken. Without it clients are asked for none.
	ClientCAFile string `yaml:"client_ca_file"`
	// ClientCRLFile holds CRLs, in PEM or one in DER. With it every authority
	// on a client's chain needs one that is in force.
	ClientCRLFile string `yaml:"client_crl_file"`
	// ClientCert is none, optional or require.
	ClientCert string `yaml:"client_cert"`
	// ClientCertRecheck is end or keep: what happens to sessions whose client
	// certificate expires or is not trusted any more after a reload.
	ClientCertRecheck string `yaml:"client_cert_recheck"`
	// MinVersion is the lowest TLS version taken: 1.2 or 1.3.
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
	// Certificates are more certificates, chosen by the name that clients ask
	// for. All others see CertFile's.
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
		f.AddIf(c.CertFile == "", "cert_file", "needed when mode is %s", c.Mode)
		f.AddIf(c.KeyFile == "", "key_file", "needed when mode is %s", c.Mode)
	case ListenDisable:
	default:
		f.Add("mode", "%q is not one of require, prefer, disable", c.Mode)
	}
	c.validateClients(&f)
	_, known := listenerVersions[c.MinVersion]
	f.AddIf(!known, "min_version", "%q is not one of 1.2, 1.3", c.MinVersion)
	f.AddIf(c.MaxRecordSize < minRecordSize || c.MaxRecordSize > maxRecordSize,
		"max_record_size", "%v is not between %dB and %v", c.MaxRecordSize, minRecordSize, maxRecordSize)
	_, _, err := parseCiphers(c.Ciphers)
	f.AddErr("ciphers", err)
	_, err = parseGroups(c.Groups)
	f.AddErr("groups", err)
	c.validateNames(&f)
	return f.Err()
}

func (c ListenerConfig) validateClients(f *setting.Faults) {
	switch c.ClientCert {
	case ClientCertNone, ClientCertOptional:
	case ClientCertRequire:
		switch {
		case c.ClientCAFile == "":
			f.Add("client_ca_file", "needed when client_cert is require")
		case c.Mode != ListenRequire:
			f.Add("client_cert", "require needs mode require: others come without TLS")
		}
	default:
		f.Add("client_cert", "%q is not one of none, optional, require", c.ClientCert)
	}
	f.AddIf(c.ClientCertRecheck != RecheckEnd && c.ClientCertRecheck != RecheckKeep,
		"client_cert_recheck", "%q is not one of end, keep", c.ClientCertRecheck)
	f.AddIf(c.ClientCRLFile != "" && c.ClientCAFile == "",
		"client_crl_file", "has no effect without client_ca_file")
}

// Warnings names the choices that are weaker than the default, one sentence
// each. It looks at the settings only; a loaded Listener has warnings about
// the files.
func (c ListenerConfig) Warnings() []string {
	switch c.Mode {
	case ListenPrefer:
		return []string{"mode prefer also takes clients that send everything in plaintext"}
	case ListenDisable:
		return []string{"mode disable takes passwords and data in plaintext"}
	}
	if weak := WeakCiphers(c.Ciphers); len(weak) > 0 {
		return []string{"ciphers takes suites without AEAD: " + strings.Join(weak, ", ")}
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
	// MinVersion is the lowest TLS version taken: TLSv1.2 or TLSv1.3.
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
			"sslmode %s needs a file of trusted certificates, or %q", c.SSLMode, SystemRoots)
	case SSLModeRequire, SSLModeDisable:
	case "prefer", "allow":
		f.Add("sslmode",
			"%q would fall back to plaintext whenever somebody in between refuses TLS: "+
				"choose verify-full, verify-ca, require or disable", c.SSLMode)
	default:
		f.Add("sslmode", "%q is not one of verify-full, verify-ca, require, disable", c.SSLMode)
	}
	f.AddIf(c.SSLRootCert == SystemRoots && (c.SSLMode == SSLModeVerifyCA || c.SSLMode == SSLModeRequire), "sslrootcert",
		"%q needs sslmode verify-full: without the name, any certificate of any public authority would pass", SystemRoots)
	_, known := upstreamVersions[c.MinVersion]
	f.AddIf(!known, "ssl_min_protocol_version", "%q is not one of TLSv1.2, TLSv1.3", c.MinVersion)
	_, err := parseGroups(c.Groups)
	f.AddErr("ssl_groups", err)
	c.validateMore(&f)
	return f.Err()
}

// validateMore looks at the keys that may be left out.
func (c UpstreamConfig) validateMore(f *setting.Faults) {
	plain := c.SSLMode == SSLModeDisable
	f.AddIf(plain && c.SSLCert != "", "sslcert", "has no effect with sslmode disable")
	f.AddIf(c.SSLCert != "" && c.SSLKey == "", "sslkey", "needed beside sslcert")
	f.AddIf(c.SSLCert == "" && c.SSLKey != "", "sslcert", "needed beside sslkey")
	f.AddIf(c.SSLCRL != "" && (plain || c.SSLRootCert == ""), "sslcrl", "has no effect where no certificate is verified: set sslrootcert")
	switch c.SSLNegotiation {
	case NegotiatePostgres:
	case NegotiateDirect:
		f.AddIf(plain, "sslnegotiation", "direct is a way to begin with TLS, and sslmode is disable")
	default:
		f.Add("sslnegotiation", "%q is not one of postgres, direct", c.SSLNegotiation)
	}
	switch c.ChannelBinding {
	case ChannelBindingDisable, ChannelBindingPrefer:
	case ChannelBindingRequire:
		f.AddIf(plain, "channel_binding", "require needs TLS, and sslmode is disable")
	default:
		f.Add("channel_binding", "%q is not one of disable, prefer, require", c.ChannelBinding)
	}
}

// Warnings names the choices that are weaker than the default, one sentence
// each. It looks at the settings only; a loaded Upstream has warnings about
// the files.
func (c UpstreamConfig) Warnings() []string {
	switch c.verification() {
	case SSLModeVerifyCA:
		return []string{"sslmode " + c.SSLMode + " takes any certificate of the authority, whatever host it names"}
	case SSLModeRequire:
		return []string{"sslmode require encrypts but does not verify who answers"}
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
