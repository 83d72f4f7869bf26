package backend

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/pgfake"
	"github.com/pgseal/pgseal/internal/wire"
)

// enter logs in to a server without TLS that follows script, within a bubble,
// and gives the outcome to check. The password must not have come to the
// server in clear, whatever it asked for.
func enter(t *testing.T, script func(*peer), edit func(*setup), check func(*testing.T, *Conn, error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := pgfake.New(t, script)
		c, err := dial(t, f, edit)
		check(t, c, err)
		if c != nil {
			c.Close()
		}
		f.Wait()
		if got, _ := f.Peer(0).Received(); strings.Contains(got, password) {
			t.Error("the password was sent in clear")
		}
	})
}

// admitted asserts that the login succeeds, and returns nothing else to know.
func admitted(t *testing.T, script func(*peer), check func(*testing.T, *Conn)) {
	t.Helper()
	enter(t, script, nil, func(t *testing.T, s *Conn, err error) {
		ok(t, err)
		if check != nil {
			check(t, s)
		}
	})
}

// refused asserts that pgseal ends the login, for a reason with these words
// that stands in the log.
func refused(t *testing.T, script func(*peer), words ...string) {
	t.Helper()
	enter(t, script, nil, func(t *testing.T, _ *Conn, err error) {
		ours(t, err, words...)
	})
}

// withSCRAM is the script of an honest server but for what s changes.
func withSCRAM(s pgfake.SCRAM) func(*peer) {
	s.Password = password
	return func(p *peer) {
		p.Startup()
		if s.Run(p) {
			p.Welcome()
			p.Rest()
		}
	}
}

// after runs steps behind the startup packet.
func after(steps func(*peer)) func(*peer) {
	return func(p *peer) {
		p.Startup()
		steps(p)
		p.Hold()
	}
}

// text sends raw bytes behind the startup packet, whether or not they are read
// or answered.
func text(messages ...string) func(*peer) {
	return after(func(p *peer) { go io.WriteString(p.Conn, strings.Join(messages, "")) })
}

var letIn = frame('R', word(0))

func TestALoginBySCRAMSucceeds(t *testing.T) {
	admitted(t, withSCRAM(pgfake.SCRAM{}), func(t *testing.T, s *Conn) {
		want := []wire.Parameter{{Name: "server_version", Value: "18.0"}, {Name: "TimeZone", Value: "UTC"}}
		if !slices.Equal(s.Parameters, want) {
			t.Errorf("the parameters are %v", s.Parameters)
		}
		if s.Key != (wire.CancelKey{PID: 42, Secret: "key!"}) {
			t.Errorf("the cancel key is %v", s.Key)
		}
	})
}

func TestALoginBySCRAMTakesAnyReasonableIterationCount(t *testing.T) {
	for _, n := range []int{1, 10_000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { admitted(t, withSCRAM(pgfake.SCRAM{Iterations: n}), nil) })
	}
}

func TestAServerThatTrustsNeedsNoPassword(t *testing.T) {
	admitted(t, hospitable, nil)
}

func TestAWrongPasswordIsTheServersRefusal(t *testing.T) {
	wrong := func(p *peer) {
		p.Startup()
		(pgfake.SCRAM{Password: "another one"}).Run(p)
	}
	enter(t, wrong, nil, func(t *testing.T, _ *Conn, err error) {
		e := code(t, err, "28P01")
		if e.Severity != "FATAL" || e.Message != `password authentication failed for user "app"` {
			t.Errorf("got %+v", e)
		}
	})
}

func TestSCRAMIsChosenWhereverItStandsInTheList(t *testing.T) {
	for _, list := range []string{
		"SCRAM-SHA-256\x00\x00",
		"OAUTHBEARER\x00X-UNKNOWN\x00SCRAM-SHA-256\x00\x00",
		"SCRAM-SHA-256\x00SCRAM-SHA-256\x00\x00",
		"SCRAM-SHA-256\x00\x00garbage behind the terminator",
		strings.Repeat("X\x00", 15) + "SCRAM-SHA-256\x00\x00",
	} {
		t.Run(fmt.Sprintf("%.60q", list), func(t *testing.T) {
			admitted(t, withSCRAM(pgfake.SCRAM{Mechanisms: list}), nil)
		})
	}
}

func TestAListWithoutSCRAMIsRefused(t *testing.T) {
	for list, words := range map[string]string{
		"":                           "no terminator",
		"SCRAM-SHA-256":              "no terminator",
		"SCRAM-SHA-256\x00":          "no terminator",
		"\x00":                       "SASL authentication mechanisms",
		"\x00SCRAM-SHA-256\x00\x00":  "SASL authentication mechanisms",
		"SCRAM-SHA-256-PLUS\x00\x00": "non-SSL connection",
		"SCRAM-SHA-256\x00SCRAM-SHA-256-PLUS\x00\x00": "non-SSL connection", // as libpq has it
		"scram-sha-256\x00\x00":                       "SASL authentication mechanisms",
		"SCRAM-SHA-1\x00PLAIN\x00\x00":                "SASL authentication mechanisms",
		strings.Repeat("X\x00", 100_000):              "too long",
	} {
		t.Run(fmt.Sprintf("%.40q", list), func(t *testing.T) {
			refused(t, text(frame('R', word(10), list)), words)
		})
	}
}

func TestAServerThatDoesNotProveThatItKnowsThePasswordIsRefused(t *testing.T) {
	replace := func(with string) func(string) string { return func(string) string { return with } }
	for name, c := range map[string]struct {
		scram pgfake.SCRAM
		says  string
	}{
		"it leaves the signature out": {pgfake.SCRAM{Final: replace("")}, "did not complete SCRAM"},
		"its signature is wrong":      {pgfake.SCRAM{Final: replace("v=" + strings.Repeat("A", 43) + "=")}, "incorrect server signature"},
		"its signature is cut":        {pgfake.SCRAM{Final: func(s string) string { return s[:30] }}, "invalid server signature"},
		"its signature is empty":      {pgfake.SCRAM{Final: replace("v=")}, "invalid server signature"},
		"it sends an error":           {pgfake.SCRAM{Final: replace("e=other-error")}, "other-error"},
		// No nonce of ours has a star.
		"its nonce is not ours":         {pgfake.SCRAM{First: func(s string) string { return "r=*" + s[3:] }}, "nonce mismatch"},
		"it adds nothing to the nonce":  {pgfake.SCRAM{First: func(s string) string { return s[:26] + s[strings.Index(s, ",s="):] }}, "nonce mismatch"},
		"its nonce is endless":          {pgfake.SCRAM{First: func(s string) string { return s[:30] + strings.Repeat("x", 3000) + s[30:] }}, "invalid nonce"},
		"its message is endless":        {pgfake.SCRAM{First: func(s string) string { return s + strings.Repeat(",x=y", 50_000) }}, "too long"},
		"it gives no salt":              {pgfake.SCRAM{First: func(s string) string { return s[:strings.Index(s, ",s=")] }}, "attribute is missing"},
		"its salt is no base64":         {pgfake.SCRAM{First: func(s string) string { return strings.Replace(s, ",s=", ",s=*", 1) }}, "invalid salt"},
		"it wants no iterations":        {pgfake.SCRAM{First: func(s string) string { return s[:strings.Index(s, ",i=")] + ",i=0" }}, "iteration count"},
		"it wants an extension":         {pgfake.SCRAM{First: func(s string) string { return "m=x," + s }}, "extensions are not supported"},
		"its first message holds a NUL": {pgfake.SCRAM{First: func(s string) string { return s + "\x00" }}, "NUL byte"},
		"its first message is empty":    {pgfake.SCRAM{First: replace("")}, "empty"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, withSCRAM(c.scram), c.says) })
	}
}

// A count that libpq would work on for minutes is refused before any work.
func TestAServerThatWantsTooManyIterationsGetsNoAnswer(t *testing.T) {
	for _, n := range []int{auth.MaxServerIterations + 1, 1<<31 - 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			steps := 0
			refused(t, after(func(p *peer) {
				p.Authentication(10, "SCRAM-SHA-256\x00\x00")
				_, body := p.Recv()
				nonce := string(body[bytes.LastIndex(body, []byte("r="))+2:])
				p.Authentication(11, fmt.Sprintf("r=%sserver,s=c2FsdHNhbHQ=,i=%d", nonce, n))
				steps++
				p.Recv()
				steps++
			}), "iterations")
			if steps != 1 {
				t.Errorf("the exchange went %d steps, want 1", steps)
			}
		})
	}
}

func TestAnExchangeOutOfOrderIsRefused(t *testing.T) {
	offer := frame('R', word(10), "SCRAM-SHA-256\x00\x00")
	for name, c := range map[string]struct{ messages, says string }{
		"in before the exchange ends": {offer + letIn, "did not complete SCRAM"},
		"a second offer":              {offer + offer, "duplicate SASL"},
		"a step without an offer":     {frame('R', word(11), "r=x,s=c2FsdA==,i=4096"), "without AUTH_REQ_SASL"},
		"an end without an offer":     {frame('R', word(12), "v=x"), "without AUTH_REQ_SASL"},
		"an end without a step":       {offer + frame('R', word(12), "v=x"), "unexpected message"},
		"in twice":                    {letIn + letIn, "after AuthenticationOk"},
		"an offer behind the door":    {letIn + offer, "after AuthenticationOk"},
		"ready without being in":      {frame('Z', "I"), "expected authentication request"},
		"a parameter before":          {frame('S', "a\x00b\x00") + welcome, "expected authentication request"},
		"a key before":                {frame('K', word(1), word(2)) + welcome, "expected authentication request"},
		"ready in a transaction":      {letIn + frame('Z', "T"), "unexpected transaction status"},
		"ready in a failed one":       {letIn + frame('Z', "E"), "unexpected transaction status"},
		"ready without a status":      {letIn + frame('Z'), "unexpected transaction status"},
		"ready with two":              {letIn + frame('Z', "II"), "unexpected transaction status"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, text(c.messages), c.says) })
	}
}

func TestWeakAndUnknownMethodsAreRefusedInClearWords(t *testing.T) {
	for name, c := range map[string]struct {
		message string
		says    []string
	}{
		"cleartext": {frame('R', word(3)), []string{"requested a cleartext password", `authentication method requirement "scram-sha-256,none" failed`, "verified TLS"}},
		"md5":       {frame('R', word(5), "salt"), []string{"requested MD5 authentication", "require_auth", "password_encryption"}},
		"kerberos":  {frame('R', word(2)), []string{"method 2"}},
		"gss":       {frame('R', word(7)), []string{"method 7"}},
		"sspi":      {frame('R', word(9)), []string{"method 9"}},
		"unknown":   {frame('R', word(1<<31)), []string{"method 2147483648"}},
		"none":      {frame('R', "\x00\x00"), []string{"too short"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, text(c.message), c.says...) })
	}
}

func TestAServerThatWantsAPasswordWhereNoneIsKnownIsToldNothing(t *testing.T) {
	f := pgfake.New(t, withSCRAM(pgfake.SCRAM{}))
	_, err := dial(t, f, func(s *setup) { s.Login.Password = "" })
	ours(t, err, "none is known", `"app"`)
	if got, _ := f.Peer(0).Received(); strings.Contains(got, "SCRAM") {
		t.Error("an exchange was begun")
	}
}

// Each of these makes some client library panic, hang or allocate a GiB.
func TestMalformedMessagesEndTheLogin(t *testing.T) {
	for name, message := range map[string]string{
		"an empty CommandComplete":              frame('C'),
		"a NotificationResponse of two bytes":   frame('A', "\x00\x00"),
		"a row with a negative field":           frame('D', "\x00\x01\xff\xff\xff\xfe"),
		"a list of mechanisms without an end":   frame('R', word(10), "SCRAM-SHA-256"),
		"a list with an empty name":             frame('R', word(10), "\x00\x00"),
		"a function result that is NULL":        frame('V', "\xff\xff\xff\xff"),
		"a body of a GiB":                       "S\x40\x00\x00\x00",
		"a body of 4 GiB":                       "S\xff\xff\xff\xff",
		"a body just over the limit":            "N" + word(loginMessageLimit+5),
		"a length of zero":                      "R\x00\x00\x00\x00",
		"a length of three":                     "R\x00\x00\x00\x03",
		"an empty Authentication":               frame('R'),
		"an unknown type":                       frame('?', "what"),
		"a type of zero":                        frame(0),
		"a client's message":                    frame('Q', "SELECT 1\x00"),
		"plain text":                            "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an empty ErrorResponse":                frame('E'),
		"an ErrorResponse with an endless code": frame('E', "C28000"),
		"an error of the old protocol":          "Esomething is wrong\n\x00",
	} {
		t.Run("first "+name, func(t *testing.T) { refused(t, text(message)) })
		t.Run("later "+name, func(t *testing.T) { refused(t, text(letIn, message)) })
	}
	for name, message := range map[string]string{
		"an empty ParameterStatus":              frame('S'),
		"a ParameterStatus without a value":     frame('S', "TimeZone\x00"),
		"a ParameterStatus without a name":      frame('S', "\x00UTC\x00"),
		"a ParameterStatus without an end":      frame('S', "TimeZone\x00UTC"),
		"a ParameterStatus with more behind it": frame('S', "TimeZone\x00UTC\x00x\x00"),
		"a BackendKeyData without a secret":     frame('K', word(1)),
		"a BackendKeyData of three bytes":       frame('K', word(1), "abc"),
		"a BackendKeyData of 257 bytes":         frame('K', word(1), strings.Repeat("k", 257)),
	} {
		t.Run(name, func(t *testing.T) { refused(t, text(letIn, message)) })
	}
}

func TestMessagesThatMustNotDisturbALoginDoNot(t *testing.T) {
	notice := frame('N', "SWARNING\x00C01000\x00Mbeware\x00\x00")
	negotiate := frame('v', word(pgfake.Version30), word(0))
	for name, messages := range map[string]string{
		"notices before":            notice + notice + welcome,
		"notices between":           letIn + notice + frame('S', "a\x00b\x00") + notice + frame('Z', "I"),
		"a notice without fields":   frame('N') + frame('N', "\x00") + welcome,
		"protocol negotiation":      notice + negotiate + welcome,
		"no key":                    letIn + frame('Z', "I"),
		"a key of 256 bytes":        letIn + frame('K', word(7), strings.Repeat("k", 256)) + frame('Z', "I"),
		"a parameter of 64 KB":      letIn + frame('S', "search_path\x00", strings.Repeat("x", 64<<10), "\x00") + frame('Z', "I"),
		"a parameter without value": letIn + frame('S', "session_authorization\x00\x00") + frame('Z', "I"),
	} {
		t.Run(name, func(t *testing.T) {
			admitted(t, after(func(p *peer) {
				p.Put([]byte(messages)...)
				p.Rest()
			}), nil)
		})
	}
}

func TestAParameterToldTwiceHasItsLastValue(t *testing.T) {
	script := text(letIn, frame('S', "a\x001\x00"), frame('S', "b\x002\x00"), frame('S', "a\x003\x00"), frame('Z', "I"))
	admitted(t, script, func(t *testing.T, s *Conn) {
		if want := []wire.Parameter{{Name: "a", Value: "3"}, {Name: "b", Value: "2"}}; !slices.Equal(s.Parameters, want) {
			t.Errorf("got %v, want %v", s.Parameters, want)
		}
	})
}

func TestAnErrorOfTheServerKeepsItsSQLSTATE(t *testing.T) {
	for name, c := range map[string]struct {
		messages string
		want     wire.Error
	}{
		"at first": {frame('E', "SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"),
			wire.Error{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"}},
		"after it let us in": {letIn + frame('E', "SFATAL\x00C3D000\x00Mdatabase \"app\" does not exist\x00\x00"),
			wire.Error{Severity: "FATAL", Code: "3D000", Message: `database "app" does not exist`}},
		"in another language": {frame('E', "SFATALE\x00VFATAL\x00C28000\x00Mnon\x00Dparce que\x00Hpeut-\u00eatre\x00\x00"),
			wire.Error{Severity: "FATAL", Code: "28000", Message: "non", Detail: "parce que", Hint: "peut-\u00eatre"}},
		"without a code":     {frame('E', "SFATAL\x00Mno\x00\x00"), wire.Error{Severity: "FATAL", Code: "XX000", Message: "no"}},
		"with a short code":  {frame('E', "SFATAL\x00C28\x00Mno\x00\x00"), wire.Error{Severity: "FATAL", Code: "XX000", Message: "no"}},
		"without a field":    {frame('E', "\x00"), wire.Error{Severity: "ERROR", Code: "XX000"}},
		"with unknown ones":  {frame('E', "?x\x00C28000\x00L12\x00\x00"), wire.Error{Severity: "ERROR", Code: "28000"}},
		"in mid-exchange":    {frame('R', word(10), "SCRAM-SHA-256\x00\x00") + frame('E', "SFATAL\x00C28P01\x00\x00"), wire.Error{Severity: "FATAL", Code: "28P01"}},
		"with much behind":   {frame('E', "SFATAL\x00C28P01\x00\x00") + welcome, wire.Error{Severity: "FATAL", Code: "28P01"}},
		"not fatal, it says": {frame('E', "SERROR\x00C22023\x00\x00") + welcome, wire.Error{Severity: "ERROR", Code: "22023"}},
	} {
		t.Run(name, func(t *testing.T) {
			enter(t, text(c.messages), nil, func(t *testing.T, _ *Conn, err error) {
				c.want.Foreign = true
				if got := code(t, err, c.want.Code); *got != c.want {
					t.Errorf("got %+v, want %+v", *got, c.want)
				}
			})
		})
	}
}

// The host of a list that refuses a login has the last word: it knows the role.
func TestARefusalIsNotTriedAtTheNextHost(t *testing.T) {
	script := func(p *peer) {
		p.Startup()
		p.Fail("FATAL", "28000", "no")
	}
	f := pgfake.New(t, script)
	_, err := dial(t, f, func(s *setup) { s.Host = "a,b" })
	code(t, err, "28000")
	if n := len(f.Dialed()); n != 1 {
		t.Errorf("%d hosts were tried", n)
	}
}

func TestAServerThatTalksWithoutEndIsCutOff(t *testing.T) {
	for name, message := range map[string]string{
		"notices":    frame('N', strings.Repeat("x", 10_000)),
		"parameters": frame('S', "a\x00", strings.Repeat("x", 10_000), "\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			refused(t, func(p *peer) {
				p.Startup()
				p.Authentication(0)
				for {
					p.Put([]byte(message)...)
					sent += len(message)
				}
			}, "without ReadyForQuery")
			if sent > loginBytes+len(message) {
				t.Errorf("it could send %d bytes, the limit is %d", sent, loginBytes)
			}
		})
	}
}

func TestAServerThatTalksSlowlyIsCutOffAfterServerConnectTimeout(t *testing.T) {
	enter(t, func(p *peer) {
		p.Startup()
		p.Authentication(0)
		for {
			time.Sleep(time.Second)
			p.Send('N', "\x00")
		}
	}, nil, func(t *testing.T, _ *Conn, err error) {
		ours(t, err, "timeout")
	})
}

// until plays an honest login up to a step and then does what is left to it.
func until(step int, then func(*peer)) func(*peer) {
	return func(p *peer) {
		p.Startup()
		s := pgfake.SCRAM{Password: password}
		stop := func(n int) func(string) string {
			return func(message string) string {
				if step == n {
					then(p)
					panic(pgfake.Gone{})
				}
				return message
			}
		}
		if step == 0 {
			then(p)
			return
		}
		s.First, s.Final = stop(1), stop(2)
		s.Run(p)
		if step == 3 {
			then(p)
			return
		}
		p.Authentication(0)
		then(p)
	}
}

func TestAServerMayStopAtNoStepOfALogin(t *testing.T) {
	for step := range 5 {
		t.Run(fmt.Sprint("hangs up at ", step), func(t *testing.T) {
			refused(t, until(step, func(*peer) {}), "EOF")
		})
		t.Run(fmt.Sprint("goes silent at ", step), func(t *testing.T) {
			refused(t, until(step, func(p *peer) { p.Hold() }), "timeout")
		})
		t.Run(fmt.Sprint("breaks off in a header at ", step), func(t *testing.T) {
			refused(t, until(step, func(p *peer) { p.Put('R', 0, 0) }), "EOF")
		})
		t.Run(fmt.Sprint("breaks off in a body at ", step), func(t *testing.T) {
			refused(t, until(step, func(p *peer) { p.Put('R', 0, 0, 0, 9, 0) }), "EOF")
		})
	}
}

func TestANULByteInARoleStartsNoParameterOfItsOwn(t *testing.T) {
	f := pgfake.New(t, hospitable)
	_, err := dial(t, f, func(s *setup) { s.Login = Login{User: "app\x00user\x00postgres"} })
	ours(t, err, "NUL byte")
	if got, _ := f.Peer(0).Received(); got != "" {
		t.Errorf("the server got %q", got)
	}
}

func TestANegotiationOfTheProtocolThatMakesNoSenseEndsTheLogin(t *testing.T) {
	negotiate := frame('v', word(pgfake.Version30), word(0))
	for name, messages := range map[string]string{
		"twice":                          negotiate + negotiate,
		"after it let us in":             letIn + negotiate,
		"in the midst of SCRAM":          frame('R', word(10), "SCRAM-SHA-256\x00\x00") + negotiate,
		"the version that was asked for": frame('v', word(pgfake.Version32), word(0)),
		"a version that never was":       frame('v', word(pgfake.Version30+1), word(0)),
		"a newer minor version":          frame('v', word(pgfake.Version30+3), word(0)),
		"an older major version":         frame('v', word(2<<16), word(0)),
		"a newer major version":          frame('v', word(4<<16), word(0)),
		"a minor version alone":          frame('v', word(0), word(0)),
		"an option that was not sent":    frame('v', word(pgfake.Version30), word(1), "_pq_.x\x00"),
		"more options than there are":    frame('v', word(pgfake.Version30), word(1)),
		"four billion options":           frame('v', word(pgfake.Version30), word(1<<32-1), "x\x00"),
		"bytes behind the options":       frame('v', word(pgfake.Version30), word(0), "\x00"),
		"no count":                       frame('v', word(pgfake.Version30)),
		"nothing":                        frame('v'),
	} {
		t.Run(name, func(t *testing.T) { refused(t, text(messages+welcome)) })
	}
}
