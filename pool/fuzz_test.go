package pool

import (
	"slices"
	"testing"
)

// However the bytes are cut into segments, an idle server's are judged alike.
func FuzzIdleBytes(f *testing.F) {
	f.Add([]byte(frame('N', "\x00")+frame('S', "a\x00b\x00")+frame('A', word(1), "c\x00p\x00")), 3)
	f.Add([]byte(frame('Z', "I")), 1)
	f.Add([]byte("N\x00\x00\x00\x03"), 2)
	f.Add([]byte("N"+word(asyncLimit)), 5)
	f.Add([]byte(frame('E', "SFATAL")), 7)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole := &Server{pool: new(Pool)}
		used, err := whole.deliver(b)
		if used < 0 || used > len(b) {
			t.Fatalf("%d of %d bytes were used", used, len(b))
		}
		if len(b) == 0 {
			return
		}
		cut = (cut%len(b) + len(b)) % len(b)
		parts := &Server{pool: new(Pool)}
		first, firstErr := parts.deliver(b[:cut])
		second := 0
		if firstErr == nil {
			second, firstErr = parts.deliver(b[first:])
		}
		if first+second != used || (firstErr == nil) != (err == nil) || !slices.Equal(parts.params, whole.params) {
			t.Fatalf("cut at %d: %d bytes used and %v, in one piece %d and %v", cut, first+second, firstErr, used, err)
		}
	})
}
