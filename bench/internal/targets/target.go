package targets

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/proc"
	"github.com/pgseal/pgseal/bench/internal/result"
)

// Names of the built-in targets, in the order in which they take turns.
const (
	Direct    = "direct"
	PgSeal    = "pgseal"
	PgBouncer = "pgbouncer"
	HAProxy   = "haproxy"
)

// BuiltIn lists the targets that are started here.
var BuiltIn = []string{Direct, PgSeal, PgBouncer, HAProxy}

// Target is something that clients connect to.
type Target struct {
	Name     string
	Version  string
	Settings string // as configured, without secrets
	Endpoint *client.Endpoint
	// MaxClients is how many clients it can have, 0 where no limit is known.
	MaxClients int
	// NoPrepared says why it can't serve prepared statements of the protocol;
	// empty if it can.
	NoPrepared string
	// Scale is that of pgbench's tables behind it, 0 where it is not known.
	Scale int

	group   proc.Group // of a target that we did not start
	process *process   // nil for direct and for a user's own
	// replaceCertificate puts a new certificate in use; nil where we can't.
	replaceCertificate func(context.Context) error
}

// Group is the processes whose cost is the target's. It is empty for direct,
// where nothing stands between, and for a user's target without a process.
func (t *Target) Group() proc.Group {
	if t.process != nil {
		return proc.Tree(t.process.pid())
	}
	return t.group
}

// Alive says why a target that was started here runs no longer; nil while it
// does, and for all others.
func (t *Target) Alive() error {
	if t.process == nil {
		return nil
	}
	return t.process.alive()
}

// Signal sends a signal to a target that was started here and runs.
func (t *Target) Signal(s os.Signal) error {
	if t.process == nil {
		return fmt.Errorf("%s was not started here", t.Name)
	}
	return t.process.signal(s)
}

// Restartable reports whether Restart gives a fresh process.
func (t *Target) Restartable() bool { return t.process != nil }

// Restart ends the process and starts it anew, with nothing left in memory.
func (t *Target) Restart(ctx context.Context) error {
	if t.process == nil {
		return fmt.Errorf("%s was not started here", t.Name)
	}
	t.process.stop()
	return t.process.start(ctx)
}

// CanReplaceCertificate reports whether ReplaceCertificate works.
func (t *Target) CanReplaceCertificate() bool { return t.replaceCertificate != nil }

// ReplaceCertificate puts a new certificate in use for new connections.
func (t *Target) ReplaceCertificate(ctx context.Context) error {
	if t.replaceCertificate == nil {
		return fmt.Errorf("the certificate of %s cannot be replaced by the benchmark", t.Name)
	}
	return t.replaceCertificate(ctx)
}

// Probe logs in, runs one query and returns the target as a result describes
// it.
func (t *Target) Probe(ctx context.Context) (result.Target, error) {
	info := result.Target{Name: t.Name, Version: t.Version, Settings: t.Settings, TLS: "none"}
	c, err := client.Dial(ctx, t.Endpoint)
	switch {
	case errors.Is(err, client.ErrRefusesTLS):
		return info, fmt.Errorf("%w (sslmode=disable in its DSN would measure it without)", err)
	case err != nil:
		return info, err
	}
	defer c.Close()
	if _, err := c.Query("SELECT 1"); err != nil {
		return info, err
	}
	if state, ok := c.TLS(); ok {
		info.TLS = tls.VersionName(state.Version)
		info.Cipher = tls.CipherSuiteName(state.CipherSuite)
		info.Certificate = certificateKind(state.PeerCertificates)
	}
	return info, nil
}

func certificateKind(chain []*x509.Certificate) string {
	if len(chain) == 0 {
		return "none"
	}
	switch key := chain[0].PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return chain[0].PublicKeyAlgorithm.String()
}

// External takes a user's own target. group may be empty.
func External(name, dsn string, group proc.Group) (*Target, error) {
	e, err := client.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return &Target{Name: name, Version: "unknown", Settings: e.Conninfo, Endpoint: e, group: group}, nil
}
