package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestOurMessagesReadAsTheProtocolHasThem compares what is encoded with bytes
// written down from the documentation's chapter "Message Formats".
func TestOurMessagesReadAsTheProtocolHasThem(t *testing.T) {
	before := []byte("before")
	for name, c := range map[string]struct {
		got  []byte
		want []byte
	}{
		"ParameterStatus":     {AppendParameterStatus(before, Parameter{"TimeZone", "UTC"}), frame('S', "TimeZone\x00UTC\x00")},
		"BackendKeyData":      {AppendBackendKeyData(before, CancelKey{7, "abcd"}), frame('K', word(7)+"abcd")},
		"ReadyForQuery":       {AppendReadyForQuery(before, StatusInTransaction), frame('Z', "T")},
		"Query":               {AppendQuery(before, "SELECT 1"), frame('Q', "SELECT 1\x00")},
		"Sync":                {AppendSync(before), frame('S', "")},
		"Terminate":           {AppendTerminate(before), frame('X', "")},
		"CopyFail":            {AppendCopyFail(before, "gone"), frame('f', "gone\x00")},
		"SASLInitialResponse": {AppendSASLInitialResponse(before, "SCRAM-SHA-256", []byte("n,,")), frame('p', "SCRAM-SHA-256\x00"+word(3)+"n,,")},
		"SASLResponse":        {AppendSASLResponse(before, []byte("c=biws")), frame('p', "c=biws")},
		"AuthenticationOk":    {AppendAuthenticationOK(before), frame('R', word(0))},
		"AuthenticationSASL":  {AppendAuthenticationSASL(before, "A", "B"), frame('R', word(10)+"A\x00B\x00\x00")},
		"SASLContinue":        {AppendSASLContinue(before, []byte("r=1")), frame('R', word(11)+"r=1")},
		"SASLFinal":           {AppendSASLFinal(before, []byte("v=2")), frame('R', word(12)+"v=2")},
	} {
		equal(t, name, string(c.got), "before"+string(c.want))
	}
}

func TestNegotiateProtocolVersionNamesOurVersionAndEachUnknownOption(t *testing.T) {
	for _, c := range []struct {
		unknown []string
		body    string
	}{
		{nil, word(3<<16+2) + word(0)},
		{[]string{"_pq_.a"}, word(3<<16+2) + word(1) + "_pq_.a\x00"},
		{[]string{"_pq_.c", "_pq_.a", "_pq_.b"}, word(3<<16+2) + word(3) + "_pq_.c\x00_pq_.a\x00_pq_.b\x00"},
	} {
		got := AppendNegotiateProtocolVersion([]byte("before"), Version32, c.unknown)
		equal(t, "message", string(got), "before"+string(frame('v', c.body)))
	}
}

func TestAnAuthenticationMessageSplitsIntoKindAndData(t *testing.T) {
	kind, data, err := ParseAuthentication([]byte(word(11) + "r=1"))
	ok(t, err)
	equal(t, "kind", kind, AuthSASLContinue)
	equal(t, "data", string(data), "r=1")
	for _, body := range []string{"", "\x00", "\x00\x00\x00"} {
		if _, _, err := ParseAuthentication([]byte(body)); err == nil {
			t.Errorf("a body of %d bytes was taken", len(body))
		}
	}
}

func TestTheOfferedMechanismsAreReadInTheirOrder(t *testing.T) {
	for data, want := range map[string][]string{
		"\x00":                  nil,
		"SCRAM-SHA-256\x00\x00": {"SCRAM-SHA-256"},
		"SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00": {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"},
		"A\x00\x00trailing":                           {"A"},
		strings.Repeat("M\x00", 16) + "\x00":          slices.Repeat([]string{"M"}, 16),
	} {
		got, err := ParseMechanisms([]byte(data))
		ok(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", data, got, want)
		}
	}
}

func TestAListOfMechanismsWithoutEndIsRefused(t *testing.T) {
	for _, data := range []string{"", "SCRAM-SHA-256", "SCRAM-SHA-256\x00", strings.Repeat("M\x00", 17) + "\x00"} {
		if got, err := ParseMechanisms([]byte(data)); err == nil {
			t.Errorf("%q was read as %q", data, got)
		}
	}
}

func TestASASLInitialResponseGivesMechanismAndData(t *testing.T) {
	for _, c := range []struct {
		body, mechanism string
		data            []byte
	}{
		{"SCRAM-SHA-256\x00" + word(3) + "n,,", "SCRAM-SHA-256", []byte("n,,")},
		{"SCRAM-SHA-256\x00" + word(0), "SCRAM-SHA-256", []byte{}},
		{"SCRAM-SHA-256\x00" + word(-1), "SCRAM-SHA-256", nil},
		{"\x00" + word(1) + "x", "", []byte("x")},
	} {
		mechanism, data, err := ParseSASLInitialResponse([]byte(c.body))
		ok(t, err)
		equal(t, "mechanism", mechanism, c.mechanism)
		if !bytes.Equal(data, c.data) || (data == nil) != (c.data == nil) {
			t.Errorf("%q: data is %q, want %q", c.body, data, c.data)
		}
	}
}

func TestASASLInitialResponseWhoseLengthLiesIsRefused(t *testing.T) {
	for _, body := range []string{
		"", "SCRAM", "SCRAM\x00", "SCRAM\x00\x00\x00\x00", // too short
		"SCRAM\x00" + word(4) + "n,,", "SCRAM\x00" + word(2) + "n,,", // off by one
		"SCRAM\x00" + word(-1) + "n,,", "SCRAM\x00" + word(-2), "SCRAM\x00" + word(-1<<31),
		"SCRAM\x00" + word(1<<31-1) + "n,,",
	} {
		if m, d, err := ParseSASLInitialResponse([]byte(body)); err == nil {
			t.Errorf("%q was read as %q and %q", body, m, d)
		}
	}
}

func TestParsedMessagesDoNotKeepTheBytesTheyWereReadFrom(t *testing.T) {
	body := []byte("SCRAM\x00" + word(3) + "n,,")
	_, data, err := ParseSASLInitialResponse(body)
	ok(t, err)
	clear(body)
	equal(t, "data", string(data), "n,,")

	body = []byte("TimeZone\x00UTC\x00")
	p, err := ParseParameterStatus(body)
	ok(t, err)
	clear(body)
	equal(t, "parameter", p, Parameter{"TimeZone", "UTC"})
}

func TestAParameterStatusGoesRound(t *testing.T) {
	for _, p := range []Parameter{{"TimeZone", "UTC"}, {"application_name", ""}, {"a", "\xff'\\"}} {
		got, err := ParseParameterStatus(AppendParameterStatus(nil, p)[HeaderSize:])
		ok(t, err)
		equal(t, "parameter", got, p)
	}
}

func TestAMalformedParameterStatusIsRefused(t *testing.T) {
	for _, body := range []string{
		"", "\x00", "\x00\x00", "\x00value\x00", "name", "name\x00", "name\x00value",
		"name\x00value\x00\x00", "name\x00value\x00more\x00",
	} {
		if p, err := ParseParameterStatus([]byte(body)); err == nil {
			t.Errorf("%q was read as %q", body, p)
		}
	}
}

func TestMessagesOfTheExtendedProtocolAreWholeAndOfTheirType(t *testing.T) {
	for want, got := range map[string][]byte{
		"P\x00\x00\x00\x11s\x00SELECT 1\x00\x00\x00":         AppendParse(nil, "s", "SELECT 1\x00\x00\x00"),
		"B\x00\x00\x00\x0d\x00s\x00\x00\x00\x00\x00\x00\x00": AppendBind(nil, "s"),
		"D\x00\x00\x00\x07Ss\x00":                            AppendNamed(nil, Describe, 'S', "s"),
		"C\x00\x00\x00\x06P\x00":                             AppendNamed(nil, CloseMessage, 'P', ""),
		"H\x00\x00\x00\x04":                                  AppendFlush(nil),
	} {
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
		if typ, size := ParseHeader(got); typ != got[0] || size != len(got)-HeaderSize {
			t.Errorf("%q has the length %d", got, size)
		}
	}
}
