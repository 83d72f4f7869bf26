package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/reload"
)

// alpnProtocol is the name that PostgreSQL registered for ALPN (RFC 7301,
// PostgreSQL manual, "SSL Session Encryption").
const alpnProtocol = "postgresql"

// Listener is what a listener shows to clients: an immutable snapshot that any
// goroutine may read and nobody may change. A client's connection takes one
// before the handshake, has ForServerName choose from it, and asks that one for
// EndpointHash afterwards: crypto/tls does not tell which certificate it has
// shown.
type Listener struct {
	// Config is shared by all connections; clone it to change it. It is nil,
	// and all fields with it, when the mode is disable.
	Config *tls.Config
	// MaxRecordSize is the most plaintext that a record to a client may hold.
	// crypto/tls has no setting for it: the writer has to observe it.
	MaxRecordSize int
	// Leaf is the server certificate, Chain the whole of cert_file from Leaf
	// on, as it is sent.
	Leaf  *x509.Certificate
	Chain []*x509.Certificate
	// EndpointHash is the tls-server-end-point channel binding (RFC 5929,
	// section 4.1). It is nil if that is undefined, as for certificates
	// signed with Ed25519: then SCRAM-SHA-256-PLUS must not be offered.
	EndpointHash []byte
	// Fingerprint is the SHA-256 of the certificate, and SPKIFingerprint that
	// of its public key, which survives a renewal with the same key. Both are
	// in lower-case hex.
	Fingerprint     string
	SPKIFingerprint string
	// Database is the only one that clients of this certificate may reach, by
	// the name that they asked for. Empty: all.
	Database string
	// Warnings says what was odd about the certificate when it was loaded, one
	// sentence each.
	Warnings []string

	certFile      string
	names         nameTable    // what is presented to clients that request a name
	clients       *clientTrust // nil if clients are asked for no certificate
	requireClient bool
	recheck       bool
}

// NewListenerStore loads the certificate of a listener. The first load takes
// an expired certificate, with a warning: a pooler that does not start helps
// less than one whose clients can say why they refuse it. A reload does not
// put an expired certificate in the place of a valid one. With mode disable no
// file is read. The error is that of c.Validate or names the file.
func NewListenerStore(name string, c ListenerConfig) (*reload.Store[*Listener], error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if c.Mode == ListenDisable {
		return reload.NewStore(name, nil, func(reload.Contents) (*Listener, error) { return &Listener{}, nil })
	}
	return reload.NewStore(name, c.files(), func(contents reload.Contents) (*Listener, error) {
		return buildListener(c, c.entries(), contents)
	})
}

// files are all that a listener is made of.
func (c ListenerConfig) files() []reload.File {
	files := []reload.File{{Path: c.CertFile}, {Path: c.KeyFile, Secret: true}}
	if c.asksClients() {
		files = append(files, reload.File{Path: c.ClientCAFile})
		if c.ClientCRLFile != "" {
			files = append(files, reload.File{Path: c.ClientCRLFile, Max: crlFileSize})
		}
	}
	for _, e := range c.entries() {
		for _, f := range e.config.files() {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files
}

// buildListener builds what is presented to clients that request none of the names of
// entries, with what is shown to those.
func buildListener(c ListenerConfig, entries []entry, contents reload.Contents) (*Listener, error) {
	pair, chain, err := loadPair(c.CertFile, c.KeyFile, contents)
	if err != nil {
		return nil, err
	}
	clients, err := buildClientTrust(c, contents)
	if err != nil {
		return nil, err
	}
	names, err := buildNameTable(entries, contents)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &Listener{
		Config:          serverConfig(c, []tls.Certificate{*pair}, clients),
		MaxRecordSize:   int(c.MaxRecordSize),
		Leaf:            chain[0],
		Chain:           chain,
		EndpointHash:    EndpointHash(chain[0]),
		Fingerprint:     fingerprint(chain[0].Raw),
		SPKIFingerprint: fingerprint(chain[0].RawSubjectPublicKeyInfo),
		Warnings:        slices.Concat(chainWarnings(chain, now), clients.warnings(now), names.warnings()),
		certFile:        c.CertFile,
		names:           names,
		clients:         clients,
		requireClient:   c.ClientCert == ClientCertRequire,
		recheck:         c.ClientCertRecheck == RecheckEnd,
	}, nil
}

func serverConfig(c ListenerConfig, pairs []tls.Certificate, clients *clientTrust) *tls.Config {
	// Validate has seen both lists.
	ciphers, _, _ := parseCiphers(c.Ciphers)
	groups, _ := parseGroups(c.Groups)
	config := &tls.Config{
		Certificates:     pairs,
		MinVersion:       listenerVersions[c.MinVersion],
		CipherSuites:     ciphers,
		CurvePreferences: groups,
		// A client that offers no protocol is served all the same, one that
		// offers only others is refused.
		NextProtos: []string{alpnProtocol},
		// A resumed session would show a certificate that is no longer in
		// force, and PostgreSQL's clients do not resume.
		SessionTicketsDisabled: true,
		// Small first records help a browser draw early, not a query.
		DynamicRecordSizingDisabled: true,
	}
	clients.apply(config)
	return config
}

// LogFields describes the certificate by public facts.
func (l *Listener) LogFields() []zap.Field {
	if l.Leaf == nil {
		return nil
	}
	fields := []zap.Field{
		zap.String("subject", l.Leaf.Subject.String()),
		zap.String("serial", l.Leaf.SerialNumber.Text(16)),
		zap.String("not_after", l.Leaf.NotAfter.UTC().Format(time.RFC3339)),
		zap.String("fingerprint", l.Fingerprint),
	}
	if len(l.Warnings) > 0 {
		fields = append(fields, zap.Strings("warnings", l.Warnings))
	}
	return fields
}
