package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAStartupPacketIsReadToItsEndAndNoFurther(t *testing.T) {
	whole, err := AppendStartup(nil, Version30, []Parameter{{"user", "alice"}, {"database", "app"}})
	ok(t, err)
	stream := append(bytes.Clone(whole), "behind"...)
	for name, r := range map[string]io.Reader{
		"at once":      bytes.NewReader(stream),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		p, err := ReadStartup(r)
		ok(t, err)
		equal(t, name+": code", p.Code, Version30)
		equal(t, name+": body", string(p.Body), string(whole[8:]))
		rest, err := io.ReadAll(r)
		ok(t, err)
		equal(t, name+": the rest", string(rest), "behind")
	}
}

func TestLengthsOfAStartupPacketOutsideTheProtocolsAreRefusedUnread(t *testing.T) {
	for _, n := range []int64{0, 1, 3, 4, 7, StartupLimit + 5, math.MaxInt32, -1, math.MinInt32} {
		head := packet(uint32(n))
		_, err := ReadStartup(&stingy{t, head})
		wantStartupError(t, err)
		r := bytes.NewReader(head)
		if got := allocated(func() { r.Reset(head); ReadStartup(r) }); got > 256 {
			t.Errorf("length word %d made it allocate %d bytes", n, got)
		}
	}
}

func TestLengthsOfAStartupPacketWithinTheProtocolsAreTaken(t *testing.T) {
	for _, n := range []int{8, 9, StartupLimit, StartupLimit + 4} {
		p, err := ReadStartup(bytes.NewReader(packet(uint32(n), make([]byte, n-4)...)))
		ok(t, err)
		equal(t, "body", len(p.Body), n-8)
	}
}

func TestAPeerThatSendsOnlyALengthCostsNoMoreThanALargestPacket(t *testing.T) {
	head := packet(StartupLimit + 4)
	r := bytes.NewReader(head)
	if got := allocated(func() { r.Reset(head); ReadStartup(r) }); got > StartupLimit+1024 {
		t.Errorf("four bytes made it allocate %d", got)
	}
}

func TestTheEndOfTheStreamTellsWhetherAStartupPacketWasTorn(t *testing.T) {
	whole := packet(12, 0, 3, 0, 0, 'u', 's', 'e', 'r')
	for n := range whole {
		_, err := ReadStartup(bytes.NewReader(whole[:n]))
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		equal(t, fmt.Sprintf("error after %d bytes", n), err, want)
	}
	broken := errors.New("broken")
	_, err := ReadStartup(io.MultiReader(bytes.NewReader(whole[:6]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("an error of the connection became %v", err)
	}
}

func TestTheVersionOfAStartupPacketIsMajorAndMinor(t *testing.T) {
	for code, want := range map[uint32][2]int{
		Version30: {3, 0}, 3<<16 | 2: {3, 2}, 3<<16 | 9999: {3, 9999}, 2 << 16: {2, 0}, CancelCode: {1234, 5678},
	} {
		p := StartupPacket{Code: code}
		equal(t, "version", [2]int{p.Major(), p.Minor()}, want)
	}
}

func TestStartupParametersKeepTheirOrderAndTheirBytes(t *testing.T) {
	want := []Parameter{
		{"user", "älice"}, {"options", `-c a=b\ c`}, {"empty", ""}, {"application_name", "\x01\xff"},
		{"empty", "given twice, as any but user and database may be"},
	}
	whole, err := AppendStartup([]byte("before"), Version30, want)
	ok(t, err)
	p, err := ReadStartup(bytes.NewReader(whole[len("before"):]))
	ok(t, err)
	got, err := ParseParameters(p.Body)
	ok(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestABodyWithoutParametersIsNoError(t *testing.T) {
	got, err := ParseParameters([]byte{0})
	ok(t, err)
	equal(t, "parameters", len(got), 0)
}

func TestMalformedStartupParametersAreRefused(t *testing.T) {
	for _, body := range []string{
		"",                               // no terminator at all
		"user",                           // name cut off
		"user\x00",                       // value missing
		"user\x00alice",                  // value cut off
		"user\x00alice\x00",              // terminator missing
		"user\x00alice\x00\x00\x00",      // something behind the terminator
		"user\x00alice\x00\x00database",  // the same
		"\x00user\x00alice\x00\x00",      // an empty name before the end
		"user\x00a\x00user\x00b\x00\x00", // the role twice
		"user\x00a\x00user\x00a\x00\x00", // even if it is the same
		"database\x00a\x00database\x00\x00b\x00c\x00\x00",
	} {
		_, err := ParseParameters([]byte(body))
		if err == nil {
			t.Errorf("%q was taken", body)
			continue
		}
		wantStartupError(t, err)
		if strings.Contains(err.Error(), "alice") {
			t.Errorf("error %q shows a value", err)
		}
	}
}

func TestParametersDoNotKeepTheBytesTheyWereReadFrom(t *testing.T) {
	body := []byte("user\x00alice\x00\x00")
	got, err := ParseParameters(body)
	ok(t, err)
	clear(body)
	equal(t, "parameter", got[0], Parameter{"user", "alice"})
}

func TestANULByteCanNotSmuggleAParameterIntoAStartupPacket(t *testing.T) {
	for _, p := range []Parameter{
		{"application_name", "x\x00user\x00admin"}, {"application_name", "\x00"},
		{"a\x00user", "admin"}, {"", "value"},
	} {
		got, err := AppendStartup([]byte("before"), Version30, []Parameter{{"user", "alice"}, p})
		if err == nil {
			t.Errorf("%q was encoded", p)
		}
		equal(t, "what was there before", string(got), "before")
		if err != nil && strings.Contains(err.Error(), p.Value) {
			t.Errorf("error %q shows the value", err)
		}
	}
}

func TestAStartupPacketIsNeverLongerThanItsReaderTakes(t *testing.T) {
	fixed, err := AppendStartup(nil, Version30, []Parameter{{"user", ""}})
	ok(t, err)
	room := StartupLimit + 4 - len(fixed)
	largest, err := AppendStartup(nil, Version30, []Parameter{{"user", strings.Repeat("u", room)}})
	ok(t, err)
	_, err = ReadStartup(bytes.NewReader(largest))
	ok(t, err)
	got, err := AppendStartup([]byte("before"), Version30, []Parameter{{"user", strings.Repeat("u", room+1)}})
	if err == nil {
		t.Error("a packet was encoded that no server takes")
	}
	equal(t, "what was there before", string(got), "before")
}

func TestRequestsOfTheStartupPhaseAreEightBytes(t *testing.T) {
	equal(t, "SSLRequest", string(AppendRequest(nil, SSLRequestCode)), "\x00\x00\x00\x08\x04\xd2\x16\x2f")
	equal(t, "GSSENCRequest", string(AppendRequest(nil, GSSEncCode)), "\x00\x00\x00\x08\x04\xd2\x16\x30")
}

func TestACancelKeyGoesRoundWhateverItsLength(t *testing.T) {
	for _, n := range []int{4, 5, 32, 256} {
		key := CancelKey{PID: 1<<31 + 7, Secret: strings.Repeat("\x00\xff", n)[:n]}
		p, err := ReadStartup(bytes.NewReader(AppendCancelRequest(nil, key)))
		ok(t, err)
		equal(t, "code", p.Code, CancelCode)
		got, err := ParseCancelKey(p.Body)
		ok(t, err)
		equal(t, "key of the request", got, key)
		typ, body, err := ReadMessage(bytes.NewReader(AppendBackendKeyData(nil, key)), nil, 1000)
		ok(t, err)
		equal(t, "type", typ, 'K')
		got, err = ParseCancelKey(body)
		ok(t, err)
		equal(t, "key of the greeting", got, key)
	}
}

func TestCancelKeysOfOtherLengthsAreRefused(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 7, 4 + 257, 9_996} {
		_, err := ParseCancelKey(make([]byte, n))
		wantStartupError(t, err)
	}
}

func TestACancelKeyPrintsWithoutItsSecret(t *testing.T) {
	key := CancelKey{PID: 4711, Secret: "hush"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		equal(t, verb, fmt.Sprintf(verb, key), "4711")
		equal(t, verb, fmt.Sprintf(verb, struct{ Key CancelKey }{key})[0:1], fmt.Sprintf(verb, struct{ Key CancelKey }{})[0:1])
		if strings.Contains(fmt.Sprintf(verb, struct{ Key CancelKey }{key}), "hush") {
			t.Errorf("%s of a struct shows the secret", verb)
		}
	}
}
