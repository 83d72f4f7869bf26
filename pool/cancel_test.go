package pool

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/stats"
)

// cancelPacket is the request that fits the key in welcome.
const cancelPacket = "\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x2akey!"

// cancelling is the script of a server that does something of its own with
// CancelRequests.
func cancelling(with func(*peer)) func(*peer) {
	return func(p *peer) {
		if code, _ := p.packet(); code == askCancel {
			with(p)
			return
		}
		p.welcome()
		p.rest()
	}
}

func TestACancelRequestBringsTheServersKey(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		ok(t, s.PrepareCancel().Send(t.Context()))
		if got, _ := h.fake.peer(1).received(); got != cancelPacket {
			t.Errorf("the server got %q, want %q", got, cancelPacket)
		}
		h.pool.Release(s)
		h.wants(1, 0)
	})
}

// Otherwise the request could end the query of the next client.
func TestAServerIsLentToNobodyWhileACancelRequestIsUnderWay(t *testing.T) {
	slow := cancelling(func(*peer) { pass(5 * time.Second) })
	inHouse(t, slow, size(1), func(t *testing.T, h *house) {
		s := h.take()
		next := ask(h.pool)
		first, second := s.PrepareCancel(), s.PrepareCancel()
		h.pool.Release(s)
		if next.answered() {
			t.Fatal("the server was lent before the requests were even sent")
		}
		var requests sync.WaitGroup
		requests.Go(func() { ok(t, first.Send(t.Context())) })
		pass(2 * time.Second)
		requests.Go(func() { ok(t, second.Send(t.Context())) })
		pass(4 * time.Second)
		if next.answered() {
			t.Fatal("the server was lent while the second request was under way")
		}
		requests.Wait()
		if got := next.server(t); got != s {
			t.Error("afterwards the server was not lent")
		}
		h.pool.Release(s)
		h.wants(1, 0)
	})
}

func TestADiscardedServerEndsAfterTheCancelRequest(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		s := h.take()
		request := s.PrepareCancel()
		if v := h.pool.Snapshot(); v.Cancels != 1 || v.Servers != (stats.ServerCounts{Active: 1}) {
			t.Errorf("while its client has it the pool is %+v", v)
		}
		h.pool.Discard(s)
		h.wants(1, 0)
		if v := h.pool.Snapshot(); v.Cancels != 1 || v.Servers != (stats.ServerCounts{BeingCanceled: 1}) {
			t.Errorf("when its client has left it the pool is %+v", v)
		}
		ok(t, request.Send(t.Context()))
		h.wants(0, 0)
		if v := h.pool.Snapshot(); v.Cancels != 0 || v.Servers != (stats.ServerCounts{}) {
			t.Errorf("when the request is through the pool is %+v", v)
		}
	})
}

func TestAServerThatDoesNotConfirmACancelRequestIsGivenUp(t *testing.T) {
	for name, script := range map[string]func(*peer){
		"it never hangs up": func(p *peer) { p.hold() },
		"it answers":        func(p *peer) { p.fail("FATAL", "XX000", "what?") },
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, cancelling(script), nil, func(t *testing.T, h *house) {
				s := h.take()
				link := newHolder()
				s.SetLink(link)
				began := time.Now()
				says(t, s.PrepareCancel().Send(t.Context()), "did not confirm")
				if took := time.Since(began); took > DefaultConfig().CancelWaitTimeout {
					t.Errorf("it took %v", took)
				}
				<-link.closed
				h.pool.Discard(s)
				h.wants(0, 0)
			})
		})
	}
}

func TestAServerIsGivenUpWhereTheCancelRequestMayHaveGoneOut(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		dialer := h.manager.dialer
		h.manager.dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer(ctx, network, addr)
			return failing{conn}, err
		}
		if err := s.PrepareCancel().Send(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("got %v, want the error of the write", err)
		}
		h.pool.Release(s)
		h.wants(0, 0)
	})
}

// failing loses the connection in the middle of a write.
type failing struct{ net.Conn }

func (f failing) Write(b []byte) (int, error) { return len(b) / 2, errDown }

func TestAServerStaysWhereTheCancelRequestSurelyDidNotGoOut(t *testing.T) {
	t.Run("it can't be reached", func(t *testing.T) {
		inHouse(t, nil, nil, func(t *testing.T, h *house) {
			s := h.take()
			h.fake.setRefuse(errDown)
			if err := s.PrepareCancel().Send(t.Context()); !errors.Is(err, errDown) {
				t.Errorf("got %v, want the error of the dial", err)
			}
			h.pool.Release(s)
			h.wants(1, 0)
		})
	})
	t.Run("it gave no key", func(t *testing.T) {
		keyless := func(p *peer) {
			p.startup()
			p.authentication(0)
			p.send('Z', "I")
			p.rest()
		}
		inHouse(t, keyless, nil, func(t *testing.T, h *house) {
			s := h.take()
			says(t, s.PrepareCancel().Send(t.Context()), "no cancel key")
			if h.fake.dials() != 1 {
				t.Error("a connection was opened for nothing")
			}
			h.pool.Release(s)
			h.wants(1, 0)
		})
	})
}

func TestAServerThatDiesDuringACancelRequestIsCleanedUpAfterIt(t *testing.T) {
	slow := cancelling(func(*peer) { pass(5 * time.Second) })
	inHouse(t, slow, size(1), func(t *testing.T, h *house) {
		s := h.take()
		request := s.PrepareCancel()
		h.pool.Release(s)
		h.fake.peer(0).Close()
		synctest.Wait()
		ok(t, request.Send(t.Context()))
		h.wants(0, 0)
	})
}

func TestACancelRequestGoesToTheHostThatAnswered(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.Host = "down.internal,up.internal" }, func(t *testing.T, h *house) {
		dialer := h.manager.dialer
		h.manager.dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer(ctx, network, addr)
			if strings.HasPrefix(addr, "down") {
				conn.Close()
			}
			return named{conn, addr}, err
		}
		s := h.take()
		ok(t, s.PrepareCancel().Send(t.Context()))
		if got := h.fake.dialed[2]; got != "up.internal:5432" {
			t.Errorf("it went to %s", got)
		}
		h.pool.Release(s)
	})
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
	good := issued(t)
	wrong := issued(t, func(r *devca.Request) { r.Hosts = []string{"other.internal"} })
	next := make(chan devca.Pair, 3)
	f := listen(t, func(p *peer) {
		p.secure(<-next)
		code, body := p.packet()
		if code == askCancel {
			return
		}
		p.started(body)
		p.welcome()
		p.rest()
	})
	h := startHouse(t, f, verified(t, roots()[0], "verify-full"))
	next <- good
	s := h.take()
	next <- good
	ok(t, s.PrepareCancel().Send(t.Context()))
	if wire, inside := f.peer(1).received(); inside != cancelPacket || strings.Contains(wire, "key!") {
		t.Errorf("the server got %q inside TLS", inside)
	}
	next <- wrong
	says(t, s.PrepareCancel().Send(t.Context()), "TLS handshake", "other.internal")
	if wire, inside := f.peer(2).received(); inside != "" || strings.Contains(wire, "key!") {
		t.Errorf("a server that could not be verified got %q", inside)
	}
	h.pool.Release(s)
}
