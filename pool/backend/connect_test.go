package backend

import (
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
)

const (
	password   = "correct horse battery staple"
	sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
)

func quick(edit func(*setup)) func(*setup) {
	return func(s *setup) {
		edit(s)
		s.Timeout = 200 * time.Millisecond
	}
}

// trusting secures the connection and lets everybody in.
func trusting(pair devca.Pair) func(*peer) {
	return func(p *peer) {
		p.Secure(pair)
		p.Startup()
		p.Welcome()
		p.Rest()
	}
}

func TestAServerWithoutTLSGetsNothingButTheSSLRequest(t *testing.T) {
	for name, c := range map[string]struct {
		answer string // to SSLRequest
		says   string
	}{
		"it says no":                            {"N", "does not support SSL"},
		"it says no and more":                   {"N" + welcome, "does not support SSL"},
		"it says an error":                      {frame('E', "SFATAL\x00C0A000\x00Munsupported frontend protocol\x00\x00"), "an error response"},
		"it says an error in the old format":    {"Eunsupported frontend protocol\n\x00", "an error response"},
		"it says yes and more":                  {"S" + welcome, "unencrypted data"},
		"it says yes and one byte":              {"SS", "unencrypted data"},
		"it says garbage":                       {"HTTP/1.1 400 Bad Request\r\n", "SSL negotiation: 0x48"},
		"it says a small letter":                {"s", "SSL negotiation: 0x73"},
		"it says nothing and hangs up":          {"", "no answer to SSLRequest"},
		"it says it lets us in, without asking": {welcome, "SSL negotiation: 0x52"},
	} {
		for _, sslmode := range []string{"verify-full", "verify-ca", "require"} {
			t.Run(name+" to "+sslmode, func(t *testing.T) {
				f := pgfake.Listen(t, func(p *peer) {
					p.SSLRequest()
					p.Put([]byte(c.answer)...)
					if c.answer != "" {
						p.Hold()
					}
				})
				_, err := open(t, f, verified(t, pgfake.Roots()[0], sslmode))
				ours(t, err, c.says)
				if got, _ := f.Peer(0).Received(); got != sslRequest {
					t.Errorf("the server got %q, want the SSLRequest alone", got)
				}
			})
		}
	}
}

// Bytes that come behind the answer in a segment of their own may be missed at
// first. Then they run into the handshake.
func TestBytesThatComeBetweenTheAnswerAndTheHandshakeEndIt(t *testing.T) {
	pair := pgfake.Issued(t)
	f := pgfake.Listen(t, func(p *peer) {
		p.SSLRequest()
		p.Put('S')
		p.Take(1) // the ClientHello is on its way
		p.Put([]byte(welcome)...)
		p.Handshake(pair)
	})
	_, err := open(t, f, verified(t, pgfake.Roots()[0], "verify-full"))
	ours(t, err, "TLS handshake")
	if wire, _ := f.Peer(0).Received(); strings.Contains(wire, "app\x00") {
		t.Error("a startup packet was sent in clear")
	}
}

func TestAServerThatNeverAnswersTheSSLRequestIsGivenUp(t *testing.T) {
	f := pgfake.Listen(t, func(p *peer) { p.Hold() })
	_, err := open(t, f, quick(verified(t, pgfake.Roots()[0], "verify-full")))
	ours(t, err, "no answer to SSLRequest", "timeout")
	if got, _ := f.Peer(0).Received(); got != sslRequest {
		t.Errorf("the server got %q, want the SSLRequest alone", got)
	}
}

func TestAServerThatStopsInTheHandshakeIsGivenUp(t *testing.T) {
	f := pgfake.Listen(t, func(p *peer) {
		p.SSLRequest()
		p.Put('S')
		p.Hold()
	})
	_, err := open(t, f, quick(verified(t, pgfake.Roots()[0], "verify-full")))
	ours(t, err, "TLS handshake")
}

func TestEachSSLModeVerifiesWhatItsNameSays(t *testing.T) {
	good := pgfake.Issued(t)
	otherName := pgfake.Issued(t, func(r *devca.Request) { r.Hosts = []string{"other.internal"} })
	nameInSubject := pgfake.Issued(t, func(r *devca.Request) { r.CommonName, r.Hosts = "db.internal", []string{"other.internal"} })
	expired := pgfake.Issued(t, func(r *devca.Request) { r.NotBefore, r.Life = time.Now().Add(-time.Hour), time.Minute })
	notYet := pgfake.Issued(t, func(r *devca.Request) { r.NotBefore = time.Now().Add(30 * time.Minute) })
	forClients := pgfake.Issued(t, func(r *devca.Request) { r.Client = true })
	otherCA, err := pgfake.Roots()[1].Issue(devca.Request{Hosts: []string{"db.internal"}})
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
			edit  func(*setup)
			taken bool
			does  string // what is really verified
		}{
			{"verify-full", verified(t, pgfake.Roots()[0], "verify-full"), c.want.full, "verify-full"},
			{"verify-ca", verified(t, pgfake.Roots()[0], "verify-ca"), c.want.ca, "verify-ca"},
			{"require", func(s *setup) { s.SSLMode = "require" }, c.want.require, "require"},
			{"require with roots", verified(t, pgfake.Roots()[0], "require"), c.want.requireWithRoots, "verify-ca"},
		} {
			t.Run(name+" to "+mode.name, func(t *testing.T) {
				f := pgfake.Listen(t, trusting(c.pair))
				s, err := open(t, f, mode.edit)
				if mode.taken {
					ok(t, err)
					if !strings.HasPrefix(s.TLS, "TLS 1.3 TLS_") || s.Verified != mode.does {
						t.Errorf("the connection is secured by %q and was verified as %s", s.TLS, s.Verified)
					}
					return
				}
				ours(t, err, "TLS handshake", "certificate")
				if _, inside := f.Peer(0).Received(); inside != "" {
					t.Errorf("a server that was refused got %q", inside)
				}
			})
		}
	}
}

func TestSSLModeDisableSendsNoSSLRequest(t *testing.T) {
	f := pgfake.Listen(t, hospitable)
	s, err := open(t, f, nil)
	ok(t, err)
	if s.TLS != "" || s.Verified != "disable" || s.Addr != f.Addr() {
		t.Errorf("the server says TLS %q, verified %q, at %s", s.TLS, s.Verified, s.Addr)
	}
	if got := f.Peer(0).StartedWith()["user"]; got != "app" {
		t.Errorf("the first packet came from user %q", got)
	}
}

func TestNothingIsReadableOnTheWireToASecuredServer(t *testing.T) {
	f := pgfake.Listen(t, func(p *peer) {
		p.Secure(pgfake.Issued(t))
		p.Startup()
		if (pgfake.SCRAM{Password: password}).Run(p) {
			p.Welcome()
			p.Rest()
		}
	})
	trust := verified(t, pgfake.Roots()[0], "verify-full")
	c, err := dial(t, f, func(s *setup) { trust(s); s.Login.User = "app_role" })
	ok(t, err)
	_, err = c.Query(t.Context(), "SELECT secret")
	ok(t, err)
	c.Close()
	wire, inside := f.Peer(0).Received()
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
type dribble struct{ *pgfake.Recorder }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Recorder.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestALoginSucceedsOneBytePerSegment(t *testing.T) {
	pair := pgfake.Issued(t)
	for name, secure := range map[string]bool{"with TLS": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			f := pgfake.Listen(t, func(p *peer) {
				p.Conn = dribble{p.Raw}
				if secure {
					p.SSLRequest()
					p.Put('S')
					p.HandshakeOver(dribble{p.Raw}, pair)
				}
				p.Startup()
				if (pgfake.SCRAM{Password: password}).Run(p) {
					p.Welcome()
					p.Rest()
				}
			})
			var edit func(*setup)
			if secure {
				edit = verified(t, pgfake.Roots()[0], "verify-full")
			}
			s, err := open(t, f, edit)
			ok(t, err)
			if len(s.Parameters) != 2 {
				t.Errorf("the parameters are %v", s.Parameters)
			}
		})
	}
}
