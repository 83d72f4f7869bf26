package proxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

// totals returns what the pool of alice and a database has counted.
func (h *house) totals(database string) stats.PoolTotals {
	h.t.Helper()
	for _, s := range h.manager.Snapshots() {
		if s.Database == database && s.User == "alice" {
			return s.Totals
		}
	}
	h.t.Fatalf("alice has no pool of %s", database)
	return stats.PoolTotals{}
}

func TestTransactionsAndQueriesAreCountedWhenTheyEnd(t *testing.T) {
	for _, database := range []string{"app", "sess"} {
		t.Run(database, func(t *testing.T) {
			h := open(t)
			c := h.login(database)
			before := h.totals(database)
			began := time.Now()
			c.do("BEGIN", "T")
			c.ask("SELECT pid")
			if n := h.totals(database).Transactions - before.Transactions; n != 0 {
				t.Errorf("%d transactions ended before their end", n)
			}
			c.do("COMMIT", "I")
			c.ask("SELECT pid")
			took := time.Since(began)
			got := h.totals(database)
			received := uint64(len(query("BEGIN")) + len(query("COMMIT")) + 2*len(query("SELECT pid")))
			if got.Transactions-before.Transactions != 2 || got.Queries-before.Queries != 4 || got.Received-before.Received != received {
				t.Errorf("counted are %d transactions, %d queries and %d bytes of %d", got.Transactions-before.Transactions, got.Queries-before.Queries, got.Received-before.Received, received)
			}
			if got.Sent-before.Sent < uint64(4*len(ready("I"))) {
				t.Errorf("only %d bytes were sent", got.Sent-before.Sent)
			}
			got.QueryTime.Sub(&before.QueryTime)
			if spent := got.TransactionTime - before.TransactionTime; got.QueryTime.Count() != 4 || got.QueryTime.Sum <= 0 || spent < got.QueryTime.Sum || spent > took {
				t.Errorf("%d queries took %v within transactions of %v, all within %v", got.QueryTime.Count(), got.QueryTime.Sum, spent, took)
			}
			if n := got.Assignments - before.Assignments; database == "app" && n != 2 || database == "sess" && n != 1 {
				t.Errorf("a server was given %d times", n)
			}
		})
	}
}

func TestEachBatchOfAPipelineIsAQuery(t *testing.T) {
	h := open(t)
	c := h.login("app")
	before := h.totals("app")
	one := parseAs("", "SELECT 1") + bindTo("") + msg('E', "\x00\x00\x00\x00\x00") + msg('S')
	c.write(one + one + one)
	for range 3 {
		for c.want('1'); ; {
			typ, _, err := readMsg(c)
			ok(t, err)
			if typ == 'Z' {
				break
			}
		}
	}
	got := h.totals("app")
	if n := got.Queries - before.Queries; n != 3 {
		t.Errorf("%d queries were counted", n)
	}
	if got.ClientParses != 3 || got.Binds != 3 {
		t.Errorf("%d Parse and %d Bind were counted", got.ClientParses, got.Binds)
	}
}

func TestAStatementThatAServerHasIsNotParsedThereAgain(t *testing.T) {
	h := open(t, servers(1))
	c := h.login("app")
	until := func(m string) {
		t.Helper()
		c.write(m)
		for {
			typ, _, err := readMsg(c)
			ok(t, err)
			if typ == 'Z' {
				return
			}
		}
	}
	until(parseAs("s", "SELECT 1") + msg('S'))
	for range 4 {
		until(bindTo("s") + msg('E', "\x00\x00\x00\x00\x00") + msg('S'))
	}
	if got := h.totals("app"); got.ClientParses != 1 || got.ServerParses != 1 || got.Binds != 4 {
		t.Errorf("counted are %d and %d Parse, and %d Bind", got.ClientParses, got.ServerParses, got.Binds)
	}
}

func TestATransactionThatMovesMuchIsCountedBeforeItsEnd(t *testing.T) {
	h := open(t)
	end := make(chan struct{})
	h.server.on("SELECT much", func(b *backend) {
		for range 30 {
			b.send(row(strings.Repeat("x", 100_000)))
		}
		<-end
		b.send(complete("SELECT 30"), ready("I"))
	})
	c := h.login("app")
	c.write(query("SELECT much"))
	for range 30 {
		c.want('D')
	}
	if got := h.totals("app"); got.Sent < 2_000_000 || got.Transactions != 0 {
		t.Errorf("%d bytes and %d transactions are counted of one that goes on", got.Sent, got.Transactions)
	}
	close(end)
	c.want('C')
	c.wants(ready("I"))
	if got := h.totals("app"); got.Sent < 3_000_000 || got.Transactions != 1 {
		t.Errorf("%d bytes and %d transactions are counted at its end", got.Sent, got.Transactions)
	}
}

func TestTheWaitForAServerIsCounted(t *testing.T) {
	h := open(t, servers(1))
	a, b := h.login("app"), h.login("app")
	a.do("BEGIN", "T")
	before := h.totals("app")
	b.write(query("SELECT pid"))
	eventually(t, "b waits", func() bool {
		for _, s := range h.manager.Snapshots() {
			if s.Waiting == 1 && s.MaxWait > 0 && s.Servers.Active == 1 && s.Clients == 2 {
				return true
			}
		}
		return false
	})
	a.do("COMMIT", "I")
	b.want('T')
	got := h.totals("app")
	got.WaitTime.Sub(&before.WaitTime)
	if got.WaitTime.Count() != 1 || got.WaitTime.Sum <= 0 {
		t.Errorf("%d waits of %v were counted", got.WaitTime.Count(), got.WaitTime.Sum)
	}
}

func TestErrorsAreCountedByClassAndTheLastAreRemembered(t *testing.T) {
	h := open(t)
	h.server.on("INSERT", func(b *backend) {
		b.send(msg('E', "SERROR\x00VERROR\x00C23505\x00Mduplicate key\x00DKey (id)=(secret data) already exists.\x00\x00"), ready(b.status))
	})
	for _, database := range []string{"app", "sess"} {
		c := h.login(database)
		c.write(query("INSERT"))
		c.want('E')
		c.wants(ready("I"))
	}
	wrong := h.dialTLS()
	wrong.write(packet(version3, "user", "alice", "database", "app"))
	wrong.authenticate("no such password")
	wrong.refused(wire.CodeInvalidPassword)
	wrong.ended()
	counts := h.proxy.ErrorCounts()
	if counts[stats.ErrorClass{Source: stats.ErrorServer, Class: "23"}] != 2 || counts[stats.ErrorClass{Source: stats.ErrorOurs, Class: "28"}] != 1 || len(counts) != 2 {
		t.Errorf("the counts are %v", counts)
	}
	last := h.proxy.LastErrors()
	if len(last) != 3 {
		t.Fatalf("%d errors are remembered", len(last))
	}
	if e := last[0]; e.Source != stats.ErrorOurs || e.Code != wire.CodeInvalidPassword || e.Severity != "FATAL" || !strings.Contains(e.Message, "alice") {
		t.Errorf("the last error is %+v", e)
	}
	if e := last[2]; e.Source != stats.ErrorServer || e.Code != "23505" || e.Severity != "ERROR" || e.Database != "app" || e.User != "alice" || e.Client == 0 {
		t.Errorf("the first error is %+v", e)
	}
	for _, e := range last {
		if strings.Contains(e.Message, "secret data") || e.Source == stats.ErrorServer && e.Message != "" {
			t.Errorf("a server's text is remembered: %+v", e)
		}
	}
}

func TestTheErrorsThatAreRememberedAreBounded(t *testing.T) {
	p := &Server{}
	for i := range 3 * keptErrors {
		p.counters.errors.add(stats.Error{Time: time.Unix(int64(i+1), 0), Source: stats.ErrorServer, Code: string([]byte{byte(i), byte(i >> 4), 'x', 'x', 'x'})})
	}
	if n := len(p.ErrorCounts()); n > len(errorClasses)+1 {
		t.Errorf("%d classes are counted", n)
	}
	last := p.LastErrors()
	if len(last) != keptErrors || last[0].Time.Unix() != 3*keptErrors || !slices.IsSortedFunc(last, func(a, b stats.Error) int { return b.Time.Compare(a.Time) }) {
		t.Errorf("%d errors are remembered, from %v", len(last), last[0].Time)
	}
}

func TestTheCodeOfAnErrorIsReadFromWhateverAServerSends(t *testing.T) {
	for body, want := range map[string]string{
		"SFEHLER\x00VERROR\x00C42601\x00Mx\x00\x00": "ERROR 42601",
		"C42601\x00":         " 42601",
		"C42601":             " ",
		"":                   " ",
		"\x00C42601\x00":     " ",
		"C4260100000\x00":    " 42601",
		"VEXTRAORDINARY\x00": "EXTRAOR ",
	} {
		if severity, code := severityAndCode([]byte(body)); severity+" "+code != want {
			t.Errorf("%q: %q and %q", body, severity, code)
		}
	}
}

func TestLoginsHandshakesAndCancelsAreCountedByOutcome(t *testing.T) {
	h := open(t)
	started, _ := h.server.hangs("SELECT hang")
	c := h.login("app")
	c.write(query("SELECT hang"))
	receive(t, "the query runs", started)
	h.cancel(c.key, true)
	c.want('E')
	c.wants(ready("I"))
	h.cancel(c.key, false)
	h.cancel("\x00\x00\x00\x01\x00\x00\x00\x02", false)
	if got := h.proxy.Cancels(); got[CancelSent] != 1 || got[CancelIdle] != 1 || got[CancelUnknown] != 1 || len(got) != 3 {
		t.Errorf("cancels are %v", got)
	}
	plain := h.dial()
	plain.write(packet(version3, "user", "alice", "database", "app"))
	plain.refused(wire.CodeInvalidAuth)
	plain.ended()
	none := h.dialTLS()
	none.write(packet(version3, "user", "alice", "database", "none"))
	none.authenticate(password)
	none.authenticated()
	none.refused(wire.CodeUndefinedDatabase)
	none.ended()
	broken := h.dial()
	broken.write(sslRequest)
	broken.wantByte('S')
	broken.write("\x16\x03\x01\x00\x05nonsense")
	eventually(t, "the handshake has failed", func() bool { return h.proxy.Logins()[login.OutcomeHandshake] == 1 })
	if got := h.proxy.Logins(); got[login.OutcomeDone] != 1 || got[login.OutcomeRefused] != 1 || got[login.OutcomeDatabase] != 1 || len(got) != 4 {
		t.Errorf("logins are %v", got)
	}
	for leg, shakes := range map[string]stats.HandshakeTotals{"client": h.proxy.Handshakes(), "server": h.manager.Handshakes()} {
		done := uint64(0)
		for how, n := range shakes.Counts {
			if how.Outcome == stats.HandshakeDone {
				done += n
				if how.Version != "TLSv1.3" || !strings.HasPrefix(how.Cipher, "TLS_") {
					t.Errorf("%s: %+v", leg, how)
				}
			}
		}
		if times := shakes.Times; done < 2 || times.Count() != done || times.Sum <= 0 {
			t.Errorf("%s: %d handshakes took %v", leg, done, times.Sum)
		}
	}
}
