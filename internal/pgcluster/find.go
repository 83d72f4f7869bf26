package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// installedPlaces are where packages put PostgreSQL: Debian's, the PostgreSQL
// project's RPMs, Homebrew's, and an installation from source.
var installedPlaces = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/pgsql/bin",
}

// Find returns the directory of PostgreSQL's programs (initdb, postgres) for a
// major version such as "15"; "" stands for the newest one there is.
//
// It looks at the directories in $PGSEAL_PG_BIN first, and elsewhere only when
// none of them fits: in the places where packages install PostgreSQL, in the
// cache that scripts/install-postgres.sh fills, and at the postgres in PATH.
// The cache is $PGSEAL_PG_CACHE or, without it, /var/cache/pgseal for root and
// the user's cache directory plus /pgseal for others; PostgreSQL 18 is in its
// directory postgres/18/bin. The error lists what was looked at.
func Find(version string) (bindir string, err error) {
	f := finder{getenv: os.Getenv, lookPath: exec.LookPath, euid: os.Geteuid(), places: installedPlaces}
	return f.find(version)
}

// finder is Find's view of the machine, so that tests can stand in for it.
type finder struct {
	getenv   func(string) string
	lookPath func(string) (string, error)
	euid     int
	places   []string
}

// An installation is a directory with PostgreSQL's programs and their version.
type installation struct {
	bindir       string
	major, minor int
}

func (f finder) find(version string) (string, error) {
	major := 0
	if version != "" {
		var err error
		if major, err = strconv.Atoi(version); err != nil || major <= 0 {
			return "", fmt.Errorf("find PostgreSQL: %q is not a major version", version)
		}
	}
	var seen []string
	for _, dirs := range [][]string{filepath.SplitList(f.getenv("PGSEAL_PG_BIN")), f.elsewhere()} {
		best := installation{}
		for _, bindir := range dirs {
			in, err := inspect(bindir)
			if err != nil {
				seen = append(seen, fmt.Sprintf("%s (%v)", bindir, err))
				continue
			}
			seen = append(seen, fmt.Sprintf("%s (version %d)", bindir, in.major))
			if (major == 0 || in.major == major) && best.olderThan(in) {
				best = in
			}
		}
		if best.bindir != "" {
			return best.bindir, nil
		}
	}
	return "", f.notFound(version, seen)
}

// elsewhere returns the directories to look at after $PGSEAL_PG_BIN, each
// once, in the order in which equal versions win.
func (f finder) elsewhere() []string {
	var dirs []string
	add := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, pattern := range f.places {
		// The only error is a malformed pattern, and these are ours.
		matches, _ := filepath.Glob(pattern)
		for _, dir := range matches {
			add(dir)
		}
	}
	if cache := f.cacheDir(); cache != "" {
		// No cache, nothing to look at.
		versions, _ := os.ReadDir(filepath.Join(cache, "postgres"))
		for _, v := range versions {
			// A hidden one is an installation that goes on or was cut short.
			if !strings.HasPrefix(v.Name(), ".") {
				add(filepath.Join(cache, "postgres", v.Name(), "bin"))
			}
		}
	}
	if program, err := f.lookPath("postgres"); err == nil {
		// PATH often holds a lone link to the program: its neighbours are
		// where it points to.
		if real, err := filepath.EvalSymlinks(program); err == nil {
			program = real
		}
		add(filepath.Dir(program))
	}
	return dirs
}

// cacheDir follows the same rule as scripts/install-postgres.sh. Root's own
// cache will not do: the user that runs PostgreSQL cannot enter it.
func (f finder) cacheDir() string {
	if dir := f.getenv("PGSEAL_PG_CACHE"); dir != "" {
		return dir
	}
	if f.euid == 0 {
		return "/var/cache/pgseal"
	}
	if dir := f.getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "pgseal")
	}
	if home := f.getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "pgseal")
	}
	return ""
}

func (f finder) notFound(version string, seen []string) error {
	what := "PostgreSQL"
	if version != "" {
		what += " " + version
	}
	looked := "nothing"
	if len(seen) > 0 {
		looked = strings.Join(seen, ", ")
	}
	return fmt.Errorf("%s not found: looked at %s; "+
		"set PGSEAL_PG_BIN to the directory of its programs, install your system's package, "+
		"or run scripts/install-postgres.sh 18", what, looked)
}

func (in installation) olderThan(other installation) bool {
	return in.major < other.major || in.major == other.major && in.minor < other.minor
}

// inspect reads the version of the programs in bindir.
func inspect(bindir string) (installation, error) {
	if _, err := exec.LookPath(filepath.Join(bindir, "initdb")); err != nil {
		return installation{}, errors.New("no initdb")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bindir, "postgres"), "--version").Output()
	if err != nil {
		return installation{}, errors.New("postgres --version fails")
	}
	major, minor, err := parseVersion(string(out))
	return installation{bindir: bindir, major: major, minor: minor}, err
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d{1,6})(?:\.(\d{1,6}))?`)

// parseVersion reads what postgres --version prints, such as
// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" or "... 19beta1".
func parseVersion(line string) (major, minor int, err error) {
	found := versionLine.FindStringSubmatch(line)
	if found != nil {
		major, _ = strconv.Atoi(found[1])
		minor, _ = strconv.Atoi(found[2]) // there is none before the first release
	}
	if major == 0 {
		return 0, 0, errors.New("its version is not PostgreSQL's")
	}
	return major, minor, nil
}
