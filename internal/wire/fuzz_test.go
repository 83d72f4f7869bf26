package wire

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func FuzzReadStartup(f *testing.F) {
	for _, n := range []uint32{0, 1, 3, 4, 7, 8, 9, StartupLimit + 4, StartupLimit + 5, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		f.Add(packet(n, 0, 3, 0, 0, 'u', 's', 'e', 'r', 0, 'a', 0, 0))
	}
	f.Add(AppendRequest(nil, SSLRequestCode))
	f.Add(AppendCancelRequest(nil, CancelKey{1, "abcd"}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		p, err := ReadStartup(r)
		slow, slowErr := ReadStartup(iotest.OneByteReader(bytes.NewReader(stream)))
		if (err == nil) != (slowErr == nil) || p.Code != slow.Code || !bytes.Equal(p.Body, slow.Body) {
			t.Fatalf("byte by byte it reads %v (%v), at once %v (%v)", slow, slowErr, p, err)
		}
		if err != nil {
			return
		}
		if size := len(stream) - r.Len(); size != 8+len(p.Body) || size > StartupLimit+4 {
			t.Fatalf("%d bytes were read for a body of %d", size, len(p.Body))
		}
		if again, err := ParseParameters(p.Body); err == nil {
			checkParameters(t, p.Body, again)
		}
	})
}

// checkParameters asserts that a body that was taken says nothing else than
// the parameters read from it.
func checkParameters(t *testing.T, body []byte, got []Parameter) {
	t.Helper()
	var users int
	var back strings.Builder
	for _, p := range got {
		if p.Name == "user" {
			users++
		}
		back.WriteString(p.Name + "\x00" + p.Value + "\x00")
	}
	if back.WriteByte(0); back.String() != string(body) {
		t.Fatalf("%q was read as %q", body, got)
	}
	if users > 1 {
		t.Fatalf("%q names %d roles", body, users)
	}
}

func FuzzParseParameters(f *testing.F) {
	for _, body := range []string{
		"", "\x00", "user\x00a\x00\x00", "user\x00a\x00user\x00b\x00\x00", "user\x00a\x00\x00x", "user\x00", "\x00\x00",
		"user\x00a\x00database\x00b\x00_pq_.x\x00\x00\x00", strings.Repeat("a\x00b\x00", 100_000/4) + "\x00",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ParseParameters(body)
		if err != nil {
			var malformed *StartupError
			if !errors.As(err, &malformed) {
				t.Fatalf("%v is no *StartupError", err)
			}
			return
		}
		checkParameters(t, body, got)
	})
}

func FuzzStartupParametersGoRound(f *testing.F) {
	f.Add("user", "alice", "application_name", "x\x00user\x00admin")
	f.Add("user", "", "", "")
	f.Add("a\x00b", "c", "options", "-c a=b")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		want := []Parameter{{n1, v1}, {n2, v2}}
		whole, err := AppendStartup(nil, Version30, want)
		if err != nil {
			return
		}
		p, err := ReadStartup(bytes.NewReader(whole))
		ok(t, err)
		got, err := ParseParameters(p.Body)
		twice := n1 == n2 && (n1 == "user" || n1 == "database")
		if twice != (err != nil) || err == nil && !slices.Equal(got, want) {
			t.Fatalf("%q came back as %q (%v)", want, got, err)
		}
	})
}

func FuzzParseCancelKey(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x01abcd"))
	f.Add(make([]byte, 260))
	f.Add(make([]byte, 261))
	f.Fuzz(func(t *testing.T, body []byte) {
		key, err := ParseCancelKey(body)
		if err != nil {
			return
		}
		if back := AppendCancelRequest(nil, key); !bytes.Equal(back[8:], body) {
			t.Fatalf("%x came back as %x", body, back[8:])
		}
	})
}

func FuzzParseError(f *testing.F) {
	for _, body := range []string{"", "\x00", "S", "SERROR\x00", "SERROR\x00VERROR\x00C42601\x00Mm\x00Dd\x00Hh\x00\x00", "Mm\x00\x00x", "C\x00\x00"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := ParseError(body)
		if (err == nil) != (e != nil) {
			t.Fatalf("both or neither: %v, %v", e, err)
		}
		if err != nil {
			return
		}
		if len(e.Code) != 5 {
			t.Fatalf("SQLSTATE %q has not five bytes", e.Code)
		}
		again, err := ParseError(e.Append(nil)[HeaderSize:])
		ok(t, err)
		if e.Severity == "" {
			e.Severity = "FATAL" // what is sent where nothing is said
		}
		equal(t, "the error sent on", *again, *e)
	})
}

func FuzzParseServerLoginMessages(f *testing.F) {
	f.Add([]byte(word(10) + "SCRAM-SHA-256\x00\x00"))
	f.Add([]byte(word(10) + "SCRAM-SHA-256"))
	f.Add([]byte(word(10) + strings.Repeat("\x00", 100)))
	f.Add([]byte(word(0)))
	f.Add([]byte("TimeZone\x00UTC\x00"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if kind, data, err := ParseAuthentication(body); err == nil {
			equal(t, "body", word(int64(kind))+string(data), string(body))
		}
		if list, err := ParseMechanisms(body); err == nil {
			joined := ""
			for _, m := range list {
				joined += m + "\x00"
			}
			if !strings.HasPrefix(string(body), joined+"\x00") || len(list) > maxMechanisms {
				t.Fatalf("%q was read as %q", body, list)
			}
		}
		if p, err := ParseParameterStatus(body); err == nil {
			equal(t, "body", p.Name+"\x00"+p.Value+"\x00", string(body))
		}
	})
}

func FuzzParseSASLInitialResponse(f *testing.F) {
	for _, body := range []string{"", "S", "S\x00", "S\x00\x00\x00\x00", "S\x00" + word(0), "S\x00" + word(-1), "S\x00" + word(-2), "S\x00" + word(1) + "x", "S\x00" + word(2) + "x"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		mechanism, data, err := ParseSASLInitialResponse(body)
		if err != nil {
			return
		}
		back := mechanism + "\x00" + word(int64(len(data))) + string(data)
		if data == nil {
			back = mechanism + "\x00" + word(-1)
		}
		equal(t, "body", back, string(body))
	})
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add(frame('p', "secret"), 6)
	f.Add(frame('p', "secret"), 5)
	f.Add(append([]byte{'p'}, packet(3)...), 100)
	f.Add(append([]byte{'p'}, packet(1<<31)...), 100)
	f.Add(append(frame('p', "secret"), "behind"...), 1<<20)
	f.Fuzz(func(t *testing.T, stream []byte, limit int) {
		limit = min(limit, 1<<20)
		r := bytes.NewReader(stream)
		typ, body, err := ReadMessage(r, nil, limit)
		var length *LengthError
		switch {
		case err == nil:
			if len(body) > limit || len(stream)-r.Len() != HeaderSize+len(body) {
				t.Fatalf("a body of %d bytes was read with a limit of %d", len(body), limit)
			}
			equal(t, "message", string(frame(typ, string(body))), string(stream[:HeaderSize+len(body)]))
		case errors.As(err, &length):
			if length.Body >= 0 && length.Body <= limit || r.Len() != len(stream)-HeaderSize {
				t.Fatalf("a body of %d bytes was refused with a limit of %d", length.Body, limit)
			}
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Fatalf("reading bytes failed with %v", err)
		}
	})
}
