package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/proc"
	"github.com/pgseal/pgseal/bench/internal/run"
	"github.com/pgseal/pgseal/bench/internal/scenario"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

const (
	defaultRounds = 3

	// Bounds of what may be asked for: every run ends.
	maxRounds  = 1000
	maxSeconds = 3600
	maxCrowd   = 10_000
	maxScale   = 1000
	maxWorkers = 64
)

const runHelp = `Usage: pgseal-bench run [flags]

Starts a throwaway PostgreSQL with TLS and, before it, pgseal, PgBouncer and
HAProxy, runs them in turns for several rounds, and prints what each costs.
With --target it measures what a DSN reaches instead; the tables of pgbench
must exist (pgbench -i). Passwords in a DSN are never written.

  pgseal-bench run --quick
  pgseal-bench run --scenario throughput,connect --clients 16,200
  pgseal-bench run --target staging='host=db user=app dbname=app sslmode=verify-full' --pid staging=1234

Exit status: 0 fine, 1 it ran with errors, 2 wrong usage or an invalid DSN.
`

// runOptions is what run's command line says.
type runOptions struct {
	run.Options
	out string
}

// pairs collects NAME=VALUE flags in the order they were given. What is not one
// is told by check: an error of Set would be shown with the value, which may
// hold a password.
type pairs [][2]string

func (p *pairs) String() string { return "" }

func (p *pairs) Set(text string) error {
	name, value, _ := strings.Cut(text, "=")
	*p = append(*p, [2]string{name, value})
	return nil
}

var targetName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (p pairs) check(option, value string) error {
	for _, pair := range p {
		if !targetName.MatchString(pair[0]) || pair[1] == "" {
			return fmt.Errorf("%s requires NAME=%s, with a name of letters, digits and \"._-\"", option, value)
		}
	}
	return nil
}

// runFlags are the flags as they were typed.
type runFlags struct {
	scenarios, builtIn, clients string
	external, pids, containers  pairs
	builds                      pairs
	workers                     string
}

// parseRun reads the command line; done tells that the command is over.
func parseRun(args []string, stdout, stderr io.Writer) (o runOptions, status int, done bool) {
	var f runFlags
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.BoolVar(&o.Quick, "quick", false, "fewer and shorter cases: a few minutes")
	flags.StringVar(&f.scenarios, "scenario", "", "only these, separated by commas (`NAMES`; pgseal-bench list)")
	flags.StringVar(&f.builtIn, "targets", "", "only these built-in targets, separated by commas (`NAMES`)")
	flags.Var(&f.external, "target", "measure the server of a DSN (`NAME=DSN`); may be given several times")
	flags.Var(&f.pids, "pid", "read CPU and memory of this process and its children (`NAME=PID`)")
	flags.Var(&f.containers, "container-pid", "read CPU and memory of all processes in the container of this host process (`NAME=PID`)")
	flags.StringVar(&f.clients, "clients", "", "numbers of clients, separated by commas (`LIST`), instead of each scenario's own")
	flags.IntVar(&o.Seconds, "seconds", 0, "length of one sample, `N` seconds, instead of each scenario's own")
	flags.IntVar(&o.Rounds, "rounds", defaultRounds, "number of rounds, `N`; with fewer than 3 nothing is concluded")
	flags.StringVar(&o.out, "out", "bench-results", "write the results to this `DIR`")
	flags.StringVar(&o.PgSealPath, "pgseal", "", "measure this `PROGRAM` instead of one built from the checkout")
	flags.Var(&f.builds, "also", "measure this build of pgseal as well, beside the other (`NAME=PROGRAM`); may be given several times")
	flags.StringVar(&f.workers, "workers", "", "measure pgseal with these numbers of event loops as well, separated by commas (`LIST`)")
	flags.StringVar(&o.PgBouncerPath, "pgbouncer", "", "measure this `PROGRAM` instead of the pgbouncer in PATH")
	flags.StringVar(&o.PostgreSQL, "postgres", "", "major `VERSION` of PostgreSQL instead of the newest")
	flags.IntVar(&o.Scale, "scale", 10, "scale of pgbench's tables: `N` times 100,000 rows")
	flags.BoolVar(&o.OwnLoad, "own-load", false, "measure throughput with built-in clients, even if pgbench is installed")
	if status, done := parseFlags(flags, args, runHelp, stdout, stderr); done {
		return o, status, true
	}
	if flags.NArg() > 0 {
		return o, usage(stderr, fmt.Errorf("unexpected argument %q", flags.Arg(0))), true
	}
	if err := f.into(&o); err != nil {
		return o, usage(stderr, err), true
	}
	o.Command = repeat(args)
	return o, exitFine, false
}

// into checks the flags and puts them where they belong.
func (f *runFlags) into(o *runOptions) (err error) {
	if o.Rounds < 1 || o.Rounds > maxRounds {
		return fmt.Errorf("--rounds %d is not between 1 and %d", o.Rounds, maxRounds)
	}
	if o.Seconds < 0 || o.Seconds > maxSeconds {
		return fmt.Errorf("--seconds %d is not between 1 and %d", o.Seconds, maxSeconds)
	}
	if o.Scale < 1 || o.Scale > maxScale {
		return fmt.Errorf("--scale %d is not between 1 and %d", o.Scale, maxScale)
	}
	if o.Scenarios, err = f.chosenScenarios(); err != nil {
		return err
	}
	if o.Clients, err = parseClients(f.clients); err != nil {
		return err
	}
	if err = errors.Join(f.external.check("--target", "DSN"), f.builds.check("--also", "PROGRAM"), f.pids.check("--pid", "PID"), f.containers.check("--container-pid", "PID")); err != nil {
		return err
	}
	if o.BuiltIn, err = f.chosenTargets(); err != nil {
		return err
	}
	if o.Variants, err = f.variants(o); err != nil {
		return err
	}
	for _, v := range o.Variants {
		if slices.Contains(o.BuiltIn, v.Name) {
			return fmt.Errorf("duplicate target %s", v.Name)
		}
		o.BuiltIn = append(o.BuiltIn, v.Name)
	}
	o.External, err = f.externals(o.BuiltIn)
	return err
}

// variants are the pgseals beside the one that is measured anyway.
func (f *runFlags) variants(o *runOptions) ([]targets.Variant, error) {
	var list []targets.Variant
	for _, b := range f.builds {
		list = append(list, targets.Variant{Name: b[0], Program: b[1]})
	}
	if f.workers == "" {
		return list, nil
	}
	for word := range strings.SplitSeq(f.workers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > maxWorkers {
			return nil, fmt.Errorf("--workers: %q is not a number from 1 to %d", word, maxWorkers)
		}
		list = append(list, targets.Variant{Name: fmt.Sprintf("pgseal-%d", n), Program: o.PgSealPath, Workers: n})
	}
	return list, nil
}

func (f *runFlags) chosenScenarios() ([]scenario.Scenario, error) {
	if f.scenarios == "" {
		return scenario.All, nil
	}
	var list []scenario.Scenario
	for name := range strings.SplitSeq(f.scenarios, ",") {
		s, ok := scenario.Find(strings.TrimSpace(name))
		if !ok {
			return nil, fmt.Errorf("unknown scenario %q; \"pgseal-bench list\" names them", name)
		}
		list = append(list, s)
	}
	return list, nil
}

// chosenTargets are all built-in ones unless the user has their own.
func (f *runFlags) chosenTargets() ([]string, error) {
	switch {
	case f.builtIn == "" && len(f.external) > 0:
		return nil, nil
	case f.builtIn == "":
		return targets.BuiltIn, nil
	}
	var list []string
	for name := range strings.SplitSeq(f.builtIn, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(targets.BuiltIn, name) {
			return nil, fmt.Errorf("unknown built-in target %q; available are %s", name, strings.Join(targets.BuiltIn, ", "))
		}
		if slices.Contains(list, name) {
			return nil, fmt.Errorf("duplicate target %s", name)
		}
		list = append(list, name)
	}
	return list, nil
}

func (f *runFlags) externals(builtIn []string) ([]run.External, error) {
	var list []run.External
	find := func(name string) int {
		return slices.IndexFunc(list, func(x run.External) bool { return x.Name == name })
	}
	for _, pair := range f.external {
		name := pair[0]
		if find(name) >= 0 || slices.Contains(builtIn, name) {
			return nil, fmt.Errorf("duplicate target %s", name)
		}
		if _, err := client.ParseDSN(pair[1]); err != nil {
			return nil, fmt.Errorf("target %s: %w", name, err)
		}
		list = append(list, run.External{Name: name, DSN: pair[1]})
	}
	for _, set := range []struct {
		option string
		pairs  pairs
		group  func(int) proc.Group
	}{{"--pid", f.pids, proc.Tree}, {"--container-pid", f.containers, proc.Container}} {
		for _, pair := range set.pairs {
			i := find(pair[0])
			if i < 0 {
				return nil, fmt.Errorf("%s: unknown --target %q", set.option, pair[0])
			}
			pid, err := strconv.Atoi(pair[1])
			if err != nil || pid < 1 {
				return nil, fmt.Errorf("%s %s: %q is not a process ID", set.option, pair[0], pair[1])
			}
			if !list[i].Group.Empty() {
				return nil, fmt.Errorf("%s %s: process already given", set.option, pair[0])
			}
			list[i].Group = set.group(pid)
		}
	}
	return list, nil
}

func parseClients(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	var list []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > maxCrowd {
			return nil, fmt.Errorf("--clients: %q is not a number from 1 to %d", word, maxCrowd)
		}
		list = append(list, n)
	}
	return list, nil
}

// repeat is the command line as a shell takes it, without passwords.
func repeat(args []string) string {
	words := []string{"pgseal-bench", "run"}
	for _, arg := range args {
		words = append(words, quote(withoutSecret(arg)))
	}
	return strings.Join(words, " ")
}

// withoutSecret takes the password out of NAME=DSN, with or without the flag
// before it; other words have none.
func withoutSecret(arg string) string {
	head := ""
	for _, flag := range []string{"--target=", "-target="} {
		if rest, ok := strings.CutPrefix(arg, flag); ok {
			head, arg = flag, rest
			break
		}
	}
	name, dsn, ok := strings.Cut(arg, "=")
	if !ok || strings.HasPrefix(name, "-") {
		return head + arg
	}
	return head + name + "=" + client.WithoutPassword(dsn)
}

// quote writes a word so that a shell reads it back as it was.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=,./:@+", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
