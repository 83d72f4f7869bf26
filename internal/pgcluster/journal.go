package pgcluster

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// journalSize is how much of the end of the server's log is kept in memory, at
// least; it is cut back to this when it has grown to twice as much.
const journalSize = 64 << 10

// journal takes the server's log: into a file, to the caller's writer, and its
// end into memory, where errors quote it and waitFor reads it.
type journal struct {
	// Set once.
	file, copy io.Writer

	mu      sync.Mutex
	end     []byte        // the log's last bytes
	written int64         // bytes ever written
	changed chan struct{} // closed and replaced by each write
}

func newJournal(file, copy io.Writer) *journal {
	return &journal{file: file, copy: copy, changed: make(chan struct{})}
}

// Write never fails: a full disk or a broken terminal must not stop the
// server, whose log has nowhere else to go.
func (j *journal) Write(p []byte) (int, error) {
	j.file.Write(p)
	if j.copy != nil {
		j.copy.Write(p)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.written += int64(len(p))
	j.end = append(j.end, p...)
	if len(j.end) >= 2*journalSize {
		j.end = append(j.end[:0], j.end[len(j.end)-journalSize:]...)
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return len(p), nil
}

// position returns where the next byte of the log will be.
func (j *journal) position() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written
}

// since returns the log from a position on, as far as it is still kept, and a
// channel that is closed when more comes.
func (j *journal) since(position int64) ([]byte, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	start := max(0, position-(j.written-int64(len(j.end))))
	return bytes.Clone(j.end[start:]), j.changed
}

// waitFor returns once the text is in the log at or after the position. It
// gives up when ctx ends or over is closed: then no more log will come.
func (j *journal) waitFor(ctx context.Context, position int64, text string, over <-chan struct{}) error {
	for {
		log, changed := j.since(position)
		if bytes.Contains(log, []byte(text)) {
			return nil
		}
		select {
		case <-changed:
		case <-over:
			return errExited
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tail returns the last whole lines from a position on, at most 2 KiB.
func (j *journal) tail(position int64) string {
	log, _ := j.since(position)
	return lastLines(log, 2<<10)
}

func lastLines(text []byte, limit int) string {
	if extra := len(text) - limit; extra > 0 {
		text = text[extra:]
		if _, whole, found := bytes.Cut(text, []byte("\n")); found {
			text = whole
		}
	}
	return string(bytes.TrimSpace(text))
}
