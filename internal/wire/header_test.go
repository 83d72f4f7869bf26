package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAHeaderGivesTypeAndBodyLength(t *testing.T) {
	for _, c := range []struct {
		word uint32
		body int
	}{
		{4, 0}, {5, 1}, {104, 100}, {math.MaxInt32, math.MaxInt32 - 4},
		{0, -4}, {1, -3}, {3, -1},
		{math.MaxUint32, -5}, {1 << 31, math.MinInt32 - 4},
	} {
		typ, body := ParseHeader(append([]byte{'Q'}, packet(c.word, 1, 2, 3)...))
		equal(t, "type", typ, 'Q')
		equal(t, "body", body, c.body)
	}
}

func TestEveryTypeThatAClientMaySendHasALimitAndNoOther(t *testing.T) {
	limits := map[byte]int{
		'Q': LargeLimit, 'F': LargeLimit, 'P': LargeLimit, 'B': LargeLimit, 'd': LargeLimit,
		'C': SmallLimit, 'D': SmallLimit, 'E': SmallLimit, 'H': SmallLimit, 'S': SmallLimit,
		'X': SmallLimit, 'c': SmallLimit, 'f': SmallLimit,
	}
	for typ := range 256 {
		want, known := limits[byte(typ)]
		if !known {
			want = -1
		}
		equal(t, "limit of client's type "+string(rune(typ)), ClientLimit(byte(typ)), want)
	}
}

func TestEveryTypeThatAServerMaySendHasALimitAndNoOther(t *testing.T) {
	limits := map[byte]int{
		'Z': 1,
		'1': 0, '2': 0, '3': 0, 'n': 0, 's': 0, 'I': 0, 'c': 0,
		'C': SmallLimit,
		'S': LargeLimit, 'E': LargeLimit, 'N': LargeLimit, 'A': LargeLimit, 'D': LargeLimit, 'T': LargeLimit,
		't': LargeLimit, 'G': LargeLimit, 'H': LargeLimit, 'W': LargeLimit, 'd': LargeLimit, 'V': LargeLimit,
	}
	for typ := range 256 {
		want, known := limits[byte(typ)]
		if !known {
			want = -1
		}
		equal(t, "limit of server's type "+string(rune(typ)), ServerLimit(byte(typ)), want)
	}
}

func TestAMessageIsReadToItsEndAndNoFurther(t *testing.T) {
	stream := append(frame('p', "secret"), frame('X', "")...)
	for name, r := range map[string]io.Reader{
		"at once":       bytes.NewReader(stream),
		"byte by byte":  iotest.OneByteReader(bytes.NewReader(stream)),
		"half by half":  iotest.HalfReader(bytes.NewReader(stream)),
		"data with EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		typ, body, err := ReadMessage(r, nil, 100)
		ok(t, err)
		equal(t, name, string(typ)+string(body), "psecret")
		rest, err := io.ReadAll(r)
		ok(t, err)
		equal(t, name+", the rest", string(rest), string(frame('X', "")))
	}
}

func TestABodyAsLongAsTheLimitIsReadAndALongerOneIsNot(t *testing.T) {
	_, body, err := ReadMessage(bytes.NewReader(frame('p', "12345")), nil, 5)
	ok(t, err)
	equal(t, "body", string(body), "12345")

	_, _, err = ReadMessage(bytes.NewReader(frame('p', "123456")), nil, 5)
	var length *LengthError
	if !errors.As(err, &length) {
		t.Fatalf("got %v, want a *LengthError", err)
	}
	equal(t, "error", *length, LengthError{Type: 'p', Body: 6})
	if !strings.Contains(err.Error(), "6 bytes") || strings.Contains(err.Error(), "1234") {
		t.Errorf("error %q should tell the length, and nothing of the body", err)
	}
}

func TestARefusedLengthCostsNeitherBytesNorMemory(t *testing.T) {
	for _, n := range []uint32{0, 1, 2, 3, 1 << 31, math.MaxUint32, math.MaxInt32, 4097 + 4} {
		head := append([]byte{'p'}, packet(n)...)
		_, _, err := ReadMessage(&stingy{t, head}, nil, 4096)
		var length *LengthError
		if !errors.As(err, &length) {
			t.Fatalf("length word %d: got %v, want a *LengthError", n, err)
		}
		r := bytes.NewReader(head)
		if got := allocated(func() { r.Reset(head); ReadMessage(r, nil, 4096) }); got > 256 {
			t.Errorf("length word %d made it allocate %d bytes", n, got)
		}
	}
}

func TestABufferThatIsLargeEnoughIsUsed(t *testing.T) {
	buf := make([]byte, 2, 8)
	_, body, err := ReadMessage(bytes.NewReader(frame('p', "12345678")), buf, 100)
	ok(t, err)
	if &body[0] != &buf[0] || len(body) != 8 {
		t.Error("the body was not read into the buffer that has room for it")
	}
	_, body, err = ReadMessage(bytes.NewReader(frame('p', "123456789")), buf, 100)
	ok(t, err)
	equal(t, "body", string(body), "123456789")
}

func TestTheEndOfTheStreamTellsWhetherAMessageWasTorn(t *testing.T) {
	whole := frame('p', "secret")
	for n := range whole {
		_, _, err := ReadMessage(bytes.NewReader(whole[:n]), nil, 100)
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		equal(t, "error", err, want)
	}
}

func TestAnErrorOfTheConnectionIsPassedOn(t *testing.T) {
	broken := errors.New("broken")
	for _, n := range []int{0, 3, 5, 7} {
		r := io.MultiReader(bytes.NewReader(frame('p', "secret")[:n]), iotest.ErrReader(broken))
		if _, _, err := ReadMessage(r, nil, 100); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: got %v", n, err)
		}
	}
}
