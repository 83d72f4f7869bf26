package proxy

import (
	"slices"
	"strings"
	"testing"

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
	for _, test := range []struct{ asked, want []wire.Parameter }{
		{nil, []wire.Parameter{{Name: "application_name", Value: "[cert:CN=alice]"}}},
		{[]wire.Parameter{{Name: "replication", Value: "1"}, {Name: "Application_Name", Value: "x"}, {Name: "application_name", Value: "walreceiver"}},
			[]wire.Parameter{{Name: "replication", Value: "1"}, {Name: "application_name", Value: "walreceiver [cert:CN=alice]"}}},
		{[]wire.Parameter{{Name: "options", Value: "-c application_name=x"}},
			[]wire.Parameter{{Name: "options", Value: "-c application_name=x"}, {Name: "application_name", Value: "x [cert:CN=alice]"}}},
	} {
		if got := label(test.asked, "cert:CN=alice"); !slices.Equal(got, test.want) {
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
