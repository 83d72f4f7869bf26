package login

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
)

// Settings is the configuration of logins, swapped as a whole.
type Settings struct {
	Users    *auth.Users
	Access   *Access // nil means the default rules
	Auth     Config
	AuthPass string       // the password of auth_user, from its file
	Mocker   *auth.Mocker // nil means one with a random key
}

// Servers looks up roles in PostgreSQL. The pool's Manager does.
type Servers interface {
	LookupConfig(database string) (c pool.LookupConfig, password string, exists bool)
	RunLookup(ctx context.Context, database string, as pool.Login, most int, query string, args ...string) ([]wire.Row, error)
}

// Logins is shared by all logins. Any goroutine may use it.
type Logins struct {
	log        *zap.Logger
	settings   atomic.Pointer[Settings]
	mocker     *auth.Mocker // where the settings name none
	secrets    *secrets
	turns      *guard.HandshakeLimiter
	failed     *guard.FailedLoginLimiter
	handshakes stats.Handshakes
}

// New returns Logins whose roles are looked up by servers. Configure must follow.
func New(log *zap.Logger, servers Servers, turns *guard.HandshakeLimiter, failed *guard.FailedLoginLimiter) *Logins {
	p := &Logins{log: log, mocker: auth.NewMocker(nil), turns: turns, failed: failed}
	p.secrets = newSecrets(p, servers)
	return p
}

// Configure swaps the settings.
func (p *Logins) Configure(settings Settings) {
	if settings.Mocker == nil {
		settings.Mocker = p.mocker
	}
	if settings.Access == nil {
		settings.Access = defaultAccess()
	}
	p.settings.Store(&settings)
}

// Stop ends the lookups of logins.
func (p *Logins) Stop() { p.secrets.stop() }

// Handshakes returns how the TLS handshakes with clients ended.
func (p *Logins) Handshakes() *stats.Handshakes { return &p.handshakes }

// Login is one client's login. A goroutine of its own takes it from step to
// step, each once: Negotiate, Read, AgreeVersion, Authenticate, Send. BreakOff
// and what reads the contexts may be called from others.
type Login struct {
	logins  *Logins
	raw     *engine.Transport
	stopped context.Context // ends by BreakOff
	stop    context.CancelCauseFunc
	ctx     context.Context // ends at the deadline too
	release context.CancelFunc

	conn           net.Conn  // raw, or TLS on it
	tls            *tls.Conn // nil without TLS
	user, database string    // that the client asks for
	version        uint32    // of the protocol
	rule           hba.Rule  // the access rule that matched
	endpointHash   []byte    // of the certificate that the client was shown
	heard          time.Time // when its last message came
	unsent         []byte    // end of its authentication, which goes out with what the login ends in
}

// Begin starts the login of a connection, which must be over within timeout. End must
// follow.
func (p *Logins) Begin(raw *engine.Transport, timeout time.Duration) *Login {
	l := &Login{logins: p, raw: raw, conn: raw}
	deadline := time.Now().Add(timeout)
	l.stopped, l.stop = context.WithCancelCause(context.Background())
	l.ctx, l.release = context.WithDeadlineCause(l.stopped, deadline, ErrTimeout)
	raw.SetDeadline(deadline)
	return l
}

// End ends the login, whether it succeeded or not.
func (l *Login) End() {
	l.release()
	l.stop(nil)
}

// BreakOff makes the login end with ErrShutdown.
func (l *Login) BreakOff() {
	l.stop(ErrShutdown)
	l.raw.SetReadDeadline(time.Unix(1, 0))
}

// Context returns a context that ends when the login has to, at its deadline or
// by BreakOff. Its cause is the Refusal.
func (l *Login) Context() context.Context { return l.ctx }

// Deadline returns when the login has to be over.
func (l *Login) Deadline() time.Time {
	deadline, _ := l.ctx.Deadline()
	return deadline
}

// Conn returns the connection, with TLS if that has been negotiated.
func (l *Login) Conn() net.Conn { return l.conn }

// Version returns the version of the protocol that was agreed on.
func (l *Login) Version() uint32 { return l.version }

// Rule returns method and position of the matching access rule, empty if there is none
// yet.
func (l *Login) Rule() (method, place string) {
	if l.rule.Method == "" {
		return "", ""
	}
	return l.rule.Method, fmt.Sprintf("%s:%d", l.rule.File, l.rule.Line)
}

// Send sends b, behind what is left of the authentication, in one write.
func (l *Login) Send(b []byte) error {
	b = append(l.unsent, b...)
	l.unsent = nil
	return l.write(b)
}

// write sends a message.
func (l *Login) write(b []byte) error {
	if _, err := l.conn.Write(b); err != nil {
		return l.lost(err)
	}
	return nil
}

// addr returns the client's address, not valid for a unix socket.
func (l *Login) addr() netip.Addr {
	if tcp, ok := l.raw.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Doubt says that the server refused the credentials of the role: they are looked up
// again, in case they changed.
func (l *Login) Doubt() { l.logins.secrets.doubt(l.database, l.user) }
