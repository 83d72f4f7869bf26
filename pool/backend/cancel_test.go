package backend

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
	"github.com/pgseal/pgseal/internal/wire"
)

// cancelPacket is the request that fits the key in welcome.
const cancelPacket = "\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x2akey!"

func TestACancelRequestGoesToTheHostThatAnswered(t *testing.T) {
	f := pgfake.New(t, hospitable)
	d := Dialer{Net: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := f.Dial(ctx, network, addr)
		if strings.HasPrefix(addr, "down") {
			conn.Close()
		}
		return named{conn, addr}, err
	}}
	to := target(t, func(s *setup) { s.Host = "down.internal,up.internal" })
	c, err := d.Dial(t.Context(), to)
	ok(t, err)
	defer c.Close()
	sent, err := d.Cancel(t.Context(), &c.Peer, to.Trust)
	ok(t, err)
	if got := f.Dialed()[2]; got != "up.internal:5432" || !sent {
		t.Errorf("it went to %s: %t", got, sent)
	}
	if got, _ := f.Peer(2).Received(); got != cancelPacket {
		t.Errorf("the server got %q, want %q", got, cancelPacket)
	}
}

// named is a connection that knows where it leads, as sockets do.
type named struct {
	net.Conn
	addr string
}

func (n named) RemoteAddr() net.Addr { return textAddr(n.addr) }

type textAddr string

func (a textAddr) Network() string { return "tcp" }
func (a textAddr) String() string  { return string(a) }

// A cancel key is as good as the connection: it is shown to a verified server
// only.
func TestACancelRequestIsVerifiedAsTheServerWas(t *testing.T) {
	good := pgfake.Issued(t)
	wrong := pgfake.Issued(t, func(r *devca.Request) { r.Hosts = []string{"other.internal"} })
	next := make(chan devca.Pair, 3)
	f := pgfake.Listen(t, func(p *peer) {
		p.Secure(<-next)
		code, body := p.Packet()
		if code == pgfake.AskCancel {
			return
		}
		p.Started(body)
		p.Welcome()
		p.Rest()
	})
	d, to := Dialer{Net: f.Dial}, target(t, verified(t, pgfake.Roots()[0], "verify-full"))
	next <- good
	c, err := d.Dial(t.Context(), to)
	ok(t, err)
	defer c.Close()
	next <- good
	_, err = d.Cancel(t.Context(), &c.Peer, to.Trust)
	ok(t, err)
	if wire, inside := f.Peer(1).Received(); inside != cancelPacket || strings.Contains(wire, "key!") {
		t.Errorf("the server got %q inside TLS", inside)
	}
	next <- wrong
	sent, err := d.Cancel(t.Context(), &c.Peer, to.Trust)
	ours(t, err, "TLS handshake", "other.internal")
	if wire, inside := f.Peer(2).Received(); sent || inside != "" || strings.Contains(wire, "key!") {
		t.Errorf("a server that could not be verified got %q", inside)
	}
}

func TestACancelRequestThatIsNotConfirmedEndsInTime(t *testing.T) {
	for name, test := range map[string]struct {
		bound func(context.Context) (context.Context, context.CancelFunc)
		after time.Duration
	}{
		"nothing bounds it":     {context.WithCancel, cancelTimeout},
		"its context is broken": {brokenAfter(3 * time.Second), 3 * time.Second},
		"its context expires": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Minute)
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := pgfake.New(t, func(p *peer) { p.Hold() })
				ctx, cancel := test.bound(t.Context())
				defer cancel()
				began := time.Now()
				d := Dialer{Net: f.Dial}
				p := &Peer{Addr: "db.internal:5432", Key: wire.CancelKey{PID: 42, Secret: "key!"}, network: "tcp"}
				sent, err := d.Cancel(ctx, p, target(t, nil).Trust)
				if took := time.Since(began); !sent || err == nil || took != test.after {
					t.Errorf("after %v it says %t, %v; want an error after %v", took, sent, err, test.after)
				}
				f.Wait()
			})
		})
	}
}

// brokenAfter ends a context that has no deadline.
func brokenAfter(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(d, cancel)
		return ctx, cancel
	}
}
