package proxy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

func TestALabelIsPlainTextInWhichTheIdentitySurvives(t *testing.T) {
	long := strings.Repeat("x", 80)
	for _, test := range []struct{ name, identity, want string }{
		{"psql", "cert:CN=alice", "psql [cert:CN=alice]"},
		{"", "scram-sha-256:app", "[scram-sha-256:app]"},
		{"my app [x]", "peer:root", "my app [x] [peer:root]"},
		{"münz\n", "peer:a\nb", "m??nz? [peer:a?b]"},
		{long, "cert:CN=alice", long[:47] + " [cert:CN=alice]"},
		{"psql", long[:56], "psql [" + long[:56] + "]"},
		{"psql", long[:57], "psq [" + long[:57] + "]"},
		{"psql", long[:59], "p [" + long[:59] + "]"},
		{"psql", long[:60], "[" + long[:60] + "]"},
		{"psql", long[:61], "[" + long[:61] + "]"},
		{"psql", long, "[" + long[:61] + "]"},
		{"", "", "[]"},
	} {
		if got := labelFor(test.name, test.identity); got != test.want {
			t.Errorf("%q of %q becomes\n%q, want\n%q", test.name, test.identity, got, test.want)
		}
	}
}

func FuzzALabelIsPrintableFitsAndTellsWho(f *testing.F) {
	f.Add("psql", "cert:CN=app,O=\\C3\\BC")
	f.Add("", "")
	f.Add(strings.Repeat("ü", 40), strings.Repeat("x", 100))
	f.Add("\x00]", "\x00\n'\"ü\xff")
	f.Fuzz(func(t *testing.T, name, identity string) {
		got := labelFor(name, identity)
		if cleanApplicationName(got) != got {
			t.Errorf("PostgreSQL would change %q", got)
		}
		if want := "[" + cleanApplicationName(identity[:min(len(identity), 61)]) + "]"; !strings.HasSuffix(got, want) {
			t.Errorf("%q does not tell of %q", got, identity)
		}
	})
}

func TestTheLabelStandsInThePlaceOfWhatTheClientAskedFor(t *testing.T) {
	h := open(t, servers(1))
	h.stamp()
	for asked, want := range map[string]string{
		"": "[scram-sha-256:alice]", "application_name=mine": "mine [scram-sha-256:alice]", "Application_Name=mine": "mine [scram-sha-256:alice]",
		"options=-c application_name=his": "his [scram-sha-256:alice]",
	} {
		var c *client
		if name, value, given := strings.Cut(asked, "="); given {
			c = h.login("app", name, value)
		} else {
			c = h.login("app")
		}
		if got := c.params["application_name"]; got != want {
			t.Errorf("a client that asks for %q is told %q, want %q", asked, got, want)
		}
		c.leave()
	}
	c := h.login("sess", "application_name", "mine")
	if got := c.params["application_name"]; got != "mine" {
		t.Errorf("where nothing is stamped the client is told %q", got)
	}
}

func TestAReplicationConnectionIsLabelledInItsStartupPacket(t *testing.T) {
	h := open(t, servers(1))
	h.stamp()
	s := &session{identity: "cert:CN=alice"}
	s.db, _ = h.manager.Database("app")
	for _, test := range []struct{ asked, want []wire.Parameter }{
		{nil, []wire.Parameter{{Name: "application_name", Value: "[cert:CN=alice]"}}},
		{[]wire.Parameter{{Name: "replication", Value: "1"}, {Name: "Application_Name", Value: "x"}, {Name: "application_name", Value: "walreceiver"}},
			[]wire.Parameter{{Name: "replication", Value: "1"}, {Name: "application_name", Value: "walreceiver [cert:CN=alice]"}}},
		{[]wire.Parameter{{Name: "options", Value: "-c application_name=x"}},
			[]wire.Parameter{{Name: "options", Value: "-c application_name=x"}, {Name: "application_name", Value: "x [cert:CN=alice]"}}},
	} {
		if got := s.label(test.asked); !slices.Equal(got, test.want) {
			t.Errorf("%v becomes %v, want %v", test.asked, got, test.want)
		}
	}
}

// stamp has the clients of app labelled.
func (h *house) stamp() {
	h.t.Helper()
	specs := h.specs(plan{pool: pool.DefaultConfig(), port: h.server.port()})
	specs["app"].StampIdentity = true
	h.manager.Apply(specs)
}

// subject makes a certificate with a subject of one common name and one
// organization, each a string of this kind.
func subject(t *testing.T, kind int, cn, o string) *x509.Certificate {
	t.Helper()
	var names pkix.RDNSequence
	for oid, text := range map[string]string{"cn": cn, "o": o} {
		id := map[string]asn1.ObjectIdentifier{"cn": {2, 5, 4, 3}, "o": {2, 5, 4, 10}}[oid]
		value := asn1.RawValue{Class: asn1.ClassUniversal, Tag: kind, Bytes: []byte(text)}
		names = append(names, pkix.RelativeDistinguishedNameSET{{Type: id, Value: value}})
	}
	raw, err := asn1.Marshal(names)
	ok(t, err)
	return &x509.Certificate{RawSubject: raw}
}

func TestTheIdentityIsWhatWasProved(t *testing.T) {
	plain := subject(t, asn1.TagUTF8String, "app", "Müller, \"x\"\n")
	full := hba.VerifyFull
	for name, test := range map[string]struct {
		rule   hba.Rule
		cert   *x509.Certificate
		proved string
		want   []string // in any order of the subject's parts
	}{
		"a password":                  {hba.Rule{Method: hba.SCRAM}, nil, "app", []string{"scram-sha-256:app"}},
		"a certificate nobody reads":  {hba.Rule{Method: hba.SCRAM, ClientCert: hba.VerifyCA}, plain, "app", []string{"scram-sha-256:app"}},
		"a unix socket":               {hba.Rule{Method: hba.Peer}, nil, "root", []string{"peer:root"}},
		"a URI":                       {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameURI}, plain, "spiffe://corp/x", []string{"cert:spiffe://corp/x"}},
		"a key":                       {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameSHA256}, plain, "0a", []string{"cert:0a"}},
		"a password and a subject":    {hba.Rule{Method: hba.SCRAM, ClientCert: full, ClientName: hba.NameCN}, plain, "app", []string{"cert:", "CN=app", `O=M\C3\BCller\, \"x\"\0A`}},
		"a subject with a zero byte":  {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameCN}, subject(t, asn1.TagUTF8String, "app", "a\x00b"), "app", []string{"cert:app"}},
		"a subject that is no UTF-8":  {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameCN}, subject(t, asn1.TagUTF8String, "app", "\xff"), "app", []string{"cert:app"}},
		"a subject beyond all bounds": {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameCN}, subject(t, asn1.TagUTF8String, "app", strings.Repeat("x", 5000)), "app", []string{"cert:app"}},
	} {
		got := identityOf(test.rule, test.cert, test.proved)
		for _, want := range test.want {
			if !strings.Contains(got, want) || len(test.want) == 1 && got != want {
				t.Errorf("%s: the identity is %q, want %q", name, got, want)
			}
		}
	}
}
