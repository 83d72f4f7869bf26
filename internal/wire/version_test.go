package wire

import (
	"slices"
	"testing"
)

func TestANegotiationIsReadAsItWasWritten(t *testing.T) {
	for _, unknown := range [][]string{nil, {"_pq_.a"}, {"_pq_.c", "", "_pq_.b"}} {
		whole := AppendNegotiateProtocolVersion(nil, Version30, unknown)
		version, got, err := ParseNegotiateProtocolVersion(whole[HeaderSize:])
		ok(t, err)
		if version != Version30 || !slices.Equal(got, unknown) {
			t.Errorf("%q came back as version %d with %q", unknown, version, got)
		}
	}
}

func TestAMalformedNegotiationIsAnError(t *testing.T) {
	for _, body := range []string{
		"", word(3 << 16), word(3<<16) + "\x00\x00\x00", word(3<<16) + word(1), word(3<<16) + word(1) + "a",
		word(3<<16) + word(0) + "\x00", word(3<<16) + word(2) + "a\x00", word(3<<16) + word(1<<32-1) + "a\x00",
	} {
		if version, unknown, err := ParseNegotiateProtocolVersion([]byte(body)); err == nil {
			t.Errorf("%q was taken for version %d with %q", body, version, unknown)
		}
	}
}

func FuzzParseNegotiateProtocolVersion(f *testing.F) {
	f.Add([]byte(word(3<<16) + word(0)))
	f.Add([]byte(word(3<<16+2) + word(2) + "_pq_.a\x00_pq_.b\x00"))
	f.Add([]byte(word(3<<16) + word(1<<32-1)))
	f.Fuzz(func(t *testing.T, body []byte) {
		version, unknown, err := ParseNegotiateProtocolVersion(body)
		if err != nil {
			return
		}
		if back := AppendNegotiateProtocolVersion(nil, version, unknown); string(back[HeaderSize:]) != string(body) {
			t.Fatalf("%x came back as %x", body, back[HeaderSize:])
		}
	})
}
