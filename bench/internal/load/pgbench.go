package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
)

// PgBench is the program that comes with PostgreSQL. One goroutine uses it at
// a time.
type PgBench struct {
	Path    string
	Version string

	// logins is how long the clients of earlier runs took to log in. The time
	// that pgbench is given includes it, the time it measures does not.
	logins map[crowdKey]time.Duration
}

// crowdKey tells runs apart whose logins take equally long.
type crowdKey struct {
	address string
	clients int
}

const (
	// loginGuess is how long a login takes where nothing is known yet.
	loginGuess = 4 * time.Millisecond

	// attempts bounds how often a run is made again because the logins took
	// the time that was meant for it.
	attempts = 4
)

// FindPgBench looks for the newest pgbench: where packages put it, then in
// PATH.
func FindPgBench(ctx context.Context) (PgBench, bool) {
	var best PgBench
	var bestMajor float64
	candidates := []string{}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/pgbench", "/usr/pgsql-*/bin/pgbench", "/opt/homebrew/opt/postgresql@*/bin/pgbench"} {
		found, _ := filepath.Glob(pattern) // the only error is a bad pattern
		candidates = append(candidates, found...)
	}
	if path, err := exec.LookPath("pgbench"); err == nil {
		candidates = append(candidates, path)
	}
	for _, path := range candidates {
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		version := strings.TrimPrefix(strings.TrimSpace(string(out)), "pgbench (PostgreSQL) ")
		number, _, _ := strings.Cut(version, " ")
		major, perr := strconv.ParseFloat(number, 64)
		if err == nil && perr == nil && major > bestMajor {
			best, bestMajor = PgBench{Path: path, Version: number}, major
		}
	}
	return best, best.Path != ""
}

// PgBenchRun is one run of pgbench.
type PgBenchRun struct {
	Endpoint *client.Endpoint
	Workload Workload
	Clients  int
	// Seconds are measured after the warm-up, which is not: about a second.
	Seconds int
	// Tick, if set, is called each second, with how often it was called before.
	// Outcome.Warmed tells at which of these calls the warm-up was over.
	Tick func(n int)
}

const (
	warmSecond = 1

	// warmEnough is the least time of work that is a warm-up.
	warmEnough = 500 * time.Millisecond
)

// errTooShort says that the logins left too little of the time.
var errTooShort = errors.New("clients did not log in in time")

// Run drives the endpoint. Transactions and time count from the end of the
// warm-up; the percentiles come from a sample of all transactions. An error
// holds what pgbench said first.
func (p *PgBench) Run(ctx context.Context, r PgBenchRun) (Outcome, error) {
	key := crowdKey{r.Endpoint.Address, r.Clients}
	logins, known := p.logins[key]
	if !known {
		logins = time.Duration(r.Clients) * loginGuess
	}
	for attempt := 1; ; attempt++ {
		o, took, err := p.runOnce(ctx, r, logins)
		if !errors.Is(err, errTooShort) || attempt == attempts {
			return o, err
		}
		logins = max(2*logins, took+took/2, time.Second)
		if p.logins == nil {
			p.logins = map[crowdKey]time.Duration{}
		}
		p.logins[key] = logins
	}
}

// runOnce makes one run that is long enough if all logins take no longer than
// that. It returns how long they took, 0 if pgbench did not say.
func (p *PgBench) runOnce(ctx context.Context, r PgBenchRun, logins time.Duration) (Outcome, time.Duration, error) {
	seconds := r.Seconds + warmSecond + int((logins+time.Second/2)/time.Second)
	limit := time.Duration(seconds)*time.Second + 2*time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("pgbench did not finish within %v", limit))
	defer cancel()
	dir, err := os.MkdirTemp("", "pgseal-bench-log-")
	if err != nil {
		return Outcome{}, 0, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, p.Path, r.args(seconds, filepath.Join(dir, "tx"))...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+r.Endpoint.Password, "LC_ALL=C")
	// A group of its own: a terminal's Ctrl-C reaches us, and we end it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return Outcome{}, 0, err
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return Outcome{}, 0, err
	}
	said := readProgress(stderr, r.Tick)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return Outcome{}, 0, context.Cause(ctx)
	}
	if err != nil || said.complaint != "" {
		return Outcome{}, 0, fmt.Errorf("pgbench: %s", said.reason(err))
	}
	sum, err := parseSummary(out.String())
	if err != nil {
		return Outcome{}, sum.logins, fmt.Errorf("pgbench: %w", err)
	}
	o, err := said.outcome(sum, r.Seconds)
	if err != nil {
		return o, sum.logins, fmt.Errorf("pgbench: %w", err)
	}
	return o, sum.logins, readLogs(dir, o.Latency)
}

func (r PgBenchRun) args(seconds int, logPrefix string) []string {
	builtin := "select-only"
	if r.Workload.Name == TPCB {
		builtin = "tpcb-like"
	}
	return []string{
		"--no-vacuum", "--builtin=" + builtin, "--protocol=" + r.Workload.Protocol,
		"--client=" + strconv.Itoa(r.Clients), "--jobs=" + strconv.Itoa(min(2, r.Clients)),
		"--time=" + strconv.Itoa(seconds), "--progress=1",
		"--log", "--sampling-rate=0.05", "--log-prefix=" + logPrefix,
		r.Endpoint.Conninfo,
	}
}

// chatter is what pgbench wrote to standard error.
type chatter struct {
	progress  []progress
	complaint string // the first line that tells of an error
	last      string
}

func (c chatter) reason(err error) string {
	switch {
	case c.complaint != "":
		return c.complaint
	case c.last != "":
		return c.last
	}
	return err.Error()
}

func readProgress(r io.Reader, tick func(n int)) chatter {
	var c chatter
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if p, ok := parseProgress(line); ok {
			if tick != nil {
				tick(len(c.progress))
			}
			c.progress = append(c.progress, p)
			continue
		}
		if text, ok := strings.CutPrefix(line, "pgbench: error: "); ok && c.complaint == "" {
			c.complaint = text
		}
		if strings.TrimSpace(line) != "" {
			c.last = line
		}
	}
	io.Copy(io.Discard, r) // a line too long for the scanner must not block it
	return c
}

// progress is a line that --progress prints. Its seconds count from before the
// logins, and its rate is that since the line before.
type progress struct{ seconds, tps float64 }

// parseProgress reads "progress: 1.0 s, 5132.1 tps, lat 3.100 ms stddev 1.2".
func parseProgress(line string) (progress, bool) {
	rest, ok := strings.CutPrefix(line, "progress: ")
	if !ok {
		return progress{}, false
	}
	var p progress
	if _, err := fmt.Sscanf(rest, "%f s, %f tps", &p.seconds, &p.tps); err != nil || p.seconds <= 0 {
		return progress{}, false
	}
	return p, true
}

// summary is what pgbench prints at its end.
type summary struct {
	transactions int64
	failed       int64
	tps          float64
	logins       time.Duration
}

func parseSummary(text string) (summary, error) {
	var s summary
	found := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		var err error
		switch {
		case strings.HasPrefix(line, "number of transactions actually processed: "):
			_, err = fmt.Sscanf(line, "number of transactions actually processed: %d", &s.transactions)
			found++
		case strings.HasPrefix(line, "number of failed transactions: "):
			_, err = fmt.Sscanf(line, "number of failed transactions: %d", &s.failed)
		case strings.HasPrefix(line, "tps = ") && !strings.Contains(line, "including"):
			_, err = fmt.Sscanf(line, "tps = %f", &s.tps)
			found++
		case strings.HasPrefix(line, "initial connection time = "):
			var ms float64
			_, err = fmt.Sscanf(line, "initial connection time = %f ms", &ms)
			s.logins = time.Duration(ms * float64(time.Millisecond))
		}
		if err != nil {
			return s, fmt.Errorf("unexpected line %q", line)
		}
	}
	if found != 2 || s.transactions == 0 || s.tps <= 0 {
		return s, errTooShort
	}
	return s, nil
}

// outcome takes the warm-up from what pgbench counted in all. Less than half of
// the time that was asked for is too short.
func (c chatter) outcome(s summary, seconds int) (Outcome, error) {
	logins := s.logins.Seconds()
	total := logins + float64(s.transactions)/s.tps
	before, last := 0.0, 0.0
	for i, p := range c.progress {
		before += p.tps * (p.seconds - last)
		last = p.seconds
		if p.seconds < logins+warmEnough.Seconds() {
			continue
		}
		measured := total - p.seconds
		if measured < float64(seconds)/2 {
			break
		}
		o := Outcome{
			Transactions: s.transactions - int64(before), All: s.transactions, Warmed: i,
			Elapsed: time.Duration(measured * float64(time.Second)), Latency: NewHistogram(), Failures: s.failed,
		}
		if s.failed > 0 {
			o.Err = fmt.Errorf("%d transactions failed", s.failed)
		}
		return o, nil
	}
	return Outcome{}, errTooShort
}

// readLogs reads the latencies from the files of --log: in each line the third
// word is the time in microseconds (PostgreSQL documentation, pgbench,
// "Per-Transaction Logging").
func readLogs(dir string, into *Histogram) error {
	files, err := filepath.Glob(filepath.Join(dir, "tx.*"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := readLog(name, into); err != nil {
			return fmt.Errorf("pgbench's log: %w", err)
		}
	}
	return nil
}

func readLog(name string, into *Histogram) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if d, ok := parseLogLine(lines.Text()); ok {
			into.Record(d)
		}
	}
	return lines.Err()
}

func parseLogLine(line string) (time.Duration, bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return 0, false
	}
	us, err := strconv.ParseInt(fields[2], 10, 64) // "failed" and "skipped" stand there too
	return time.Duration(us) * time.Microsecond, err == nil
}
