package engine

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// day is when the timeouts of these tests are: no clock runs in them.
var day = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func idleConns(n int) []*loopConn {
	conns := make([]*loopConn, n)
	for i := range conns {
		conns[i] = &loopConn{dueAt: -1}
	}
	return conns
}

// take returns the numbers of the connections that expire now, in order.
func (ts *timeouts) take(conns []*loopConn, now time.Time) (got []int) {
	for c := ts.expired(now); c != nil; c = ts.expired(now) {
		got = append(got, slices.Index(conns, c))
	}
	return got
}

func TestTimeoutsExpireInTheirOrderAndNotBefore(t *testing.T) {
	var ts timeouts
	conns := idleConns(3)
	ts.set(conns[0], day.Add(3*time.Second))
	ts.set(conns[1], day.Add(1*time.Second))
	ts.set(conns[2], day.Add(2*time.Second))
	steps := []struct {
		at   time.Duration
		want []int
	}{
		{0, nil},
		{time.Second - 1, nil},
		{time.Second, []int{1}},
		{time.Second, nil},
		{time.Minute, []int{2, 0}},
		{time.Hour, nil},
	}
	for _, s := range steps {
		if got := ts.take(conns, day.Add(s.at)); !slices.Equal(got, s.want) {
			t.Errorf("after %v expired %v, want %v", s.at, got, s.want)
		}
	}
}

func TestATimeoutThatIsSetAgainMoves(t *testing.T) {
	var ts timeouts
	conns := idleConns(3)
	for i, c := range conns {
		ts.set(c, day.Add(time.Duration(i+1)*time.Second))
	}
	ts.set(conns[0], day.Add(time.Minute))
	ts.set(conns[2], day)
	if got := ts.take(conns, day.Add(30*time.Second)); !slices.Equal(got, []int{2, 1}) {
		t.Errorf("expired %v", got)
	}
	if got := ts.take(conns, day.Add(time.Minute)); !slices.Equal(got, []int{0}) {
		t.Errorf("expired %v", got)
	}
}

func TestATimeoutThatIsTakenBackNeverExpires(t *testing.T) {
	var ts timeouts
	conns := idleConns(4)
	ts.set(conns[3], time.Time{}) // it has none
	for i, c := range conns {
		ts.set(c, day.Add(time.Duration(i)*time.Second))
	}
	ts.set(conns[1], time.Time{})
	ts.set(conns[3], time.Time{})
	ts.set(conns[3], time.Time{})
	if got := ts.take(conns, day.Add(time.Hour)); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("expired %v", got)
	}
	if len(ts.heap) != 0 {
		t.Errorf("%d connections are left", len(ts.heap))
	}
}

func TestALoopSleepsInWholeTicksAndNeverTooShort(t *testing.T) {
	var ts timeouts
	conns := idleConns(2)
	ts.set(conns[0], day.Add(time.Hour))
	ts.set(conns[1], day)
	for _, now := range []time.Duration{time.Second, 0, -1, -tick, -tick - 1, -10*tick + 1} {
		left := max(-now, 0)
		got := ts.next(day.Add(now))
		if got < left || got >= left+tick || got%tick != 0 {
			t.Errorf("with %v to go it sleeps %v", left, got)
		}
	}
}

// The heap does what a list that is searched from end to end does.
func TestTimeoutsDoWhatASlowListDoes(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 6))
		var ts timeouts
		conns := idleConns(20)
		list := map[int]time.Time{}
		now := day
		for range 300 {
			i := random.IntN(len(conns))
			switch random.IntN(4) {
			case 0:
				ts.set(conns[i], time.Time{})
				delete(list, i)
			case 1, 2:
				due := now.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
				ts.set(conns[i], due)
				list[i] = due
			case 3:
				now = now.Add(time.Duration(random.IntN(100)) * time.Millisecond)
				got := ts.take(conns, now)
				slices.Sort(got)
				var want []int
				for i, due := range list {
					if !due.After(now) {
						want = append(want, i)
						delete(list, i)
					}
				}
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d: expired %v, want %v", seed, got, want)
				}
			}
		}
		if len(ts.heap) != len(list) {
			t.Fatalf("seed %d: %d are left, want %d", seed, len(ts.heap), len(list))
		}
	}
}

// testClock is a clock that stands until it is set.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestTimeoutsFollowTheClockThatTheLoopIsGiven(t *testing.T) {
	for _, loops := range []int{1, 2, 8} {
		clock := &testClock{at: day}
		e, err := newLoops(zap.NewNop(), loops, clock.now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { within(t, "the engine to end", e.Close) })
		h := newHandler()
		fired, fire := signal()
		h.timedOut = fire
		adopt(t, e, true, h)
		wake := func() { // a loop looks at its clock when it wakes
			at(t, h.conn, func() {})
			at(t, h.conn, func() {})
		}
		at(t, h.conn, func() { h.conn.SetTimeout(24 * time.Hour) })
		for range 10 {
			clock.advance(24*time.Hour/10 - time.Nanosecond)
			wake()
		}
		if len(fired) > 0 {
			t.Fatal("it came early")
		}
		clock.advance(10 * time.Nanosecond)
		wake()
		receive(t, "the timeout", fired)
	}
}
