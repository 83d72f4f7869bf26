package app

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
)

// stalled is a log that nobody reads until it is released.
type stalled struct {
	release chan struct{}
	mu      sync.Mutex
	got     bytes.Buffer
}

func (s *stalled) Write(b []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(b)
}

func (s *stalled) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

func TestEveryLogLineArrivesOnceAndWholeHoweverManyWrite(t *testing.T) {
	out := &stalled{release: make(chan struct{})}
	close(out.release)
	log, output := newOutput(config.Log{Format: "json", Level: "info"}, out)
	var wg sync.WaitGroup
	const writers, lines = 8, 200
	for i := range writers {
		wg.Go(func() {
			for j := range lines {
				log.Info(fmt.Sprintf("line %d.%d.", i, j))
			}
		})
	}
	wg.Wait()
	output.lines.end()
	text := out.text()
	for i := range writers {
		for j := range lines {
			if n := strings.Count(text, fmt.Sprintf(`"line %d.%d."`, i, j)); n != 1 {
				t.Fatalf("line %d.%d stands %d times in the log", i, j, n)
			}
		}
	}
	if n := strings.Count(text, "\n"); n != writers*lines {
		t.Errorf("%d lines, want %d", n, writers*lines)
	}
}

func TestALogThatNobodyReadsHoldsNobodyUpAndSaysHowManyLinesItLost(t *testing.T) {
	out := &stalled{release: make(chan struct{})}
	log, output := newOutput(config.Log{Format: "json", Level: "info"}, out)
	long := zap.String("filler", strings.Repeat("x", logBacklog/64))
	for range 200 {
		log.Info("a long line", long)
	}
	close(out.release)
	output.lines.end()
	if text := out.text(); !strings.Contains(text, "log messages lost") {
		t.Error("lines were lost, and the log does not say so")
	}
}
