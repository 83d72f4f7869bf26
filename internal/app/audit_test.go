package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgseal/pgseal/internal/config"
)

// openTestAudit opens an audit file, and a log that can be looked at.
func openTestAudit(t *testing.T, path string) (*audit, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	a := &audit{}
	if err := a.open(path, zap.New(core)); err != nil {
		t.Fatal(err)
	}
	return a, logs
}

func readLines(t *testing.T, path string) (lines []map[string]any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		var event map[string]any
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, event)
	}
	return lines
}

func TestAnAuditFileIsItsOwnersAloneAndIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for n := range 2 {
		a, _ := openTestAudit(t, path)
		a.log.Debug("login", zap.Int("run", n))
		a.close()
	}
	lines := readLines(t, path)
	if len(lines) != 2 || lines[0]["event"] != "login" || lines[1]["run"] != 1.0 || lines[0]["ts"] == nil || len(lines[0]) != 3 {
		t.Errorf("the file holds %v", lines)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != 0o600 {
		t.Errorf("its mode is %v", mode)
	}
	if err := new(audit).open(filepath.Join(path, "below"), zap.NewNop()); err == nil {
		t.Error("a path that can't be opened is taken")
	}
}

func TestARotatedAuditFileLosesNoLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	a, logs := openTestAudit(t, path)
	var wg sync.WaitGroup
	const writers, lines, rotations = 4, 500, 5
	for i := range writers {
		wg.Go(func() {
			for j := range lines {
				a.log.Info(fmt.Sprintf("%d.%d", i, j))
			}
		})
	}
	for n := range rotations {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, n)); err != nil {
			t.Fatal(err)
		}
		a.reopen()
	}
	wg.Wait()
	a.close()
	seen := map[any]int{}
	for n := range rotations {
		for _, line := range readLines(t, fmt.Sprintf("%s.%d", path, n)) {
			seen[line["event"]]++
		}
	}
	for _, line := range readLines(t, path) {
		seen[line["event"]]++
	}
	if len(seen) != writers*lines {
		t.Errorf("%d lines arrived, want %d", len(seen), writers*lines)
	}
	for event, n := range seen {
		if n != 1 {
			t.Errorf("%v stands %d times in the files", event, n)
		}
	}
	if n := logs.Len(); n != 0 || a.stats() != (auditStats{}) {
		t.Errorf("the log says %v, counted %+v", logs.All(), a.stats())
	}
}

func TestAnAuditFileThatCannotBeOpenedAnewStaysInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a, logs := openTestAudit(t, filepath.Join(dir, "audit.log"))
	moved := dir + " away"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	a.reopen()
	a.log.Info("login")
	a.close()
	if n := len(readLines(t, filepath.Join(moved, "audit.log"))); n != 1 {
		t.Errorf("%d lines in the old file", n)
	}
	if a.stats() != (auditStats{Errors: 1}) || logs.FilterMessage("could not reopen audit file, continuing with the old one").Len() != 1 {
		t.Errorf("counted %+v, the log says %v", a.stats(), logs.All())
	}
}

// /dev/full takes no byte, as a file system that is full.
func TestAuditLinesThatCannotBeWrittenWaitAndNobodyWaitsForThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	a, logs := openTestAudit(t, path)
	failed := func() int { return logs.FilterMessage("could not write to audit file, retrying").Len() }
	a.log.Info("first")
	wait(t, "the failure is told", func() bool { return failed() == 1 })
	for range 100 {
		a.log.Info("more")
	}
	if err := os.Remove(path); err != nil { // there is room again
		t.Fatal(err)
	}
	a.reopen()
	wait(t, "the end of it is told", func() bool { return logs.FilterMessage("audit file writable again").Len() == 1 })
	a.close()
	if n := len(readLines(t, path)); n != 101 {
		t.Errorf("%d lines are in the file, want 101", n)
	}
	if stats := a.stats(); stats.Errors == 0 || stats.Lost != 0 || failed() != 1 {
		t.Errorf("counted %+v, told %d times", stats, failed())
	}
}

func TestAuditLinesThatAreLostAreCountedAndTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	a, logs := openTestAudit(t, path)
	long := zap.String("filler", strings.Repeat("x", logBacklog/16))
	for range 40 { // more than the backlog holds
		a.log.Info("login", long)
	}
	a.close()
	var told int64
	for _, line := range logs.FilterMessage("audit events lost").All() {
		told += line.ContextMap()["lines"].(int64)
	}
	if stats := a.stats(); stats.Lost != 40 || told != 40 || stats.Errors == 0 {
		t.Errorf("counted %+v, told of %d, want 40", stats, told)
	}
}

func TestAuditLinesInTheLogHaveANameAndNoLevelKeepsThemOut(t *testing.T) {
	var out bytes.Buffer
	log, output := newOutput(config.Log{Format: "json", Level: "error", Sampling: true}, &out)
	a := &audit{}
	if err := a.open("", log); err != nil {
		t.Fatal(err)
	}
	log.Info("an ordinary line")
	a.log.Info("login", zap.String("user", "alice"))
	a.reopen()
	a.close()
	output.lines.end()
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	if line["logger"] != "audit" || line["msg"] != "login" || line["user"] != "alice" {
		t.Errorf("the log holds %v", line)
	}
}

// wait waits until condition holds.
func wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(15 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it did not come about that %s", what)
		}
	}
}
