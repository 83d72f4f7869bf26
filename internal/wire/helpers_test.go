package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
)

// frame builds a message byte by byte, so that the tests do not lean on the
// code that they test.
func frame(typ byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(body))), body...)
}

// packet builds a startup packet whose length word says what it is told to.
func packet(length uint32, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, length), rest...)
}

// word is n as it stands on the wire.
func word(n int64) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %#v, want %#v", what, got, want)
	}
}

// wantStartupError asserts that err is the peer's fault and not that of the
// connection.
func wantStartupError(t testing.TB, err error) {
	t.Helper()
	var malformed *StartupError
	if !errors.As(err, &malformed) || malformed.Error() == "" {
		t.Fatalf("got %v, want a *StartupError", err)
	}
}

// stingy hands out head and then fails the test instead of giving more: who
// reads beyond head has believed a length that he should have refused.
type stingy struct {
	t    testing.TB
	head []byte
}

func (s *stingy) Read(b []byte) (int, error) {
	if len(s.head) == 0 {
		s.t.Errorf("%d more bytes were asked for behind a refused length", len(b))
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, s.head)
	s.head = s.head[n:]
	return n, nil
}

// allocated returns how many bytes one call of f allocates.
func allocated(f func()) uint64 {
	const runs = 20
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}
