package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/machine"
	"github.com/pgseal/pgseal/bench/internal/proc"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/scenario"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

const (
	defaultScale   = 10
	maxConnections = 300
	poolSize       = 20
	maxClients     = 12_000

	// wantFiles is enough for ten thousand clients on both sides.
	wantFiles = 32_768
)

// ErrTarget says that a user's own target can't be measured: nothing was.
var ErrTarget = errors.New("target")

// External is a target that the user named.
type External struct {
	Name, DSN string
	Group     proc.Group
}

// Options say what to run.
type Options struct {
	scenario.Options
	Scenarios  []scenario.Scenario
	BuiltIn    []string // names, in their turn
	External   []External
	Rounds     int
	PgSealPath string
	// PgBouncerPath is the program, "" for the one in PATH.
	PgBouncerPath string
	Variants      []targets.Variant // more pgseals, named in BuiltIn too
	PostgreSQL    string            // major version, "" for the newest
	Scale         int               // of pgbench's tables, 0 for 10
	OwnLoad       bool              // no pgbench, even where it is installed
	Command       string            // to repeat it, without secrets
}

// Benchmark makes the run. Progress is told to w. It returns an error, and no
// run, only where nothing could be measured: ErrTarget (with one line that says
// why) for a user's own target, anything else for the set-up.
func Benchmark(ctx context.Context, o Options, w io.Writer) (*result.Run, error) {
	b := &benchmark{Options: o, w: w, started: time.Now()}
	defer b.close()
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	b.measure(ctx)
	b.describe()
	return &b.run, nil
}

// benchmark is one run under way.
type benchmark struct {
	Options
	w       io.Writer
	started time.Time
	lab     *targets.Lab // nil without built-in targets
	list    []*targets.Target
	env     scenario.Env
	run     result.Run
}

func (b *benchmark) close() {
	if b.lab == nil {
		return
	}
	if err := b.lab.Close(); err != nil {
		fmt.Fprintf(b.w, "clean up: %v\n", err)
	}
}

func (b *benchmark) say(format string, args ...any) { fmt.Fprintf(b.w, format+"\n", args...) }

// prepare starts and probes all targets.
func (b *benchmark) prepare(ctx context.Context) error {
	b.env = scenario.Env{Options: b.Options.Options, Files: proc.RaiseFileLimit(wantFiles)}
	if !b.OwnLoad {
		if p, ok := load.FindPgBench(ctx); ok {
			b.env.PgBench = &p
		}
	}
	// The user's own come first: what is wrong with them is told at once.
	for _, x := range b.External {
		if err := b.takeExternal(ctx, x); err != nil {
			return fmt.Errorf("%w %s: %w", ErrTarget, x.Name, err)
		}
	}
	if len(b.BuiltIn) > 0 {
		if err := b.startBuiltIn(ctx); err != nil {
			return err
		}
	}
	if len(b.list) == 0 {
		return errors.New("no target left to measure")
	}
	return nil
}

func (b *benchmark) takeExternal(ctx context.Context, x External) error {
	t, err := targets.External(x.Name, x.DSN, x.Group)
	if err != nil {
		return err
	}
	info, err := b.probe(ctx, t)
	if err != nil {
		return err
	}
	if !x.Group.Empty() {
		if _, err := x.Group.CPU(); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(b.Scenarios, func(s scenario.Scenario) bool { return s.Tables }) {
		if err := readScale(ctx, t); err != nil {
			return fmt.Errorf("%w: run pgbench -i there first", err)
		}
	}
	b.list = append(b.list, t)
	b.run.Targets = append(b.run.Targets, info)
	return nil
}

func readScale(ctx context.Context, t *targets.Target) error {
	c, err := client.Dial(ctx, t.Endpoint)
	if err != nil {
		return err
	}
	defer c.Close()
	t.Scale, err = load.Scale(c)
	return err
}

// startBuiltIn makes the throwaway PostgreSQL and starts what can be started.
// A program that is missing is left out; one that does not work is an error of
// the run.
func (b *benchmark) startBuiltIn(ctx context.Context) error {
	b.say("starting PostgreSQL and initializing its tables")
	lab, err := targets.NewLab(ctx, targets.Options{
		PostgreSQL: b.PostgreSQL, Scale: cmp.Or(b.Scale, defaultScale), MaxConnections: maxConnections,
		PoolSize: poolSize, MaxClients: maxClients, PgSealPath: b.PgSealPath,
		PgBouncerPath: b.PgBouncerPath, Variants: b.Variants,
	})
	if err != nil {
		return err
	}
	b.lab, b.env.Admin = lab, lab.Admin()
	for _, name := range b.BuiltIn {
		t, info, err := b.startOne(ctx, name)
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, targets.ErrMissing):
			b.leaveOut(name, err.Error())
		case err != nil:
			b.leaveOut(name, "it did not start")
			b.fail("%s: %v", name, err)
		default:
			b.list = append(b.list, t)
			b.run.Targets = append(b.run.Targets, info)
		}
	}
	return nil
}

func (b *benchmark) startOne(ctx context.Context, name string) (*targets.Target, result.Target, error) {
	t, err := b.lab.Start(ctx, name)
	if err != nil {
		return nil, result.Target{}, err
	}
	info, err := b.probe(ctx, t)
	return t, info, err
}

// probe learns what TLS the target negotiates, with our clients and, where
// they take part and differ, with libpq's.
func (b *benchmark) probe(ctx context.Context, t *targets.Target) (result.Target, error) {
	info, err := t.Probe(ctx)
	if err != nil || b.env.PgBench == nil {
		return info, err
	}
	if cipher := libpqCipher(ctx, b.env.PgBench.Path, t.Endpoint); cipher != "" && cipher != info.Cipher {
		info.Cipher = fmt.Sprintf("%s with pgbench, %s with own clients", cipher, info.Cipher)
	}
	return info, nil
}

var cipherName = regexp.MustCompile(`\b(TLS_[A-Z0-9_]+|(?:ECDHE|DHE)-[A-Z0-9-]+)\b`)

// libpqCipher asks the psql that stands beside pgbench, if there is one.
func libpqCipher(ctx context.Context, pgbench string, e *client.Endpoint) string {
	psql := filepath.Join(filepath.Dir(pgbench), "psql")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, psql, "--no-psqlrc", "--command=\\conninfo", e.Conninfo)
	cmd.Env = append(cmd.Environ(), "PGPASSWORD="+e.Password, "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return cipherName.FindString(string(out))
}

func (b *benchmark) leaveOut(name, why string) {
	left := result.LeftOut{Name: name, Why: why}
	if slices.Contains(b.run.Meta.LeftOut, left) {
		return
	}
	b.run.Meta.LeftOut = append(b.run.Meta.LeftOut, left)
	b.say("skipped: %s: %s", name, why)
}

func (b *benchmark) fail(format string, args ...any) {
	text := oneLine(fmt.Sprintf(format, args...))
	if slices.Contains(b.run.Errors, text) {
		return
	}
	b.run.Errors = append(b.run.Errors, text)
	b.say("error: %s", text)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// describe fills in where, when and how.
func (b *benchmark) describe() {
	facts := machine.Look()
	m := &b.run.Meta
	m.Started, m.Seconds, m.Command = b.started.UTC().Truncate(time.Second), time.Since(b.started).Seconds(), b.Command
	m.Kernel, m.CPU, m.Cores, m.Memory = facts.Kernel, facts.CPU, facts.Cores, facts.Memory
	m.Go = runtime.Version()
	m.PostgreSQL = "not started here"
	if b.lab != nil {
		m.PostgreSQL = b.lab.Version()
	}
	m.Load = "own clients"
	if b.env.PgBench != nil {
		m.Load = fmt.Sprintf("throughput: pgbench %s; all else: own clients, key exchange X25519", b.env.PgBench.Version)
	}
	m.LoadCPU = b.env.LoadCPU.Seconds()
	b.run.Version = result.Version
}
