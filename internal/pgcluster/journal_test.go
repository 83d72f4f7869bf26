package pgcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheJournalWritesTheFileAndTheCallersCopy(t *testing.T) {
	var file, copied bytes.Buffer
	j := newJournal(&file, &copied)
	fmt.Fprint(j, "one\n")
	fmt.Fprint(j, "two\n")
	if file.String() != "one\ntwo\n" || copied.String() != file.String() {
		t.Errorf("file %q, copy %q", file.String(), copied.String())
	}
}

func TestTheJournalKeepsTheEndOfALongLog(t *testing.T) {
	j := newJournal(io.Discard, nil)
	for i := range 20_000 {
		fmt.Fprintf(j, "line %d\n", i)
	}
	log, _ := j.since(0)
	if len(log) < journalSize || len(log) >= 2*journalSize || !bytes.HasSuffix(log, []byte("\nline 19999\n")) {
		t.Errorf("%d bytes, ending with %q", len(log), log[len(log)-20:])
	}
	if log, _ := j.since(j.position() - 5); string(log) != "9999\n" {
		t.Errorf("the last five bytes are %q", log)
	}
}

func TestTheTailHoldsWholeLinesOfOneRunOnly(t *testing.T) {
	j := newJournal(io.Discard, nil)
	fmt.Fprint(j, "an earlier run\n")
	position := j.position()
	fmt.Fprint(j, "FATAL: no\n")
	if got := j.tail(position); got != "FATAL: no" {
		t.Errorf("got %q", got)
	}
	fmt.Fprint(j, strings.Repeat("0123456789\n", 1000))
	got := j.tail(position)
	if len(got) > 2<<10 || len(got) < 1<<10 || !strings.HasPrefix(got, "0123456789\n") {
		t.Errorf("%d bytes, beginning with %q", len(got), got[:20])
	}
}

func TestWaitForSeesOnlyWhatComesAfterItsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal(io.Discard, nil)
		fmt.Fprint(j, "ready\n")
		found := make(chan error, 1)
		go func() { found <- j.waitFor(t.Context(), j.position(), "ready", nil) }()
		synctest.Wait()
		fmt.Fprint(j, "not yet rea")
		synctest.Wait()
		if len(found) != 0 {
			t.Fatal("it took an old line")
		}
		fmt.Fprint(j, "dy\n")
		if err := <-found; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitForGivesUpWithItsContextOrTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal(io.Discard, nil)
		late := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, late)
		defer cancel()
		if err := j.waitFor(ctx, 0, "never", nil); err != late {
			t.Errorf("got %v, want the cause of the context's end", err)
		}
		over := make(chan struct{})
		close(over)
		if err := j.waitFor(t.Context(), 0, "never", over); err != errExited {
			t.Errorf("got %v, want errExited", err)
		}
	})
}
