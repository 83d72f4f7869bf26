package pgcluster

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writeProgram writes an executable shell script.
func writeProgram(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// fakeInstall makes a directory whose postgres says it is of a version.
func fakeInstall(t *testing.T, dir, version string) string {
	t.Helper()
	writeProgram(t, dir, "postgres", `echo "postgres (PostgreSQL) `+version+`"`)
	writeProgram(t, dir, "initdb", "exit 1")
	return dir
}

// fakeMachine is a finder that sees nothing of the real machine.
func fakeMachine(env map[string]string) finder {
	return finder{
		getenv:   func(name string) string { return env[name] },
		lookPath: func(string) (string, error) { return "", exec.ErrNotFound },
		euid:     1000,
	}
}

func mustFind(t *testing.T, f finder, version, want string) {
	t.Helper()
	got, err := f.find(version)
	if err != nil || got != want {
		t.Errorf("find(%q) is %q, %v; want %q", version, got, err, want)
	}
}

func TestFindTakesTheNewestUnlessToldAVersion(t *testing.T) {
	root := t.TempDir()
	f := fakeMachine(nil)
	f.places = []string{filepath.Join(root, "*", "bin")}
	nine := fakeInstall(t, filepath.Join(root, "9", "bin"), "9.6.24")
	old := fakeInstall(t, filepath.Join(root, "15", "bin"), "15.18 (Debian 15.18-0+deb12u1)")
	fakeInstall(t, filepath.Join(root, "a-17", "bin"), "17.2")
	newer := fakeInstall(t, filepath.Join(root, "b-17", "bin"), "17.10")
	beta := fakeInstall(t, filepath.Join(root, "19", "bin"), "19beta1")
	mustFind(t, f, "", beta)
	mustFind(t, f, "17", newer)
	mustFind(t, f, "15", old)
	mustFind(t, f, "9", nine)
}

func TestWhatTheUserNamesWinsOverANewerOneElsewhere(t *testing.T) {
	root := t.TempDir()
	mine := fakeInstall(t, filepath.Join(root, "mine"), "15.1")
	second := fakeInstall(t, filepath.Join(root, "second"), "16.1")
	other := fakeInstall(t, filepath.Join(root, "other"), "18.0")
	f := fakeMachine(map[string]string{"PGSEAL_PG_BIN": mine + ":" + second})
	f.places = []string{other}
	mustFind(t, f, "", second)
	mustFind(t, f, "15", mine)
	mustFind(t, f, "18", other)
}

func TestFindLooksIntoTheCacheOfTheInstallScript(t *testing.T) {
	root := t.TempDir()
	want := fakeInstall(t, filepath.Join(root, "pgseal", "postgres", "18", "bin"), "18.4")
	mustFind(t, fakeMachine(map[string]string{"PGSEAL_PG_CACHE": filepath.Join(root, "pgseal")}), "18", want)
	mustFind(t, fakeMachine(map[string]string{"XDG_CACHE_HOME": root, "HOME": "/elsewhere"}), "18", want)
	home := t.TempDir()
	want = fakeInstall(t, filepath.Join(home, ".cache", "pgseal", "postgres", "18", "bin"), "18.4")
	mustFind(t, fakeMachine(map[string]string{"HOME": home}), "", want)
}

func TestRootsCacheIsWhereAnotherUserCanEnter(t *testing.T) {
	f := fakeMachine(map[string]string{"HOME": "/root", "XDG_CACHE_HOME": "/root/.cache"})
	f.euid = 0
	if got := f.cacheDir(); got != "/var/cache/pgseal" {
		t.Errorf("got %q", got)
	}
}

func TestALinkInPATHLeadsToTheProgramsBesideItsTarget(t *testing.T) {
	root := t.TempDir()
	real := fakeInstall(t, filepath.Join(root, "real"), "16.3")
	link := filepath.Join(root, "postgres")
	if err := os.Symlink(filepath.Join(real, "postgres"), link); err != nil {
		t.Fatal(err)
	}
	f := fakeMachine(nil)
	f.lookPath = func(string) (string, error) { return link, nil }
	resolved, err := filepath.EvalSymlinks(real)
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, f, "", resolved)
}

func TestWhenNothingFitsTheErrorSaysWhatWasSeenAndWhatToDo(t *testing.T) {
	root := t.TempDir()
	fakeInstall(t, filepath.Join(root, "old"), "14.9")
	fakeInstall(t, filepath.Join(root, "notpg"), "")
	writeProgram(t, filepath.Join(root, "broken"), "postgres", "exit 1")
	writeProgram(t, filepath.Join(root, "broken"), "initdb", "exit 1")
	writeProgram(t, filepath.Join(root, "client"), "psql", "exit 0")
	f := fakeMachine(map[string]string{"PGSEAL_PG_BIN": filepath.Join(root, "missing")})
	f.places = []string{filepath.Join(root, "*")}
	_, err := f.find("15")
	if err == nil {
		t.Fatal("found one")
	}
	for _, want := range []string{
		"PostgreSQL 15 not found",
		filepath.Join(root, "missing") + " (no initdb)",
		filepath.Join(root, "old") + " (version 14)",
		filepath.Join(root, "notpg") + " (its version is not PostgreSQL's)",
		filepath.Join(root, "broken") + " (postgres --version fails)",
		filepath.Join(root, "client") + " (no initdb)",
		"PGSEAL_PG_BIN", "scripts/install-postgres.sh",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if _, err := fakeMachine(nil).find(""); err == nil || !strings.Contains(err.Error(), "looked at nothing") {
		t.Errorf("on an empty machine: %v", err)
	}
}

func TestFindTakesMajorVersionsOnly(t *testing.T) {
	for _, version := range []string{"15.2", "fifteen", "-1", "0", " 15"} {
		if _, err := fakeMachine(nil).find(version); err == nil || !strings.Contains(err.Error(), "not a major version") {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestTheInstallScriptLeavesAloneWhatFindFinds(t *testing.T) {
	cache := t.TempDir()
	bindir := fakeInstall(t, filepath.Join(cache, "postgres", "18", "bin"), "18.4")
	cmd := exec.Command("sh", filepath.Join("..", "..", "scripts", "install-postgres.sh"), "18")
	cmd.Env = append(os.Environ(), "PGSEAL_PG_CACHE="+cache)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), bindir) || strings.Count(string(out), "\n") != 1 {
		t.Errorf("it said %q, %v; want one line with %s", out, err, bindir)
	}
	mustFind(t, fakeMachine(map[string]string{"PGSEAL_PG_CACHE": cache}), "18", bindir)
}

func TestTheInstallScriptRefusesAVersionItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{{}, {"9"}, {"15", "18"}} {
		script := filepath.Join("..", "..", "scripts", "install-postgres.sh")
		err := exec.Command("sh", append([]string{script}, args...)...).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%q: %v, want exit status 2", args, err)
		}
	}
}

func FuzzTheVersionParserTakesAnything(f *testing.F) {
	for _, line := range []string{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "postgres (PostgreSQL) 19beta1", "(PostgreSQL) 18.",
		"postgres (PostgreSQL) ", "psql 15", "(PostgreSQL) 99999999999999999999.99999999999999999999", "",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		major, minor, err := parseVersion(line)
		if (err == nil) != (major > 0) || minor < 0 {
			t.Errorf("%q: %d.%d, %v", line, major, minor, err)
		}
	})
}
