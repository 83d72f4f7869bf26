package pool

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/pgfake"
	"github.com/pgseal/pgseal/internal/stats"
)

// cancelPacket is the request that fits the key in welcome.
const cancelPacket = "\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x2akey!"

// cancelling is the script of a server that does something of its own with
// CancelRequests.
func cancelling(with func(*peer)) func(*peer) {
	return func(p *peer) {
		if code, _ := p.Packet(); code == pgfake.AskCancel {
			with(p)
			return
		}
		p.Welcome()
		p.Rest()
	}
}

func TestACancelRequestBringsTheServersKey(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		ok(t, s.PrepareCancel().Send(t.Context()))
		if got, _ := h.fake.Peer(1).Received(); got != cancelPacket {
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
		"it never hangs up": func(p *peer) { p.Hold() },
		"it answers":        func(p *peer) { p.Fail("FATAL", "XX000", "what?") },
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
		dialer := h.manager.dialer.Net
		h.manager.dialer.Net = func(ctx context.Context, network, addr string) (net.Conn, error) {
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
			h.fake.SetRefuse(errDown)
			if err := s.PrepareCancel().Send(t.Context()); !errors.Is(err, errDown) {
				t.Errorf("got %v, want the error of the dial", err)
			}
			h.pool.Release(s)
			h.wants(1, 0)
		})
	})
	t.Run("it gave no key", func(t *testing.T) {
		keyless := func(p *peer) {
			p.Startup()
			p.Authentication(0)
			p.Send('Z', "I")
			p.Rest()
		}
		inHouse(t, keyless, nil, func(t *testing.T, h *house) {
			s := h.take()
			says(t, s.PrepareCancel().Send(t.Context()), "no cancel key")
			if len(h.fake.Dialed()) != 1 {
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
		h.fake.Peer(0).Close()
		synctest.Wait()
		ok(t, request.Send(t.Context()))
		h.wants(0, 0)
	})
}
