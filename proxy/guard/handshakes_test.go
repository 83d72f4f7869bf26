package guard

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// left returns how many queues the limiter keeps.
func (l *HandshakeLimiter) left() int { return len(l.sources) + len(l.waiting) }

func TestSourcesTakeTurnsHoweverManyOneOfThemSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewHandshakeLimiter()
		l.SetLimit(1)
		ok(t, l.Acquire(source("10.0.0.1"), time.Now().Add(time.Hour), nil))
		turns := make(chan string, 100)
		wait := func(addr string) {
			go func() {
				if l.Acquire(source(addr), time.Now().Add(time.Hour), nil) == nil {
					turns <- addr
				}
			}()
			synctest.Wait()
		}
		for range 20 {
			wait("10.0.0.66")
		}
		wait("10.0.0.2")
		wait("10.0.0.3")
		for i, want := range []string{"10.0.0.66", "10.0.0.2", "10.0.0.3", "10.0.0.66", "10.0.0.66"} {
			l.Release()
			synctest.Wait()
			if got := <-turns; got != want || len(turns) != 0 {
				t.Errorf("turn %d went to %s, want %s", i, got, want)
			}
		}
		l.SetLimit(100) // a larger bound holds at once
		synctest.Wait()
		if c := l.Counts(); len(turns) != 17 || c.Waiting != 0 || c.Running != 18 || l.left() != 0 {
			t.Errorf("%d turns came, and there are %+v", len(turns), c)
		}
	})
}

func TestWhoWaitsTooLongOrIsBrokenOffLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewHandshakeLimiter()
		l.SetLimit(1)
		ok(t, l.Acquire(source("10.0.0.1"), time.Now().Add(time.Hour), nil))
		stop := make(chan struct{})
		results := make(chan error, 3)
		go func() { results <- l.Acquire(source("10.0.0.2"), time.Now().Add(time.Second), nil) }()
		if err := <-results; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after its time: %v", err)
		}
		go func() { results <- l.Acquire(source("10.0.0.2"), time.Now().Add(time.Hour), stop) }()
		synctest.Wait()
		close(stop)
		if err := <-results; !errors.Is(err, net.ErrClosed) {
			t.Errorf("who is broken off gets %v", err)
		}
		if c := l.Counts(); c.Waiting != 0 || l.left() != 0 {
			t.Errorf("left is %+v", c)
		}
		l.Release()
		if c := l.Counts(); c.Running != 0 {
			t.Errorf("left is %+v", c)
		}
	})
}

func TestAConnectionHoldsItsTurnFromTheHelloToTheNextRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewHandshakeLimiter()
		l.SetLimit(1)
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		c := l.Conn(ours, time.Now().Add(time.Hour), nil)
		running := func(want int) {
			t.Helper()
			if n := l.Counts().Running; n != want {
				t.Errorf("%d turns are taken, want %d", n, want)
			}
		}
		send := func() { go theirs.Write([]byte{1}) }
		read := func() {
			t.Helper()
			_, err := c.Read(make([]byte, 1))
			ok(t, err)
		}
		ok(t, c.Acquire())
		running(1)
		send()
		read() // without a certificate to verify it needs no other turn
		running(0)
		ok(t, c.Acquire())
		c.VerifyClient(true)
		send()
		read()
		running(1)
		c.Done()
		running(0)
		send()
		read() // what follows needs no turns
		running(0)
	})
}
