package integration

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// benchSeconds is how long each run of pgbench takes.
func benchSeconds(t *testing.T) int {
	t.Helper()
	v := os.Getenv("PGSEAL_TEST_SECONDS")
	if v == "" {
		return 1
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("PGSEAL_TEST_SECONDS is %q, and has to be a number of seconds", v)
	}
	return n
}

var (
	benchDone   = regexp.MustCompile(`number of transactions actually processed: (\d+)`)
	benchFailed = regexp.MustCompile(`number of failed transactions: [^0]`)
)

// benchTransactions returns how many transactions pgbench ran, and an error
// where one of them or a connection failed.
func benchTransactions(r result) (int, error) {
	done := benchDone.FindStringSubmatch(r.stdout)
	if r.status != 0 || done == nil || benchFailed.MatchString(r.stdout) {
		return 0, fmt.Errorf("pgbench ended with status %d:\n%s%s", r.status, r.stdout, r.stderr)
	}
	return strconv.Atoi(done[1])
}

// load is pgbench, running again and again until it is stopped.
type load struct {
	stopped chan struct{}
	done    chan struct{}
	n       int
	err     error // of the first run that failed
}

// startLoad runs the command, which should take a second or so, until stop or
// the end of the test. more makes a new command for each run.
func startLoad(t *testing.T, more func() *exec.Cmd) *load {
	l := &load{stopped: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for l.err == nil {
			var n int
			n, l.err = benchTransactions(runProgram(t, more()))
			l.n += n
			select {
			case <-l.stopped:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) end() {
	select {
	case <-l.stopped:
	default:
		close(l.stopped)
	}
	<-l.done
}

// stop ends the load. It fails the test unless every transaction, of which
// there has to be one at least, was carried out.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.end()
	if l.err != nil {
		t.Fatal(l.err)
	}
	if l.n == 0 {
		t.Fatal("the load did not run one transaction")
	}
	t.Logf("%d transactions under load, none failed", l.n)
}

// fill makes pgbench's tables in a database of the test's own.
func (p *pgseal) fill(t *testing.T, database string, scale int) {
	t.Helper()
	began := time.Now()
	r := runProgram(t, p.command(t, "pgbench", database, nil, "-i", "-s", strconv.Itoa(scale), "-q"))
	if r.status != 0 {
		t.Fatalf("pgbench -i ended with status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	t.Logf("pgbench -i took %v", time.Since(began).Round(time.Millisecond))
}
