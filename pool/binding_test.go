package pool

import (
	"testing"

	"github.com/pgseal/pgseal/tlsconf"
)

func binding(edit func(*Spec), policy string) func(*Spec) {
	return func(s *Spec) {
		edit(s)
		s.ChannelBinding = policy
	}
}

func TestALoginIsBoundToTheTLSConnectionWhereTheServerOffersIt(t *testing.T) {
	pair, other := issued(t), issued(t)
	hash := tlsconf.EndpointHash(pair.Cert)
	stripped := "SCRAM-SHA-256\x00\x00"
	for name, test := range map[string]struct {
		policy string
		scram  scram
		bound  bool
		says   string // why it fails
	}{
		"preferred":                   {"prefer", scram{endpoint: hash}, true, ""},
		"required":                    {"require", scram{endpoint: hash}, true, ""},
		"disabled":                    {"disable", scram{endpoint: hash}, false, ""},
		"not offered":                 {"prefer", scram{}, false, ""},
		"not offered and required":    {"require", scram{}, false, "does not offer SCRAM-SHA-256-PLUS"},
		"offered at the end":          {"prefer", scram{endpoint: hash, mechanisms: "X\x00SCRAM-SHA-256\x00SCRAM-SHA-256-PLUS\x00\x00"}, true, ""},
		"relayed by somebody":         {"prefer", scram{endpoint: tlsconf.EndpointHash(other.Cert)}, false, "check failed"},
		"stripped":                    {"prefer", scram{endpoint: hash, mechanisms: stripped}, false, "negotiation error"},
		"stripped, it is required":    {"require", scram{endpoint: hash, mechanisms: stripped}, false, "does not offer SCRAM-SHA-256-PLUS"},
		"stripped where nobody looks": {"disable", scram{endpoint: hash, mechanisms: stripped}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.scram.password = password
			f := listen(t, func(p *peer) {
				p.secure(pair)
				p.startup()
				if test.scram.run(p) {
					p.welcome()
					p.rest()
				}
			})
			s, err := open(t, f, binding(verified(t, roots()[0], "verify-full"), test.policy))
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
	f := listen(t, trusting(issued(t)))
	_, err := open(t, f, binding(verified(t, roots()[0], "verify-full"), "require"))
	says(t, code(t, err, "08006").Cause, "channel_binding is require")
}
