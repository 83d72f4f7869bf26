package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestAnErrorGoesRound(t *testing.T) {
	e := &Error{Severity: "ERROR", Code: "42601", Message: "syntax error", Detail: "near", Hint: "think"}
	m := e.Append([]byte("before"))
	equal(t, "what was there before", string(m[:6]), "before")
	typ, size := ParseHeader(m[6:])
	equal(t, "type", typ, ErrorResponse)
	equal(t, "size", size, len(m)-6-HeaderSize)
	got, err := ParseError(m[6+HeaderSize:])
	ok(t, err)
	e.Foreign = true
	equal(t, "error", *got, *e)
}

func TestANoticeGoesRound(t *testing.T) {
	e := &Error{Severity: "NOTICE", Code: CodeSuccess, Message: "wait", Hint: "think"}
	m := e.AppendNotice(nil)
	typ, size := ParseHeader(m)
	equal(t, "type", typ, NoticeResponse)
	equal(t, "size", size, len(m)-HeaderSize)
	got, err := ParseError(m[HeaderSize:])
	ok(t, err)
	e.Foreign = true
	equal(t, "notice", *got, *e)
}

func TestAnErrorTellsOldAndNewClientsItsSeverity(t *testing.T) {
	m := string(Fatal(CodeInvalidPassword, "no").Append(nil)[HeaderSize:])
	for _, field := range []string{"SFATAL\x00", "VFATAL\x00", "C28P01\x00", "Mno\x00"} {
		if !strings.Contains(m, field) {
			t.Errorf("%q lacks %q", m, field)
		}
	}
	if !strings.HasSuffix(m, "\x00\x00") {
		t.Errorf("%q has no terminator", m)
	}
}

func TestAnErrorThatSaysLittleIsSentWithDefaults(t *testing.T) {
	got, err := ParseError((&Error{}).Append(nil)[HeaderSize:])
	ok(t, err)
	equal(t, "error", *got, Error{Severity: "FATAL", Code: CodeInternal, Foreign: true})
}

func TestAServersErrorIsReadWhateverFieldsItHas(t *testing.T) {
	for body, want := range map[string]Error{
		"\x00": {Severity: "ERROR", Code: CodeInternal},
		"SERROR\x00C42601\x00Msyntax error\x00\x00":         {Severity: "ERROR", Code: "42601", Message: "syntax error"},
		"SFEHLER\x00VERROR\x00C42601\x00Mnein\x00\x00":      {Severity: "ERROR", Code: "42601", Message: "nein"},
		"VERROR\x00SFEHLER\x00C42601\x00Mnein\x00\x00":      {Severity: "ERROR", Code: "42601", Message: "nein"},
		"SFATAL\x00C57P01\x00Mend\x00Dwhy\x00Hwhat\x00\x00": {Severity: "FATAL", Code: "57P01", Message: "end", Detail: "why", Hint: "what"},
		"Mno code\x00\x00":                                          {Severity: "ERROR", Code: CodeInternal, Message: "no code"},
		"C428\x00Mshort code\x00\x00":                               {Severity: "ERROR", Code: CodeInternal, Message: "short code"},
		"C4260100000\x00Mlong code\x00\x00":                         {Severity: "ERROR", Code: CodeInternal, Message: "long code"},
		"zunknown\x00P15\x00Fparse.c\x00L1\x00C42601\x00Mm\x00\x00": {Severity: "ERROR", Code: "42601", Message: "m"},
		"M\x00\x00":                           {Severity: "ERROR", Code: CodeInternal},
		"C42601\x00\x00behind the end":        {Severity: "ERROR", Code: "42601"},
		"Mfirst\x00Msecond\x00C42601\x00\x00": {Severity: "ERROR", Code: "42601", Message: "second"},
	} {
		got, err := ParseError([]byte(body))
		if err != nil {
			t.Errorf("%q: %v", body, err)
			continue
		}
		want.Foreign = true
		equal(t, body, *got, want)
	}
}

func TestAnErrorWithoutEndIsRefused(t *testing.T) {
	for _, body := range []string{"", "S", "SERROR", "SERROR\x00", "SERROR\x00C", "SERROR\x00C42601\x00Mcut off"} {
		if e, err := ParseError([]byte(body)); err == nil {
			t.Errorf("%q was read as %v", body, e)
		}
	}
}

func TestHintsAndCausesAreAddedToACopy(t *testing.T) {
	e := Fatal(CodeConnectionFailure, "lost")
	cause := io.ErrUnexpectedEOF
	changed := e.WithHint("look").WithCause(cause)
	equal(t, "the original", *e, Error{Severity: "FATAL", Code: "08006", Message: "lost"})
	equal(t, "the hint", changed.Hint, "look")
	if !errors.Is(changed, cause) {
		t.Error("the cause is not in the chain")
	}
}

func TestTheCauseOfAnErrorIsNeverSent(t *testing.T) {
	m := string(Fatal(CodeInternal, "sorry").WithCause(errors.New("10.0.0.1 refused")).Append(nil))
	if strings.Contains(m, "10.0.0.1") {
		t.Errorf("the client is told %q", m)
	}
}

func TestAnErrorOfOursKeepsItsSQLSTATEThroughWrapping(t *testing.T) {
	e := Fatal(CodeTooManyConnections, "full")
	got := AsError(fmt.Errorf("outer: %w", e))
	if got != e {
		t.Errorf("got %v, want %v", got, e)
	}
	equal(t, "text", e.Error(), "FATAL 53300: full")
}

func TestAForeignErrorIsHiddenFromTheClientAndKeptForTheLog(t *testing.T) {
	cause := errors.New("/secret/path is missing")
	e := AsError(cause)
	equal(t, "code", e.Code, CodeInternal)
	equal(t, "severity", e.Severity, "FATAL")
	if strings.Contains(string(e.Append(nil)), "secret") {
		t.Error("the client is told the cause")
	}
	if !errors.Is(e, cause) {
		t.Error("the cause is lost")
	}
}
