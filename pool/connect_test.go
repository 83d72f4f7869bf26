package pool

import (
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

const (
	password   = "correct horse battery staple"
	sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
)

// open tries to open a server at f as role app, with what edit says of TLS.
func open(t *testing.T, f *fakeListener, edit func(*Spec)) (*Server, error) {
	t.Helper()
	h := startHouse(t, f, edit)
	p, leave := h.manager.Join(h.database("app"), Login{User: "app", Password: password})
	t.Cleanup(leave)
	g := <-ask(p).got
	if g.err == nil {
		t.Cleanup(func() { p.Release(g.server) })
	} else if strings.Contains(g.err.Error(), password) {
		t.Errorf("the password stands in the error %q", g.err)
	}
	return g.server, g.err
}

func quick(edit func(*Spec)) func(*Spec) {
	return func(s *Spec) {
		edit(s)
		s.Defaults.ServerConnectTimeout = 200 * time.Millisecond
	}
}

// trusting secures the connection and lets everybody in.
func trusting(pair devca.Pair) func(*peer) {
	return func(p *peer) {
		p.secure(pair)
		p.startup()
		p.welcome()
		p.rest()
	}
}

func TestAServerWithoutTLSGetsNothingButTheSSLRequest(t *testing.T) {
	for name, c := range map[string]struct {
		answer string // to SSLRequest
		says   string
	}{
		"it says no":                            {"N", "does not offer TLS"},
		"it says no and more":                   {"N" + welcome, "does not offer TLS"},
		"it says an error":                      {frame('E', "SFATAL\x00C0A000\x00Munsupported frontend protocol\x00\x00"), "with an error"},
		"it says an error in the old format":    {"Eunsupported frontend protocol\n\x00", "with an error"},
		"it says yes and more":                  {"S" + welcome, "unencrypted data"},
		"it says yes and one byte":              {"SS", "unencrypted data"},
		"it says garbage":                       {"HTTP/1.1 400 Bad Request\r\n", "byte 0x48"},
		"it says a small letter":                {"s", "byte 0x73"},
		"it says nothing and hangs up":          {"", "no answer to SSLRequest"},
		"it says it lets us in, without asking": {welcome, "byte 0x52"},
	} {
		for _, sslmode := range []string{"verify-full", "verify-ca", "require"} {
			t.Run(name+" to "+sslmode, func(t *testing.T) {
				f := listen(t, func(p *peer) {
					p.sslRequest()
					p.write([]byte(c.answer)...)
					if c.answer != "" {
						p.hold()
					}
				})
				_, err := open(t, f, verified(t, roots()[0], sslmode))
				says(t, code(t, err, "08006").Cause, c.says)
				if got, _ := f.peer(0).received(); got != sslRequest {
					t.Errorf("the server got %q, want the SSLRequest alone", got)
				}
			})
		}
	}
}

// Bytes that come behind the answer in a segment of their own may be missed at
// first. Then they run into the handshake.
func TestBytesThatComeBetweenTheAnswerAndTheHandshakeEndIt(t *testing.T) {
	pair := issued(t)
	f := listen(t, func(p *peer) {
		p.sslRequest()
		p.write('S')
		p.read(1) // the ClientHello is on its way
		p.write([]byte(welcome)...)
		p.handshake(pair)
	})
	_, err := open(t, f, verified(t, roots()[0], "verify-full"))
	says(t, code(t, err, "08006").Cause, "TLS handshake")
	if wire, _ := f.peer(0).received(); strings.Contains(wire, "app\x00") {
		t.Error("a startup packet was sent in clear")
	}
}

func TestAServerThatNeverAnswersTheSSLRequestIsGivenUp(t *testing.T) {
	f := listen(t, func(p *peer) { p.hold() })
	_, err := open(t, f, quick(verified(t, roots()[0], "verify-full")))
	says(t, code(t, err, "08006").Cause, "no answer to SSLRequest", "timeout")
	if got, _ := f.peer(0).received(); got != sslRequest {
		t.Errorf("the server got %q, want the SSLRequest alone", got)
	}
}

func TestAServerThatStopsInTheHandshakeIsGivenUp(t *testing.T) {
	f := listen(t, func(p *peer) {
		p.sslRequest()
		p.write('S')
		p.hold()
	})
	_, err := open(t, f, quick(verified(t, roots()[0], "verify-full")))
	says(t, code(t, err, "08006").Cause, "TLS handshake")
}

func TestEachSSLModeVerifiesWhatItsNameSays(t *testing.T) {
	good := issued(t)
	otherName := issued(t, func(r *devca.Request) { r.Hosts = []string{"other.internal"} })
	nameInSubject := issued(t, func(r *devca.Request) { r.CommonName, r.Hosts = "db.internal", []string{"other.internal"} })
	expired := issued(t, func(r *devca.Request) { r.NotBefore, r.Life = time.Now().Add(-time.Hour), time.Minute })
	notYet := issued(t, func(r *devca.Request) { r.NotBefore = time.Now().Add(30 * time.Minute) })
	forClients := issued(t, func(r *devca.Request) { r.Client = true })
	otherCA, err := roots()[1].Issue(devca.Request{Hosts: []string{"db.internal"}})
	ok(t, err)

	type verdicts struct{ full, ca, require, requireWithRoots bool }
	for name, c := range map[string]struct {
		pair devca.Pair
		want verdicts // whether it gets through
	}{
		"good":                 {good, verdicts{true, true, true, true}},
		"of another host":      {otherName, verdicts{false, true, true, true}},
		"name in subject only": {nameInSubject, verdicts{false, true, true, true}},
		"expired":              {expired, verdicts{false, false, true, false}},
		"not yet valid":        {notYet, verdicts{false, false, true, false}},
		"meant for clients":    {forClients, verdicts{false, false, true, false}},
		"of another authority": {otherCA, verdicts{false, false, true, false}},
	} {
		for _, mode := range []struct {
			name  string
			edit  func(*Spec)
			taken bool
			does  string // what is really verified
		}{
			{"verify-full", verified(t, roots()[0], "verify-full"), c.want.full, "verify-full"},
			{"verify-ca", verified(t, roots()[0], "verify-ca"), c.want.ca, "verify-ca"},
			{"require", func(s *Spec) { s.SSLMode = "require" }, c.want.require, "require"},
			{"require with roots", verified(t, roots()[0], "require"), c.want.requireWithRoots, "verify-ca"},
		} {
			t.Run(name+" to "+mode.name, func(t *testing.T) {
				f := listen(t, trusting(c.pair))
				s, err := open(t, f, mode.edit)
				if mode.taken {
					ok(t, err)
					if !strings.HasPrefix(s.TLS, "TLS 1.3 TLS_") || s.Verified != mode.does {
						t.Errorf("the connection is secured by %q and was verified as %s", s.TLS, s.Verified)
					}
					return
				}
				e := code(t, err, "08006")
				says(t, e.Cause, "TLS handshake", "certificate")
				if strings.Contains(e.Message, "certificate") {
					t.Errorf("clients are told %q", e.Message)
				}
				if _, inside := f.peer(0).received(); inside != "" {
					t.Errorf("a server that was refused got %q", inside)
				}
			})
		}
	}
}

func TestSSLModeDisableSendsNoSSLRequest(t *testing.T) {
	f := listen(t, hospitable)
	s, err := open(t, f, nil)
	ok(t, err)
	if s.TLS != "" || s.Verified != "disable" || s.Addr != f.ln.Addr().String() {
		t.Errorf("the server says TLS %q, verified %q, at %s", s.TLS, s.Verified, s.Addr)
	}
	if got := f.peer(0).startedWith()["user"]; got != "app" {
		t.Errorf("the first packet came from user %q", got)
	}
}

func TestNothingIsReadableOnTheWireToASecuredServer(t *testing.T) {
	f := listen(t, func(p *peer) {
		p.secure(issued(t))
		p.startup()
		if (scram{password: password}).run(p) {
			p.welcome()
			p.rest()
		}
	})
	h := startHouse(t, f, verified(t, roots()[0], "verify-full"))
	p, leave := h.manager.Join(h.database("app"), Login{User: "app_role", Password: password})
	defer leave()
	s := ask(p).server(t)
	s.Write([]byte(frame('Q', "SELECT secret\x00")), nil)
	p.Discard(s)
	wire, inside := f.peer(0).received()
	for _, text := range []string{"app_role", "SCRAM", "SELECT"} {
		if strings.Contains(wire, text) {
			t.Errorf("%q stood on the wire in clear", text)
		}
		if !strings.Contains(inside, text) {
			t.Errorf("%q did not arrive at all", text)
		}
	}
	if strings.Contains(inside, password) {
		t.Error("the password was shown to the server")
	}
}

// dribble sends each byte in a segment of its own.
type dribble struct{ *recorder }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.recorder.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestALoginSucceedsOneBytePerSegment(t *testing.T) {
	pair := issued(t)
	for name, secure := range map[string]bool{"with TLS": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			f := listen(t, func(p *peer) {
				p.Conn = dribble{p.raw}
				if secure {
					p.sslRequest()
					p.write('S')
					p.handshakeOver(dribble{p.raw}, pair)
				}
				p.startup()
				if (scram{password: password}).run(p) {
					p.welcome()
					p.rest()
				}
			})
			var edit func(*Spec)
			if secure {
				edit = verified(t, roots()[0], "verify-full")
			}
			s, err := open(t, f, edit)
			ok(t, err)
			if len(s.Parameters()) != 2 {
				t.Errorf("the parameters are %v", s.Parameters())
			}
		})
	}
}
