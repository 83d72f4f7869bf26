package relay_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgseal/pgseal/proxy/relay"
)

// TestClientsCannotTell has clients do what they like, a few at a time on fewer
// servers, and compares what each hears with what PostgreSQL would say to it
// alone. PGSEAL_TEST_SEED repeats one run and shows it, PGSEAL_SOAK is how long
// to go on.
func TestClientsCannotTell(t *testing.T) {
	if s := os.Getenv("PGSEAL_TEST_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, seed)
		return
	}
	messages := int64(1_000_000)
	if racing {
		messages /= 150
	}
	soak, err := time.ParseDuration(cmp.Or(os.Getenv("PGSEAL_SOAK"), "0s"))
	if err != nil {
		t.Fatal(err)
	}
	var sent, runs, forgiven atomic.Int64
	start, base := time.Now(), firstSeed
	if soak > 0 {
		base = rand.Uint64() >> 16
	}
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() && (soak == 0 && sent.Load() < messages || time.Since(start) < soak) {
				seed := base + uint64(runs.Add(1))
				w := newWorld(randomPlan(seed), seed)
				if w.run() != "" {
					judge(t, seed)
				}
				sent.Add(int64(w.messages))
				forgiven.Add(int64(w.forgiven))
			}
		})
	}
	wg.Wait()
	t.Logf("%d messages in %d runs from seed %d on, %d forgiven, %v", sent.Load(), runs.Load(), base, forgiven.Load(), time.Since(start).Round(time.Millisecond))
}

// firstSeed begins the runs that are the same each time; PGSEAL_SOAK tries others.
var firstSeed = uint64(100_000)

// randomPlan makes up a run.
func randomPlan(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := &plan{
		version: 15 + 3*r.IntN(2), servers: 1 + r.IntN(3), shared: r.IntN(10) > 0, single: r.IntN(10) == 0,
		policy: relay.Pin, always: r.IntN(8) == 0, copies: 1 + r.IntN(6),
	}
	switch r.IntN(8) {
	case 0:
		p.policy = relay.Strict
	case 1:
		p.policy = relay.Ignore
	case 2:
		p.policy = relay.Reject
	}
	if !p.shared {
		p.single, p.policy = false, relay.Pin
	}
	for i := range 1 + r.IntN(4) {
		var scripts []script
		for k := range 1 + r.IntN(3) {
			scripts = append(scripts, randomScript(r, fmt.Sprintf("t%d_%d", i+1, k+1), p.policy))
		}
		p.clients = append(p.clients, scripts)
	}
	return p
}

// judge shows a run that fails, as short as it gets.
func judge(t *testing.T, seed uint64) {
	p := randomPlan(seed)
	wrong := newWorld(p, seed).run()
	if closer := newWorld(p, seed).closely().run(); closer != "" {
		wrong = closer
	}
	if wrong == "" {
		t.Logf("seed %d: nothing wrong", seed)
		return
	}
	small, schedule := shrink(p, seed, kindOf(wrong))
	var b strings.Builder
	w := newWorld(small, schedule).closely()
	w.trace = func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	func() {
		defer func() {
			if r := recover(); r != nil {
				fmt.Fprintf(&b, "panic: %v\n%s", r, stack())
			}
		}()
		w.run()
	}()
	t.Errorf("PGSEAL_TEST_SEED=%d: %s\nat its shortest: %s\n%s", seed, wrong, small, b.String())
}

var particulars = regexp.MustCompile(`[0-9]+|hears .*|".*|\[.*`)

// kindOf is what is wrong without the particulars.
func kindOf(wrong string) string { return particulars.ReplaceAllString(wrong, "") }

func stack() string {
	b := make([]byte, 1<<12)
	return string(b[:runtime.Stack(b, false)])
}

func (p *plan) String() string {
	return fmt.Sprintf("PostgreSQL %d, %d servers, shared %v, statement mode %v, policy %s, always %v, %d copies",
		p.version, p.servers, p.shared, p.single, p.policy, p.always, p.copies)
}

// shrink leaves out what it can while the run still fails in one of a few orders
// of events, and returns the run and its order.
func shrink(p *plan, schedule uint64, kind string) (*plan, uint64) {
	deadline := time.Now().Add(60 * time.Second)
	try := func(q *plan) bool {
		for i := range uint64(20) {
			if time.Now().After(deadline) {
				return false
			}
			if wrong := newWorld(q, schedule+i).closely().run(); kindOf(wrong) == kind {
				p, schedule = q, schedule+i
				return true
			}
		}
		return false
	}
	for again := true; again; {
		again = false
		for i := 0; ; {
			list := p.smaller()
			if i >= len(list) {
				break
			}
			if try(list[i]) {
				again = true
			} else {
				i++
			}
		}
	}
	return p, schedule
}

// smaller returns runs that are a little smaller.
func (p *plan) smaller() (list []*plan) {
	edit := func(change func(q *plan)) {
		q := *p
		q.clients = nil
		for _, scripts := range p.clients {
			q.clients = append(q.clients, slices.Clone(scripts))
		}
		change(&q)
		list = append(list, &q)
	}
	for i, scripts := range p.clients {
		edit(func(q *plan) { q.clients = slices.Delete(q.clients, i, i+1) })
		for k, s := range scripts {
			edit(func(q *plan) { q.clients[i] = slices.Delete(q.clients[i], k, k+1) })
			for size := len(s.steps) / 2; size > 0; size /= 2 {
				for at := 0; at+size <= len(s.steps); at += size {
					edit(func(q *plan) {
						s := &q.clients[i][k]
						s.steps = slices.Delete(slices.Clone(s.steps), at, at+size)
						s.leaves = min(s.leaves, len(s.steps))
					})
				}
			}
			if len(s.startup) > 0 {
				edit(func(q *plan) { q.clients[i][k].startup = s.startup[1:] })
				edit(func(q *plan) { q.clients[i][k].startup = s.startup[:len(s.startup)-1] })
			}
			if s.leaves >= 0 {
				edit(func(q *plan) { q.clients[i][k].leaves = -1 })
			}
		}
	}
	for i, scripts := range p.clients {
		for k, s := range scripts {
			for at, st := range s.steps {
				if !st.waits {
					edit(func(q *plan) {
						q.clients[i][k].steps = slices.Clone(s.steps)
						q.clients[i][k].steps[at].waits = true
					})
				}
				if text := textOf(st.bytes); strings.Contains(text, ";") {
					edit(func(q *plan) { q.clients[i][k].steps = withText(s.steps, at, text) })
				}
			}
		}
	}
	for _, change := range []func(q *plan){
		func(q *plan) { q.servers-- }, func(q *plan) { q.always = false }, func(q *plan) { q.single = false },
		func(q *plan) { q.copies = 5 }, func(q *plan) { q.policy = relay.Pin }, func(q *plan) { q.version = 18 },
	} {
		if edit(change); list[len(list)-1].servers == 0 || list[len(list)-1].String() == p.String() {
			list = list[:len(list)-1]
		}
	}
	return list
}

// withText leaves a statement of a text out.
func withText(steps []step, at int, text string) []step {
	steps = slices.Clone(steps)
	_, rest, _ := strings.Cut(text, ";")
	m := []byte(strings.Replace(string(steps[at].bytes), text, rest, 1))
	m[1], m[2], m[3], m[4] = 0, 0, byte((len(m)-1)>>8), byte(len(m)-1)
	steps[at].bytes = m
	return steps
}
