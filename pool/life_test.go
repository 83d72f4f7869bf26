package pool

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

func TestServersThatBeganTogetherEndSpreadOverTheLastTenthOfTheirLifetime(t *testing.T) {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const lifetime = time.Hour
	seen := map[time.Time]bool{}
	early, late := 0, 0
	for range 1000 {
		end := expiry(created, lifetime)
		age := end.Sub(created)
		if age <= lifetime*9/10 || age > lifetime {
			t.Fatalf("a server ends after %v", age)
		}
		if age < lifetime*95/100 {
			early++
		} else {
			late++
		}
		seen[end] = true
	}
	if len(seen) < 900 || early < 300 || late < 300 {
		t.Errorf("%d different ends, %d in the first half and %d in the second: not spread", len(seen), early, late)
	}
	if !expiry(created, 0).IsZero() {
		t.Error("a server ends although server_lifetime is zero")
	}
}

func TestAnIdleServerEndsWhenServerLifetimeHasPassed(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.Defaults.ServerLifetime, s.Defaults.ServerIdleTimeout = time.Hour, 0
	}, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		pass(54 * time.Minute)
		h.wants(1, 0)
		pass(6*time.Minute + sweepEvery)
		h.wants(0, 0)
	})
}

func TestAServerInUseOutlivesServerLifetimeUntilItIsReleased(t *testing.T) {
	inHouse(t, nil, func(s *Spec) { s.Defaults.ServerLifetime = time.Hour }, func(t *testing.T, h *house) {
		s := h.take()
		pass(3 * time.Hour)
		h.wants(1, 0)
		if !s.SetLink(newHolder()) {
			t.Fatal("the server ended while it was in use")
		}
		h.pool.Release(s)
		h.wants(0, 0)
	})
}

func TestWithoutLimitsAnIdleServerStays(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.Defaults.ServerLifetime, s.Defaults.ServerIdleTimeout = 0, 0
	}, func(t *testing.T, h *house) {
		h.pool.Release(h.take())
		pass(3 * time.Hour)
		h.wants(1, 0)
	})
}

func TestAServerEndsWhenItWasIdleForServerIdleTimeout(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s, other := h.take(), h.take()
		pass(9 * time.Minute) // in use, which is not idle
		h.pool.Release(s)
		h.pool.Release(other)
		pass(9 * time.Minute)
		if h.take() != other {
			t.Fatal("not the server used last was lent")
		}
		h.pool.Release(other)
		h.wants(2, 0)
		pass(time.Minute + sweepEvery)
		h.wants(1, 0)
		if h.take() != other {
			t.Error("the server that was used a minute ago is the one that ended")
		}
		h.pool.Release(other)
		pass(10*time.Minute + sweepEvery)
		h.wants(0, 0)
	})
}

func TestAServerIsToldGoodbyeBeforeItIsClosed(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		h.pool.Discard(h.take())
		got, _ := h.fake.Peer(0).Received()
		if !strings.HasSuffix(got, "X\x00\x00\x00\x04") {
			t.Errorf("the server's last message was %q, want Terminate", got[max(0, len(got)-20):])
		}
	})
}

func TestAServerThatNeverHangsUpIsClosedAfterCloseWait(t *testing.T) {
	script := func(p *peer) {
		p.Startup()
		p.Welcome()
		p.Hold()
	}
	inHouse(t, script, size(1), func(t *testing.T, h *house) {
		h.pool.Discard(h.take())
		next := ask(h.pool)
		began := time.Now()
		h.pool.Release(next.server(t))
		if took := time.Since(began); took != backend.CloseWait {
			t.Errorf("the next client got a server after %v, want %v: until then the old one counts", took, backend.CloseWait)
		}
	})
}

func TestAServerThatDiesIdleIsDroppedAndItsPlaceFilled(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		first := h.take()
		h.pool.Release(first)
		h.fake.Peer(0).Close()
		h.wants(0, 0)
		second := h.take()
		if second == first || len(h.fake.Dialed()) != 2 {
			t.Error("the dead server was lent")
		}
		h.pool.Release(second)
	})
}

func TestAServerThatDiesAtTheMomentItIsReleasedIsNotLent(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		first := h.take()
		waiting := ask(h.pool)
		h.fake.Peer(0).Close()
		synctest.Wait()
		h.pool.Release(first)
		second := waiting.server(t)
		if second == first {
			t.Error("the dead server was lent")
		}
		h.pool.Release(second)
	})
}

func TestADeadServerTakesNoLink(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		if s.Err() != nil {
			t.Errorf("a living server has the error %v", s.Err())
		}
		h.fake.Peer(0).Close()
		synctest.Wait()
		if s.SetLink(newHolder()) {
			t.Error("a dead server took a link, which would never hear of it")
		}
		if !errors.Is(s.Err(), io.EOF) {
			t.Errorf("it ended with %v, want EOF", s.Err())
		}
		h.pool.Discard(s)
	})
}

// Whatever a server says unasked would reach the next client as the answer to
// its first query.
func TestAnIdleServerThatSpeaksOutOfTurnIsDropped(t *testing.T) {
	for name, message := range map[string]string{
		"a row":                              frame('D', "\x00\x00"),
		"ready for a query":                  frame('Z', "I"),
		"a command's end":                    frame('C', "SELECT 1\x00"),
		"a request to log in again":          frame('R', word(3)),
		"a new cancel key":                   frame('K', word(1), word(2)),
		"an unknown type":                    frame('?'),
		"an empty ParameterStatus":           frame('S'),
		"a ParameterStatus without a value":  frame('S', "TimeZone\x00"),
		"a ParameterStatus with more behind": frame('S', "a\x00b\x00c"),
		"a negative length":                  "N\xff\xff\xff\xff",
		"a length less than four":            "N\x00\x00\x00\x03",
		"a notice that is too long":          "N" + word(asyncLimit+5),
		"a row behind a notice":              frame('N', "\x00") + frame('D', "\x00\x00"),
		"a fatal error":                      frame('E', "SFATAL\x00C57P01\x00Mterminating connection\x00\x00"),
		"an error that has no end":           frame('E', "SFATAL"),
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, nil, size(1), func(t *testing.T, h *house) {
				h.pool.Release(h.take())
				h.fake.Push(0, message)
				pass(backend.CloseWait) // the fake has not hung up by itself
				h.wants(0, 0)
				closed := h.logs.FilterMessage("server closed").All()
				if len(closed) != 1 || closed[0].ContextMap()["error"] == nil {
					t.Errorf("the log does not say why: %v", closed)
				}
				h.pool.Release(h.take())
			})
		})
	}
}

func TestAnIdleServerMaySendWhatIsAsynchronous(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		s := h.take()
		h.pool.Release(s)
		messages := frame('N', "SNOTICE\x00C00000\x00Mhello\x00\x00") +
			frame('S', "TimeZone\x00Europe/Vienna\x00") +
			frame('A', word(7), "channel\x00payload\x00") +
			frame('S', "search_path\x00", strings.Repeat("x", 9000), "\x00") +
			frame('N', strings.Repeat("x", asyncLimit-wire.HeaderSize))
		h.fake.Push(0, append([]string{messages}, strings.Split(messages[:90], "")...)...)
		h.wants(1, 0)
		if h.take() != s {
			t.Fatal("the server was dropped")
		}
		params := s.Reported()
		if len(params) != 3 || params[1].Value != "Europe/Vienna" || params[2].Name != "search_path" {
			t.Errorf("the parameters are now %.80v", params)
		}
		h.pool.Discard(s) // a message is half sent
	})
}

func TestAServersBytesGoToTheLinkThatHoldsIt(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		link := newHolder()
		s.SetLink(link)
		s.Write([]byte(frame('Q', "SELECT 1\x00")), nil)
		synctest.Wait()
		if got, want := link.text(), frame('C', "SELECT 1\x00")+frame('Z', "I"); got != want {
			t.Errorf("the link was given %q, want %q", got, want)
		}
		h.pool.Release(s)
		h.fake.Push(0, frame('N', "\x00"))
		synctest.Wait()
		if strings.Contains(link.text(), "N\x00") {
			t.Error("a link was given bytes that came after it gave the server back")
		}
	})
}

// picky is a Link that takes only whole messages.
type picky struct{ *holder }

func (p picky) ServerBytes(s *Server, b []byte) int {
	used := 0
	for len(b)-used >= wire.HeaderSize {
		_, n := wire.ParseHeader(b[used:])
		if len(b)-used < wire.HeaderSize+n {
			break
		}
		used += wire.HeaderSize + n
	}
	return p.holder.ServerBytes(s, b[:used])
}

func TestWhatALinkLeavesComesAgainBeforeWhatFollows(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		link := picky{newHolder()}
		s.SetLink(link)
		want := frame('T', "\x00\x00") + frame('D', strings.Repeat("y", 5000)) + frame('C', "SELECT 1\x00") + frame('Z', "I")
		h.fake.Push(0, strings.Split(want, "")...)
		synctest.Wait()
		if link.text() != want {
			t.Error("the link was given other bytes than the server sent")
		}
		h.pool.Release(s)
	})
}

func TestALinkThatLeavesMoreThanTheBufferHoldsLosesTheServer(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		link := picky{newHolder()}
		s.SetLink(link)
		h.fake.Push(0, frame('D', strings.Repeat("y", 3*asyncLimit)))
		says(t, <-link.closed, "does not fit the buffer")
		h.pool.Discard(s)
	})
}

func TestALinkLearnsThatItsServerClosedAfterItsLastWords(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		s := h.take()
		link := newHolder()
		s.SetLink(link)
		words := frame('E', "SFATAL\x00C57P01\x00\x00")
		h.fake.Push(0, words)
		synctest.Wait()
		h.fake.Peer(0).Close()
		if err := <-link.closed; !errors.Is(err, io.EOF) {
			t.Errorf("it ended with %v, want EOF", err)
		}
		if link.text() != words {
			t.Errorf("the link was given %q, want %q", link.text(), words)
		}
		s.Write([]byte{0}, nil) // goes nowhere, and harms nobody
		h.pool.Discard(s)
	})
}

func TestBreakEndsAServerWhoeverHoldsIt(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		idle, held := h.take(), h.take()
		h.pool.Release(idle)
		link := newHolder()
		held.SetLink(link)
		held.Break()
		<-link.closed
		if held.SetLink(newHolder()) {
			t.Error("a broken server took a link")
		}
		h.pool.Release(held)
		idle.Break()
		pass(backend.CloseWait) // for the fake to hang up, which it does not
		h.wants(0, 0)
	})
}

func TestInvalidateEndsIdleServersAndThoseInUseWhenTheyComeBack(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		idle, held := h.take(), h.take()
		h.pool.Release(idle)
		h.pool.Database().Invalidate()
		fresh := h.take()
		if fresh == idle || fresh == held {
			t.Fatal("an old server was lent")
		}
		if !held.SetLink(newHolder()) {
			t.Error("a server ended while it was in use")
		}
		h.pool.Release(held)
		h.pool.Release(fresh)
		h.wants(1, 0)
		if h.take() != fresh {
			t.Error("the new server was not lent again")
		}
		h.pool.Release(fresh)
		h.pool.Database().Invalidate()
		pass(sweepEvery)
		h.wants(0, 0)
	})
}

func TestAServerThatWasBeingOpenedDuringInvalidateIsNotLent(t *testing.T) {
	inHouse(t, slowly(time.Second), nil, func(t *testing.T, h *house) {
		a := ask(h.pool)
		pass(time.Second / 2)
		h.pool.Database().Invalidate()
		h.pool.Release(a.server(t))
		if n := len(h.fake.Dialed()); n != 2 {
			t.Errorf("%d servers were opened, want a second one of the new generation", n)
		}
		h.wants(1, 0)
	})
}
