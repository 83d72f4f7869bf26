package backend

import (
	"testing"

	"github.com/pgseal/pgseal/internal/pgfake"
	"github.com/pgseal/pgseal/tlsconf"
)

func binding(edit func(*setup), policy string) func(*setup) {
	return func(s *setup) {
		edit(s)
		s.ChannelBinding = policy
	}
}

func TestALoginIsBoundToTheTLSConnectionWhereTheServerOffersIt(t *testing.T) {
	pair, other := pgfake.Issued(t), pgfake.Issued(t)
	hash := tlsconf.EndpointHash(pair.Cert)
	stripped := "SCRAM-SHA-256\x00\x00"
	for name, test := range map[string]struct {
		policy string
		scram  pgfake.SCRAM
		bound  bool
		says   string // why it fails
	}{
		"preferred":                   {"prefer", pgfake.SCRAM{Endpoint: hash}, true, ""},
		"required":                    {"require", pgfake.SCRAM{Endpoint: hash}, true, ""},
		"disabled":                    {"disable", pgfake.SCRAM{Endpoint: hash}, false, ""},
		"not offered":                 {"prefer", pgfake.SCRAM{}, false, ""},
		"not offered and required":    {"require", pgfake.SCRAM{}, false, "server did not offer an authentication method that supports channel binding"},
		"offered at the end":          {"prefer", pgfake.SCRAM{Endpoint: hash, Mechanisms: "X\x00SCRAM-SHA-256\x00SCRAM-SHA-256-PLUS\x00\x00"}, true, ""},
		"relayed by somebody":         {"prefer", pgfake.SCRAM{Endpoint: tlsconf.EndpointHash(other.Cert)}, false, "check failed"},
		"stripped":                    {"prefer", pgfake.SCRAM{Endpoint: hash, Mechanisms: stripped}, false, "negotiation error"},
		"stripped, it is required":    {"require", pgfake.SCRAM{Endpoint: hash, Mechanisms: stripped}, false, "server did not offer an authentication method that supports channel binding"},
		"stripped where nobody looks": {"disable", pgfake.SCRAM{Endpoint: hash, Mechanisms: stripped}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.scram.Password = password
			f := pgfake.Listen(t, func(p *peer) {
				p.Secure(pair)
				p.Startup()
				if test.scram.Run(p) {
					p.Welcome()
					p.Rest()
				}
			})
			s, err := open(t, f, binding(verified(t, pgfake.Roots()[0], "verify-full"), test.policy))
			if test.says != "" {
				says(t, err, test.says)
				return
			}
			ok(t, err)
			if s.Bound != test.bound {
				t.Errorf("bound is %t", s.Bound)
			}
		})
	}
}

func TestAServerThatLetsUsInUnboundIsLeftWhereBindingIsRequired(t *testing.T) {
	f := pgfake.Listen(t, trusting(pgfake.Issued(t)))
	_, err := open(t, f, binding(verified(t, pgfake.Roots()[0], "verify-full"), "require"))
	ours(t, err, "channel binding required")
}
