package targets

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rootModule is the line by which pgseal's checkout is known.
const rootModule = "module github.com/pgseal/pgseal"

// pgsealProgram is the one of a variant, else the one that was asked for, else
// one built from the checkout around the working directory, else the one in
// PATH.
func (l *Lab) pgsealProgram(ctx context.Context, variant string) (string, error) {
	if path := cmp.Or(variant, l.options.PgSealPath); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("pgseal: %w", err)
		}
		return filepath.Abs(path)
	}
	root, err := checkout()
	if err != nil {
		if path, lookErr := exec.LookPath("pgseal"); lookErr == nil {
			return filepath.Abs(path)
		}
		return "", fmt.Errorf("pgseal is %w: %w", ErrMissing, err)
	}
	program := filepath.Join(l.dir, "pgseal-program")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./cmd/pgseal")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pgseal: %w: %s", err, firstLineOf(out))
	}
	return program, nil
}

// pgbouncerProgram is the one that was asked for, else the one in PATH. It is
// copied to where the account that runs it can read it.
func (l *Lab) pgbouncerProgram() (string, error) {
	if l.options.PgBouncerPath == "" {
		return find("pgbouncer")
	}
	text, err := os.ReadFile(l.options.PgBouncerPath)
	if err != nil {
		return "", fmt.Errorf("pgbouncer: %w", err)
	}
	program := filepath.Join(l.dir, "pgbouncer-program")
	return program, os.WriteFile(program, text, 0o755)
}

// firstLineOf is the first line that is no heading of the compiler.
func firstLineOf(out []byte) string {
	for line := range bytes.Lines(out) {
		if text := strings.TrimSpace(string(line)); text != "" && !strings.HasPrefix(text, "#") {
			return text
		}
	}
	return ""
}

// checkout is the directory of pgseal's module, at or above the working
// directory.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		first, _, _ := strings.Cut(string(text), "\n")
		if err == nil && strings.TrimSpace(first) == rootModule {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no checkout of it at or above the working directory, and none in PATH; --pgseal names one")
		}
	}
}
