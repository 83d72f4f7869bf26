package run

import (
	"fmt"
	"io"
	"time"

	"github.com/pgseal/pgseal/bench/internal/scenario"
)

// progress tells what is measured now and how much time is left. The plan is
// corrected by how long the samples so far really took.
type progress struct {
	w       io.Writer
	clock   func() time.Time
	begun   time.Time
	planned time.Duration // of everything
	over    time.Duration // planned time of what is done
	last    string
}

func newProgress(w io.Writer, planned time.Duration) *progress {
	return &progress{w: w, clock: time.Now, begun: time.Now(), planned: planned}
}

// now tells of each round of each case once.
func (p *progress) now(c *scenario.Case, round, rounds int) {
	line := fmt.Sprintf("%s, %s: round %d of %d", c.Scenario, c.Name, round, rounds)
	if line == p.last {
		return
	}
	p.last = line
	fmt.Fprintf(p.w, "%-62s about %v left\n", line, p.left())
}

func (p *progress) done(planned time.Duration) { p.over += planned }

// left is what the rest will take, rounded as far as an estimate deserves.
func (p *progress) left() time.Duration {
	rest := p.planned - p.over
	// The first few samples say little about the others.
	if p.over > p.planned/20 && p.over > 0 {
		rest = time.Duration(float64(rest) * float64(p.clock().Sub(p.begun)) / float64(p.over))
	}
	if rest > 5*time.Minute {
		return rest.Round(time.Minute)
	}
	return rest.Round(5 * time.Second)
}
