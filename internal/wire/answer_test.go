package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestARowHasItsValuesAndItsNULLs(t *testing.T) {
	for body, want := range map[string]Row{
		"\x00\x00": {},
		"\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff": {{Text: "a"}, {Null: true}},
		"\x00\x01\x00\x00\x00\x00":                  {{}},
	} {
		got, err := ParseDataRow([]byte(body))
		ok(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("%q reads as %v, want %v", body, got, want)
		}
	}
	for _, body := range []string{
		"", "\x00", "\x00\x01", "\x00\x01\x00\x00\x00", "\x00\x01\x00\x00\x00\x02a", "\x00\x01\xff\xff\xff\xfe", "\x00\x00x", "\xff\xff\x00\x00\x00\x00",
	} {
		if row, err := ParseDataRow([]byte(body)); err == nil {
			t.Errorf("%q reads as %v", body, row)
		}
	}
}

func TestNULLIsNoEmptyString(t *testing.T) {
	row, err := ParseDataRow([]byte("\x00\x02\xff\xff\xff\xff\x00\x00\x00\x00"))
	ok(t, err)
	if len(row) != 2 || !row[0].Null || row[1].Null || row[1].Text != "" {
		t.Errorf("read %v", row)
	}
}

func TestAnAnswerIsAllThatCameUpToReadyForQuery(t *testing.T) {
	var a Answer
	for _, m := range [][]byte{
		frame('S', "TimeZone\x00UTC\x00"), frame('T', "\x00\x00"), frame('N', "\x00"), frame('D', "\x00\x01\x00\x00\x00\x01a"),
		frame('S', "TimeZone\x00CET\x00"), frame('C', "SELECT 1\x00"), frame('E', "SERROR\x00C42501\x00Mno\x00\x00"),
	} {
		ok(t, a.Take(m[0], m[HeaderSize:]))
		if a.Ready {
			t.Fatalf("it ended with %q", m)
		}
	}
	ok(t, a.Take(ReadyForQuery, []byte("I")))
	if len(a.Rows) != 1 || a.Rows[0][0].Text != "a" || !slices.Equal(a.Reported, []Parameter{{"TimeZone", "CET"}}) ||
		a.Refused == nil || a.Refused.Code != "42501" || !a.Ready || !a.Idle {
		t.Errorf("it was read as %+v", a)
	}
}

func TestAnAnswerMayLeaveATransactionOpen(t *testing.T) {
	for _, status := range []string{"T", "E", "", "II"} {
		var a Answer
		ok(t, a.Take(ReadyForQuery, []byte(status)))
		if !a.Ready || a.Idle {
			t.Errorf("status %q is taken for idle", status)
		}
	}
}

func TestAnAnswerThatCannotBeReadIsAnError(t *testing.T) {
	for _, m := range [][]byte{frame('D', "\x00"), frame('S', "a"), frame('E', "C42501"), frame('G', ""), frame('H', ""), frame('W', "")} {
		var a Answer
		if err := a.Take(m[0], m[HeaderSize:]); err == nil || errors.Is(err, ErrCopy) != strings.ContainsRune("GHW", rune(m[0])) {
			t.Errorf("%q: %v", m, err)
		}
	}
	few := Answer{MostRows: 1}
	ok(t, few.Take('D', []byte{0, 0}))
	if err := few.Take('D', []byte{0, 0}); err == nil || len(few.Rows) != 1 {
		t.Errorf("of one row %d were taken: %v", len(few.Rows), err)
	}
	a := Answer{SkipRows: true}
	if ok(t, a.Take('D', nil)); a.Rows != nil {
		t.Error("a row was kept that nobody wants")
	}
}

func TestParametersKeepTheirOrderAndTheirLastValueAndAreBounded(t *testing.T) {
	var list []Parameter
	for i := range 2 * maxParameters {
		list = SetParameter(list, Parameter{strings.Repeat("x", i), "1"})
	}
	list = SetParameter(list, Parameter{"x", "2"})
	if len(list) != maxParameters || list[1] != (Parameter{"x", "2"}) {
		t.Errorf("%d are kept, the second is %v", len(list), list[1])
	}
}
