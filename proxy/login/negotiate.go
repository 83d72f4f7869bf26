package login

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// Policy is the TLS policy of a listener.
type Policy struct {
	Mode  string                           // the tls mode
	Certs *reload.Store[*tlsconf.Listener] // nil if TLS is not spoken
}

// Opening is how a connection started.
type Opening struct {
	// Packet asks for a session, or is a CancelRequest.
	Packet wire.StartupPacket
	TLS    *tls.Conn         // nil without TLS
	Shown  *tlsconf.Listener // what the client was shown of the snapshot; nil without TLS
	Manner string            // how TLS began; empty without it
}

// negotiation is the first part of a connection: what comes before the
// startup packet of a session (PostgreSQL documentation, "Start-up", "SSL
// Session Encryption", "Canceling Requests in Progress"). Every packet is read
// to its exact end.
type negotiation struct {
	*Login
	policy   Policy
	sslAsked bool
	gssAsked bool
	shown    *tlsconf.Listener
}

// tlsHandshake is the type of the TLS record that a ClientHello comes in. No
// startup packet begins with it: it would be 368 MB long.
const tlsHandshake = 0x16

// BeginsTLS reports whether a connection whose first byte this is begins with
// TLS.
func BeginsTLS(first byte) bool { return first == tlsHandshake }

// Negotiate answers requests until a startup packet of protocol 3 or a CancelRequest
// has arrived. With an error the Opening says how far it got.
func (l *Login) Negotiate(policy Policy) (Opening, error) {
	n := &negotiation{Login: l, policy: policy}
	packet, err := n.run()
	return Opening{Packet: packet, TLS: n.tls, Shown: n.shown, Manner: n.negotiated()}, err
}

func (n *negotiation) run() (p wire.StartupPacket, err error) {
	first, ok, err := engine.PeekByte(n.conn)
	if err != nil {
		return p, n.readError(err)
	}
	if ok && BeginsTLS(first) && n.policy.Certs != nil {
		if err := n.direct(); err != nil {
			return p, err
		}
	}
	for {
		if p, err = wire.ReadStartup(n.conn); err != nil {
			return p, n.readError(err)
		}
		switch p.Code {
		case wire.SSLRequestCode:
			err = n.sslRequest()
		case wire.GSSEncCode:
			err = n.gssRequest()
		case wire.CancelCode:
			return p, nil
		default:
			return p, n.startup(p)
		}
		if err != nil {
			return p, err
		}
	}
}

// readError classifies an error while reading a startup packet.
func (n *negotiation) readError(err error) error {
	var malformed *wire.StartupError
	switch {
	case errors.As(err, &malformed):
		return Violation("%v", malformed)
	case hasEnded(err):
		if n.tls != nil {
			return fmt.Errorf("%w, after TLS was established", ErrProbe)
		}
		return ErrProbe
	}
	return lost(err)
}

// sslRequest answers an SSLRequest and secures the connection.
func (n *negotiation) sslRequest() error {
	if n.sslAsked || n.tls != nil {
		return Violation("duplicate SSL request")
	}
	n.sslAsked = true
	// Bytes sent before our answer are in plaintext: they may not be the TLS peer's
	// (CVE-2021-23214).
	if engine.HasUnread(n.conn) {
		return Violation("received unencrypted data after SSL request")
	}
	store := n.policy.Certs
	if store == nil {
		return n.answer('N')
	}
	if err := n.answer('S'); err != nil {
		return err
	}
	return n.handshake(store.Load())
}

// handshake makes the TLS handshake with one snapshot of certificate and CAs, once the
// handshake limiter allows it.
func (n *negotiation) handshake(snapshot *tlsconf.Listener) error {
	under := n.logins.turns.Conn(n.raw, n.Deadline(), n.stopped.Done())
	defer under.Done()
	shown := snapshot
	conn := tls.Server(under, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if err := under.Acquire(); err != nil {
			return nil, err
		}
		shown = snapshot.ForServerName(hello.ServerName)
		under.VerifyClient(shown.Config.ClientAuth != tls.NoClientCert)
		return shown.Config, nil
	}})
	began := time.Now()
	if err := conn.Handshake(); err != nil {
		if hasEnded(err) {
			n.logins.handshakes.Failed(stats.HandshakeLeft)
			return ErrProbe
		}
		n.logins.handshakes.Failed(stats.HandshakeFailed)
		return refuseHandshake(err)
	}
	n.logins.handshakes.Done(conn.ConnectionState(), time.Since(began))
	n.tls, n.conn, n.shown = conn, n.raw.LimitRecords(conn, shown.MaxRecordSize), shown
	return nil
}

// direct accepts a direct TLS connection (PostgreSQL 17's sslnegotiation=direct). As in
// PostgreSQL the client must use ALPN, which prevents cross-protocol attacks.
func (n *negotiation) direct() error {
	if err := n.handshake(n.policy.Certs.Load()); err != nil {
		return err
	}
	if n.tls.ConnectionState().NegotiatedProtocol == "" {
		if n.disconnects() {
			return ErrProbe
		}
		return refuseHandshake(errors.New("direct TLS connection without ALPN"))
	}
	return nil
}

// probeWait is how long a peer without ALPN may take to disconnect.
const probeWait = time.Second

// disconnects reports whether a peer closes the connection after its handshake, as
// probes of load balancers do. It waits a moment for that.
func (n *negotiation) disconnects() bool {
	wait := min(probeWait, time.Until(n.Deadline()))
	n.raw.SetReadDeadline(time.Now().Add(wait))
	var b [1]byte
	_, err := n.tls.Read(b[:])
	return hasEnded(err)
}

// negotiated names how TLS was negotiated, and is empty without TLS.
func (n *negotiation) negotiated() string {
	switch {
	case n.tls == nil:
		return ""
	case n.sslAsked:
		return stats.NegotiatedSSLRequest
	}
	return stats.NegotiatedDirect
}

func (n *negotiation) gssRequest() error {
	if n.gssAsked || n.tls != nil {
		return Violation("unexpected GSSAPI encryption request")
	}
	n.gssAsked = true
	if engine.HasUnread(n.conn) {
		return Violation("received unencrypted data after GSSAPI encryption request")
	}
	return n.answer('N')
}

// answer sends the one byte that answers a request for encryption.
func (n *negotiation) answer(b byte) error {
	_, err := n.conn.Write([]byte{b})
	switch {
	case err == nil:
		return nil
	case hasEnded(err):
		return ErrProbe
	}
	return lost(err)
}

// startup checks the startup packet of a session.
func (n *negotiation) startup(p wire.StartupPacket) error {
	if p.Major() != 3 {
		return Refuse(Protocol, wire.Fatal(wire.CodeFeatureNotSupported,
			fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", p.Major(), p.Minor())))
	}
	if n.tls == nil && n.policy.Mode == "require" {
		return Refuse(Rule, wire.Fatal(wire.CodeInvalidAuth, "SSL required").
			WithHint("Connect with sslmode=verify-full and sslrootcert set to the CA of the connection pooler's certificate."))
	}
	if n.shown != nil && n.shown.RequiresClientCert() && len(n.tls.ConnectionState().PeerCertificates) == 0 {
		return Refuse(Rule, wire.Fatal(wire.CodeInvalidAuth, "connection requires a valid client certificate").
			WithHint("Connect with sslcert and sslkey set to a certificate that the connection pooler trusts."))
	}
	return nil
}

// refuseHandshake returns the Refusal of a failed TLS handshake.
func refuseHandshake(err error) *Refusal {
	return &Refusal{Reason: Handshake, Cause: err}
}
