package load

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
)

func TestPercentilesOfKnownLatencies(t *testing.T) {
	h := NewHistogram()
	for ms := 1; ms <= 1000; ms++ {
		h.Record(time.Duration(ms) * time.Millisecond)
	}
	for percentile, want := range map[float64]float64{50: 500, 90: 900, 99: 990, 99.9: 999, 100: 1000} {
		if got := h.Millis(percentile); math.Abs(got-want) > want/500 {
			t.Errorf("p%v is %v ms, want %v", percentile, got, want)
		}
	}
	if got := h.Mean(); math.Abs(got-500.5) > 1 {
		t.Errorf("mean is %v", got)
	}
	if h.Count() != 1000 || h.Max() < 999*time.Millisecond {
		t.Errorf("count %d, max %v", h.Count(), h.Max())
	}
}

func TestALatencyBeyondAllBoundsCountsAsTheLongest(t *testing.T) {
	h := NewHistogram()
	h.Record(48 * time.Hour)
	h.Record(-time.Second)
	if h.Count() != 2 || h.Max() < 9*time.Minute {
		t.Errorf("count %d, max %v", h.Count(), h.Max())
	}
}

// open runs an open loop on one fake connection, in fake time.
func open(t *testing.T, rate float64, d time.Duration, crowd int, do Transact) (o Outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		loop := OpenLoop{Rate: rate, Duration: d, SleepUntil: func(at time.Time) { time.Sleep(time.Until(at)) }}
		o = loop.Run(t.Context(), make(Crowd, crowd), do)
	})
	return o
}

func takes(d time.Duration) Transact {
	return func(*client.Conn, *rand.Rand) error { time.Sleep(d); return nil }
}

func TestAnOpenLoopCountsAStallForEveryoneItKeptWaiting(t *testing.T) {
	var once sync.Once
	o := open(t, 100, 10*time.Second, 1, func(c *client.Conn, r *rand.Rand) error {
		once.Do(func() { time.Sleep(2 * time.Second) })
		return takes(time.Millisecond)(c, r)
	})
	if o.Transactions != 1000 || o.Failures != 0 {
		t.Fatalf("%d transactions, %d failures", o.Transactions, o.Failures)
	}
	// Two seconds of stall meet 200 of 1000 that were due, the last of them by
	// little, and some more until the queue is gone: a closed loop would have
	// seen one slow answer, and a p90 of a millisecond.
	if p90 := o.Latency.Millis(90); p90 < 900 || p90 > 1300 {
		t.Errorf("p90 is %v ms, want about a second", p90)
	}
	if p50 := o.Latency.Millis(50); p50 > 2 {
		t.Errorf("p50 is %v ms: the stall is counted for those after it", p50)
	}
	if max := o.Latency.Max(); max < 1990*time.Millisecond || max > 2100*time.Millisecond {
		t.Errorf("the longest is %v, want 2 s", max)
	}
}

func TestAnOpenLoopKeepsItsRateWhileATargetKeepsUp(t *testing.T) {
	o := open(t, 200, 5*time.Second, 4, takes(2*time.Millisecond))
	if got := o.PerSecond(); math.Abs(got-200) > 2 {
		t.Errorf("achieved %v a second, want 200", got)
	}
	if p99 := o.Latency.Millis(99); p99 > 3 {
		t.Errorf("p99 is %v ms, want 2", p99)
	}
}

func TestAnOpenLoopShowsThatATargetIsTooSlow(t *testing.T) {
	o := open(t, 100, 5*time.Second, 1, takes(20*time.Millisecond))
	if got := o.PerSecond(); got > 51 {
		t.Errorf("achieved %v a second of a target that can do 50", got)
	}
	if p99 := o.Latency.Millis(99); p99 < 4500 {
		t.Errorf("p99 is %v ms: those who queued were forgotten", p99)
	}
}

func TestWhatNobodyIsLeftToServeCountsAsFailedAndAsWaiting(t *testing.T) {
	broken := errors.New("connection lost")
	o := open(t, 100, 2*time.Second, 2, func(*client.Conn, *rand.Rand) error { return broken })
	if o.Transactions != 0 || o.Failures != 200 || !errors.Is(o.Err, broken) {
		t.Errorf("%d transactions, %d failures, first %v", o.Transactions, o.Failures, o.Err)
	}
	if o.Latency.Max() < 1900*time.Millisecond {
		t.Errorf("the longest wait is %v", o.Latency.Max())
	}
}

func TestACancelledLoopEndsAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		loop := OpenLoop{Rate: 10, Duration: time.Hour, SleepUntil: func(at time.Time) { time.Sleep(time.Until(at)) }}
		begin := time.Now()
		o := loop.Run(ctx, make(Crowd, 1), func(*client.Conn, *rand.Rand) error { return ctx.Err() })
		if time.Since(begin) > 2*time.Second {
			t.Errorf("it went on for %v", time.Since(begin))
		}
		if !errors.Is(o.Err, why) {
			t.Errorf("the first failure is %v", o.Err)
		}
	})
}

func TestAClosedLoopGoesAsFastAsAnswersCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Closed(t.Context(), make(Crowd, 4), 2*time.Second, takes(10*time.Millisecond))
		if o.Transactions != 800 || o.Elapsed != 2*time.Second || o.PerSecond() != 400 {
			t.Errorf("%d in %v", o.Transactions, o.Elapsed)
		}
	})
}

func TestAConnectionThatFailsLeavesTheClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		o := Closed(t.Context(), make(Crowd, 1), time.Second, func(*client.Conn, *rand.Rand) error {
			if calls++; calls > 3 {
				return errors.New("lost")
			}
			return takes(time.Millisecond)(nil, nil)
		})
		if o.Transactions != 3 || o.Failures != 1 || calls != 4 {
			t.Errorf("%d done, %d failed, %d calls", o.Transactions, o.Failures, calls)
		}
	})
}

const summary15 = `pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: <builtin: select only>
scaling factor: 10
query mode: simple
number of clients: 16
number of threads: 2
maximum number of tries: 1
duration: 6 s
number of transactions actually processed: 90000
number of failed transactions: 0 (0.000%)
latency average = 1.067 ms
initial connection time = 61.234 ms
tps = 15000.000000 (without initial connection time)
`

func TestPgbenchsSummaryIsRead(t *testing.T) {
	got, err := parseSummary(summary15)
	if err != nil || got.transactions != 90000 || got.tps != 15000 || got.logins != 61234*time.Microsecond {
		t.Errorf("got %+v, %v", got, err)
	}
	older := strings.ReplaceAll(summary15, "without initial connection time", "excluding connections establishing")
	older = strings.Replace(older, "tps =", "tps = 14000.5 (including connections establishing)\ntps =", 1)
	if got, err := parseSummary(older); err != nil || got.tps != 15000 {
		t.Errorf("an older summary: got %+v, %v", got, err)
	}
	if got, err := parseSummary(strings.Replace(summary15, "failed transactions: 0", "failed transactions: 7", 1)); err != nil || got.failed != 7 {
		t.Errorf("with failures: got %+v, %v", got, err)
	}
}

func TestASummaryWithoutFiguresIsTooShort(t *testing.T) {
	for _, text := range []string{"", "duration: 2 s\n", strings.Split(summary15, "latency")[0], strings.Replace(summary15, "processed: 90000", "processed: 0", 1)} {
		if got, err := parseSummary(text); !errors.Is(err, errTooShort) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if _, err := parseSummary("number of transactions actually processed: many\n"); err == nil || errors.Is(err, errTooShort) {
		t.Errorf("a word for a number: got %v", err)
	}
}

func TestProgressLinesAreReadAndOthersAreNot(t *testing.T) {
	got, ok := parseProgress("progress: 1.0 s, 5132.1 tps, lat 3.100 ms stddev 1.200, 0 failed")
	if !ok || got != (progress{1, 5132.1}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	for _, line := range []string{"", "progress: ", "progress: x s, y tps", "progress: -1 s, 5 tps", "starting vacuum...end."} {
		if got, ok := parseProgress(line); ok {
			t.Errorf("%q gave %+v", line, got)
		}
	}
}

func TestTheWarmUpIsTakenFromWhatPgbenchCounted(t *testing.T) {
	var ticks []int
	said := readProgress(strings.NewReader("pgbench (15.18)\nprogress: 1.0 s, 10000.0 tps, lat 1 ms\nprogress: 2.0 s, 16000.0 tps, lat 1 ms\n"),
		func(n int) { ticks = append(ticks, n) })
	if !slices.Equal(ticks, []int{0, 1}) {
		t.Errorf("ticks were %v", ticks)
	}
	sum, err := parseSummary(summary15)
	if err != nil {
		t.Fatal(err)
	}
	// Six seconds of work after 61 ms of logins, less the first second.
	o, err := said.outcome(sum, 5)
	if err != nil || o.Transactions != 80000 || o.All != 90000 || o.Warmed != 0 || o.Elapsed.Round(time.Millisecond) != 5061*time.Millisecond {
		t.Errorf("got %+v, %v", o, err)
	}
	if _, err := said.outcome(sum, 11); !errors.Is(err, errTooShort) {
		t.Errorf("5 of 11 seconds: got %v, want errTooShort", err)
	}
	if _, err := (chatter{}).outcome(sum, 5); !errors.Is(err, errTooShort) {
		t.Errorf("without a warm-up: got %v, want errTooShort", err)
	}
}

// Figures that pgbench 15 printed for 200 clients: its seconds of progress
// count from before the logins, its rate at the end from after them.
func TestSlowLoginsCountNeitherAsWarmUpNorAsTime(t *testing.T) {
	said := readProgress(strings.NewReader("progress: 1.5 s, 9.5 tps, lat 8.333 ms\nprogress: 2.0 s, 14194.7 tps, lat 10.356 ms\n"+
		"progress: 3.0 s, 14980.3 tps, lat 9.388 ms\nprogress: 4.2 s, 13304.6 tps, lat 9.006 ms\n"), nil)
	o, err := said.outcome(summary{transactions: 38204, tps: 13537.110477, logins: 1406047 * time.Microsecond}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if o.Warmed != 1 || o.Elapsed.Round(100*time.Millisecond) != 2200*time.Millisecond {
		t.Errorf("the warm-up ends at tick %d, %v are measured", o.Warmed, o.Elapsed)
	}
	if got := o.PerSecond(); got < 13_300 || got > 15_000 {
		t.Errorf("%v a second, though no second had more than 14,980", got)
	}
}

func TestTheFirstErrorOfPgbenchIsWhatIsTold(t *testing.T) {
	said := readProgress(strings.NewReader("pgbench: error: client 3 script 0 aborted: server closed the connection\npgbench: error: client 4 aborted\npgbench: error: Run was aborted\n"), nil)
	if got := said.reason(errors.New("exit status 2")); got != "client 3 script 0 aborted: server closed the connection" {
		t.Errorf("got %q", got)
	}
	if got := (chatter{last: "last words"}).reason(errors.New("exit status 1")); got != "last words" {
		t.Errorf("got %q", got)
	}
	if got := (chatter{}).reason(errors.New("exit status 1")); got != "exit status 1" {
		t.Errorf("got %q", got)
	}
}

func TestLatenciesAreReadFromAllLogsOfPgbench(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tx.100":   "0 199 2241 0 1175850568 995598\n0 200 2465 0 1175850568 998079\n",
		"tx.100.1": "1 7 failed 0 1175850568 995598\n\n1 8 4000 0 1175850568 995598\nodd\n",
		"other":    "0 1 99999999 0 1 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := NewHistogram()
	if err := readLogs(dir, h); err != nil || h.Count() != 3 {
		t.Fatalf("%d latencies, %v", h.Count(), err)
	}
	if got := h.Millis(50); math.Abs(got-2.465) > 0.01 {
		t.Errorf("median is %v", got)
	}
}

func FuzzWhatPgbenchPrintsNeverPanics(f *testing.F) {
	f.Add(summary15)
	f.Add("progress: 1.0 s, 1 tps\npgbench: error: x\n")
	f.Add("1 2 3 4 5 6")
	f.Fuzz(func(t *testing.T, text string) {
		said := readProgress(strings.NewReader(text), nil)
		if s, err := parseSummary(text); err == nil {
			if o, err := said.outcome(s, 1); err == nil && o.Elapsed <= 0 {
				t.Errorf("no time passed: %+v", o)
			}
		}
		parseLogLine(text)
	})
}

func TestStatementsAreWrittenWithTheirParameters(t *testing.T) {
	if got := inline(tpcbSQL[4], []string{"1", "2", "3", "-4"}); !strings.HasSuffix(got, "VALUES (1, 2, 3, -4, CURRENT_TIMESTAMP)") {
		t.Errorf("got %q", got)
	}
	if got := inline("a $9 $", []string{"x"}); got != "a $9 $" {
		t.Errorf("got %q", got)
	}
}
