package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// shutdown begins to shut the proxy down, and returns where its outcome will
// come.
func (h *house) shutdown(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- h.proxy.Shutdown(ctx) }()
	return done
}

func TestAShutdownEndsIdleClientsAtOnceAndBusyOnesAfterTheirTransaction(t *testing.T) {
	h := open(t)
	idle, busy, started := h.login("app"), h.login("app"), h.login("sess")
	started.ask("SELECT pid") // idle, and holds its server
	busy.do("BEGIN", "T")
	done := h.shutdown(t.Context())
	idle.refused("57P01")
	started.refused("57P01")
	nothing(t, "the end before the transaction is over", done)
	busy.do("INSERT", "T")
	busy.do("COMMIT", "I")
	busy.refused("57P01")
	ok(t, receive(t, "the end of the shutdown", done))
	if n := h.proxy.Clients(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
	if conn, err := net.Dial("tcp", h.listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("connections are still accepted")
	}
}

func TestAShutdownLetsARunningQueryFinish(t *testing.T) {
	h := open(t)
	started, release := h.server.hangs("SELECT pg_sleep(1)")
	c := h.login("app")
	c.write(query("SELECT pg_sleep(1)"))
	receive(t, "the start of the query", started)
	done := h.shutdown(t.Context())
	eventually(t, "the session has heard of it", func() bool { return h.sessionOf(c).ends.draining.Load() })
	close(release)
	c.want('C')
	c.wants(ready("I"))
	c.refused("57P01")
	ok(t, receive(t, "the end of the shutdown", done))
}

func TestAShutdownEndsALoginUnderWay(t *testing.T) {
	h := open(t)
	silent, half := h.dial(), h.dialTLS()
	half.write(packet(version3, "user", "alice", "database", "app"))
	half.want('R')
	eventually(t, "both are known", func() bool { return h.proxy.Clients() == 2 })
	done := h.shutdown(t.Context())
	half.refused("57P01")
	silent.refused("57P01")
	ok(t, receive(t, "the end of the shutdown", done))
}

func TestAShutdownWhosePatienceEndsCutsOffWhoIsLeft(t *testing.T) {
	h := open(t)
	started, _ := h.server.hangs("SELECT pg_sleep(60)")
	open, runs := h.login("app"), h.login("app")
	open.do("BEGIN", "T")
	runs.write(query("SELECT pg_sleep(60)"))
	receive(t, "the start of the query", started)
	ctx, cancel := context.WithCancel(t.Context())
	done := h.shutdown(ctx)
	nothing(t, "the end of the shutdown", done)
	cancel()
	if err := receive(t, "the end of the shutdown", done); !errors.Is(err, context.Canceled) {
		t.Errorf("the shutdown ended with %v", err)
	}
	open.ended()
	runs.ended()
}

func TestAShutdownEndsAClientThatWaitsForAServer(t *testing.T) {
	h := open(t, servers(1))
	holds, waits := h.login("app"), h.login("app")
	holds.do("BEGIN", "T")
	waits.write(query("SELECT pid"))
	h.waits(waits)
	done := h.shutdown(t.Context())
	holds.do("COMMIT", "I")
	holds.refused("57P01")
	if got := waits.answer(); got != "1" { // its turn came before its end
		t.Errorf("the client that waited got %q", got)
	}
	waits.refused("57P01")
	ok(t, receive(t, "the end of the shutdown", done))
}

func TestNothingIsListenedOnAfterAShutdown(t *testing.T) {
	h := open(t)
	ok(t, receive(t, "the end of the shutdown", h.shutdown(t.Context())))
	c := DefaultListenConfig()
	c.Address, c.TLS.Mode = "127.0.0.1:0", "disable"
	if _, err := h.proxy.Listen(c, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listening after the shutdown gave %v", err)
	}
}

func TestAShutdownInTheMidstOfManyLoginsLeavesNothing(t *testing.T) {
	h := open(t)
	for range 10 {
		c := h.dialTLS()
		c.write(packet(version3, "user", "alice", "database", "app"))
		c.authenticate(password)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	ok(t, receive(t, "the end of the shutdown", h.shutdown(ctx)))
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v", took)
	}
}

// It was accepted before the listener closed, and no session yet when the others
// were told.
func TestAClientThatComesTooLateToBeToldOfAShutdownIsToldStill(t *testing.T) {
	h := open(t)
	ok(t, receive(t, "the end of the shutdown", h.shutdown(t.Context())))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	ok(t, err)
	ok(t, conn.SetDeadline(time.Now().Add(patience)))
	late, err := ln.Accept()
	ok(t, err)
	served := make(chan error, 1)
	go func() {
		h.proxy.sessions.connected.Add(1)
		h.proxy.serve(h.listener, late, false)
		served <- nil
	}()
	c := &client{Conn: conn, t: t, raw: conn, params: map[string]string{}}
	c.refused("57P01")
	ok(t, receive(t, "the end of the login", served))
}

// To be told would cut off what a client that is refused has yet to read.
func TestWhoIsRefusedDuringAShutdownIsNotToldOfItToo(t *testing.T) {
	for range 30 {
		var l sessions
		var refused sync.Map
		var entering sync.WaitGroup
		begun := make(chan struct{}, 100)
		for range cap(begun) {
			entering.Go(func() {
				begun <- struct{}{}
				for {
					if s := new(session); !l.enter(s) {
						refused.Store(s, true)
						return
					}
				}
			})
		}
		<-begun
		told := l.refuse()
		entering.Wait()
		for _, s := range told {
			if _, is := refused.Load(s); is {
				t.Fatal("a session was refused, and told")
			}
		}
	}
}
