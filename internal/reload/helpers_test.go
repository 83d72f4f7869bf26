package reload

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError asserts that err says each of the words.
func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func write(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	ok(t, os.WriteFile(path, data, mode))
	ok(t, os.Chmod(path, mode))
}

// logbook records log lines.
type logbook struct{ *observer.ObservedLogs }

func newLog() (*zap.Logger, logbook) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logbook{logs}
}

func (l logbook) count(message string) int { return l.FilterMessage(message).Len() }

// text is everything that was logged.
func (l logbook) text() string {
	var out strings.Builder
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, entry := range l.All() {
		line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
		if err != nil {
			return err.Error()
		}
		out.Write(line.Bytes())
	}
	return out.String()
}
