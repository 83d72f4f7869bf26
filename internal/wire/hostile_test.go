package wire

import (
	"bytes"
	"strings"
	"testing"
)

// What follows has made other PostgreSQL libraries panic, hang or allocate
// without bound. Each row is a message as it comes from the network; what it
// must do here is pass through the parser that would see it, quickly and with
// an error or a plain answer.

// TestMessagesThatBreakOtherLibrariesAreOnlyLengthsHere covers messages whose
// bodies pgseal never decodes: their headers are all that is looked at, and
// those are in order.
func TestMessagesThatBreakOtherLibrariesAreOnlyLengthsHere(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		limit   func(byte) int
	}{
		"Query with an empty body":              {frame('Q', ""), ClientLimit},
		"CopyFail with an empty body":           {frame('f', ""), ClientLimit},
		"FunctionCall with a short body":        {frame('F', "\x00"), ClientLimit},
		"FunctionCall with a NULL argument":     {frame('F', word(1)+"\x00\x00\x00\x01"+word(-1)+"\x00\x00"), ClientLimit},
		"Bind with a negative parameter length": {frame('B', "\x00\x00\x00\x00\x00\x01"+word(-2)), ClientLimit},
		"CommandComplete with an empty body":    {frame('C', ""), ServerLimit},
		"NotificationResponse of three bytes":   {frame('A', "\x00\x00\x00"), ServerLimit},
		"DataRow with a negative field length":  {frame('D', "\x00\x01"+word(-2)), ServerLimit},
		"FunctionCallResponse with NULL":        {frame('V', word(-1)), ServerLimit},
		"ParameterDescription with a lie":       {frame('t', "\xff\xff"), ServerLimit},
	} {
		typ, size := ParseHeader(c.message)
		if size != len(c.message)-HeaderSize || size > c.limit(typ) {
			t.Errorf("%s: size %d with a limit of %d", name, size, c.limit(typ))
		}
	}
}

func TestAnUnknownTypeIsKnownToBeUnknownFromItsHeaderAlone(t *testing.T) {
	for _, typ := range []byte{0, 'y', 'x', 0x16, 0xff, 'p'} {
		equal(t, "client's limit", ClientLimit(typ), -1)
	}
	for _, typ := range []byte{0, 'Q', 'P', 'R', 'K', 'v', 0x15, 0xff} {
		equal(t, "server's limit after login", ServerLimit(typ), -1)
	}
}

func TestALengthBelowFourIsRefusedTheSecondTimeToo(t *testing.T) {
	stream := append(append([]byte{'p'}, packet(3)...), append([]byte{'p'}, packet(0)...)...)
	r := bytes.NewReader(stream)
	for range 2 {
		if _, _, err := ReadMessage(r, nil, 4096); err == nil {
			t.Error("a length below four was taken")
		}
	}
}

func TestASASLInitialResponseShorterThanItsFieldsIsAnError(t *testing.T) {
	body := "SCRAM-SHA-256\x00" + word(0)
	for n := range body {
		if _, _, err := ParseSASLInitialResponse([]byte(body[:n])); err == nil {
			t.Errorf("%d bytes were taken for a whole message", n)
		}
	}
}

func TestAListOfMechanismsWithoutNULOrWithEmptyNamesEnds(t *testing.T) {
	for _, data := range []string{"SCRAM-SHA-256", "\x00", "\x00\x00\x00", strings.Repeat("\x00", 1000), strings.Repeat("a", 1<<20)} {
		list, err := ParseMechanisms([]byte(data))
		if len(list) != 0 {
			t.Errorf("%.20q… was read as %q (%v)", data, list, err)
		}
	}
}

func TestMechanismsReadTwiceAreNotAddedUp(t *testing.T) {
	for range 2 {
		list, err := ParseMechanisms([]byte("SCRAM-SHA-256\x00\x00"))
		ok(t, err)
		equal(t, "mechanisms", len(list), 1)
	}
}

func TestAnSSLRequestWithBytesInItsBodyKeepsThemApart(t *testing.T) {
	p, err := ReadStartup(bytes.NewReader(packet(11, 0x04, 0xd2, 0x16, 0x2f, 'x', 'y', 'z', 'Q')))
	ok(t, err)
	equal(t, "code", p.Code, SSLRequestCode)
	equal(t, "body", string(p.Body), "xyz")
}
