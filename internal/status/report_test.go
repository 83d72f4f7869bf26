package status

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

const hostile = "\"><img src=x onerror=alert(1)>\u202egnp.\u0007</script>"

func TestAllIsWellWhereNothingIsWrong(t *testing.T) {
	f := newFake()
	f.pools.list = []stats.Pool{{Database: "app", User: "app", Clients: 3, Waiting: 1, MaxWait: time.Millisecond}}
	if r := f.Report(); r.State != StateOK || r.Headline != "All is well" || len(r.Findings) != 0 {
		t.Errorf("it says %s, %q, %v", r.State, r.Headline, r.Findings)
	}
}

func TestTheHeadlineSaysWhatIsWrong(t *testing.T) {
	now := time.Now()
	cert := func(kind string, left time.Duration) func(*fake) {
		return func(f *fake) {
			f.certs = []stats.Certificate{{
				Where: "listener 127.0.0.1:6432", Kind: kind, Subject: "CN=db", Fingerprint: "f",
				NotBefore: now.Add(-90 * 24 * time.Hour), NotAfter: now.Add(left),
			}}
		}
	}
	for _, c := range []struct {
		state, text string
		arrange     func(*fake)
	}{
		{StateTrouble, "3 clients wait in app/app, the longest for 7 seconds", func(f *fake) {
			f.pools.list = []stats.Pool{{Database: "app", User: "app", Clients: 3, Waiting: 3, MaxWait: 7 * time.Second}}
		}},
		{StateAttention, "1 client waits in app/app, the longest for 2 seconds", func(f *fake) {
			f.pools.list = []stats.Pool{{Database: "app", User: "app", Clients: 3, Waiting: 1, MaxWait: 2 * time.Second}}
		}},
		{StateTrouble, "app/app has no server connection; the last attempt failed: connection refused", func(f *fake) {
			f.pools.list = []stats.Pool{{Database: "app", User: "app", LastError: errors.New("connection refused")}}
		}},
		{StateTrouble, "app/app has no server connection; the last attempt failed: connection refused", func(f *fake) {
			told := wire.Fatal(wire.CodeConnectionFailure, "no connection").WithCause(errors.New("connection refused"))
			f.pools.list = []stats.Pool{{Database: "app", User: "app", LastError: told}}
		}},
		{StateTrouble, "not ready: no verified server connection: app", func(f *fake) { f.missing = []string{"no verified server connection: app"} }},
		{StateAttention, "certificate of listener 127.0.0.1:6432 (CN=db) expires in 5 days", cert(stats.KindCertificate, 5*24*time.Hour+time.Hour)},
		{StateTrouble, "certificate of listener 127.0.0.1:6432 (CN=db) expires in 36 hours", cert(stats.KindCertificate, 36*time.Hour+time.Minute)},
		{StateTrouble, "CRL of listener 127.0.0.1:6432 (CN=db) expired 2 days ago", cert(stats.KindCRL, -49*time.Hour)},
		{StateAttention, "authority of listener 127.0.0.1:6432 (CN=db) expired 2 days ago", cert(stats.KindAuthority, -49*time.Hour)},
		{StateAttention, "reload of users_file failed, the old version is in force: line 3", func(f *fake) {
			f.files = []stats.Files{{Name: "users_file", Status: stats.ReloadStatus{LastError: errors.New("users_file: line 3")}}}
		}},
		{StateTrouble, "client limit reached: 100 of max_client_conn 100", func(f *fake) { f.clients.busy = 100 }},
		{StateAttention, "client limit almost reached: 95 of max_client_conn 100", func(f *fake) { f.clients.busy = 95 }},
		{StateAttention, "database app is paused: its clients wait until RESUME", func(f *fake) { f.pools.databases = []stats.Database{{Name: "app", Paused: true}} }},
		{StateAttention, "database app is disabled: it accepts no new clients", func(f *fake) { f.pools.databases = []stats.Database{{Name: "app", Disabled: true}} }},
		{StateAttention, "all databases are paused: clients wait until RESUME", func(f *fake) { f.pools.paused = true }},
		{StateTrouble, "1 problem, 1 warning", func(f *fake) { f.clients.busy, f.pools.paused = 100, true }},
		{StateAttention, "2 warnings", func(f *fake) { f.clients.busy, f.pools.paused = 95, true }},
	} {
		f := newFake()
		c.arrange(f)
		if r := f.Report(); r.State != c.state || r.Headline != c.text || len(r.Findings) == 0 || r.Findings[0].State != c.state {
			t.Errorf("it says %s, %q, %v, and not %s, %q", r.State, r.Headline, r.Findings, c.state, c.text)
		}
	}
}

func TestWhatLivesShortIsJudgedByItsLife(t *testing.T) {
	now := time.Now()
	for left, want := range map[time.Duration]string{20 * time.Hour: ExpiryOK, 5 * time.Hour: ExpirySoon, -time.Second: ExpiryExpired} {
		if state, _, _ := expiry(now.Add(left-24*time.Hour), now.Add(left), now); state != want {
			t.Errorf("with %v of a day left it is %s", left, state)
		}
	}
	if state, _, urgent := expiry(now, time.Time{}, now); state != ExpiryNone || urgent {
		t.Errorf("without an end it is %s", state)
	}
}

func TestACertificateThatManyUseIsListedOnce(t *testing.T) {
	f := newFake()
	x := stats.Certificate{Kind: stats.KindAuthority, Subject: "CN=root", Fingerprint: "f", NotAfter: time.Now().Add(time.Hour), NotBefore: time.Now().Add(-24 * time.Hour)}
	for i := range 3 {
		x.Where = fmt.Sprintf("database %d", i)
		f.certs = append(f.certs, x)
	}
	r := f.Report()
	if len(r.Certificates) != 1 || len(r.Certificates[0].Where) != 3 || !strings.HasPrefix(r.Headline, "authority of database 0 and 2 more (CN=root)") {
		t.Errorf("%q, %+v", r.Headline, r.Certificates)
	}
}

func TestPoolsShowTheirLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := stats.Pool{Database: "app", User: "app", Mode: "transaction", Size: 20, Clients: 10, Waiting: 2, Servers: stats.ServerCounts{Active: 3, Idle: 1, Used: 1, Login: 1}}
		s.Totals.Transactions, s.Totals.QueryTime = 1000, times(time.Second, 1000)
		now := time.Now()
		f.history.sample(now, []stats.Pool{s})
		for i := range 30 { // the first 18 are too old
			d := 100 * time.Millisecond
			if i >= 18 {
				d = time.Millisecond
			}
			s.Totals.Transactions += 50
			done := times(d, 50)
			s.Totals.QueryTime.Add(&done)
			now = now.Add(period)
			f.history.sample(now, []stats.Pool{s})
		}
		f.pools.list = []stats.Pool{s}
		r := f.Report()
		p := r.Pools[0]
		if p.Minute.Rate != 10 || r.Minute.Rate != 10 {
			t.Errorf("%v and %v transactions a second", p.Minute.Rate, r.Minute.Rate)
		}
		if p99 := p.Minute.QueryP99; p99 < 0.0008 || p99 > 0.0013 {
			t.Errorf("the p99 is %v", p99)
		}
		if p.Minute.WaitP99.known() {
			t.Errorf("nobody waited, but the p99 is %v", p.Minute.WaitP99)
		}
		if p.Active != 8 || p.Waiting != 2 || p.Servers != (Servers{Active: 3, Idle: 2, Opening: 1}) || r.Servers != p.Servers {
			t.Errorf("the pool is %+v", p)
		}
		last := len(r.Charts.Rate) - 1
		if last != kept-1 || r.Charts.Rate[last] != 10 || r.Charts.Waiting[last] != 2 || r.Charts.Rate[last-30].known() || r.Charts.Waiting[last-31].known() {
			t.Errorf("the charts are %+v", r.Charts)
		}
	})
}

func TestThePageKeepsItsHistoryByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		done := make(chan struct{})
		ctx := t.Context()
		go func() { defer close(done); f.Run(ctx) }()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if f.history.clock != 13 {
			t.Errorf("%d samples in a minute", f.history.clock)
		}
		t.Cleanup(func() { <-done })
	})
}

func TestManyPoolsAreRememberedAsOne(t *testing.T) {
	f := newFake()
	var list []stats.Pool
	for i := range 3 * maxPools {
		list = append(list, stats.Pool{Database: fmt.Sprint(i), User: "app", Clients: 1})
	}
	list[250].Waiting, list[250].MaxWait = 1, 10*time.Second
	now := time.Now()
	for range 3 {
		f.history.sample(now, list)
		now = now.Add(period)
		for i := range list {
			list[i].Totals.Transactions += 5
		}
	}
	f.pools.list = list
	r := f.Report()
	if len(f.history.pools) != maxPools || len(r.Pools) != maxPools || r.More != 2*maxPools {
		t.Errorf("%d pools are remembered, %d shown, and %d more", len(f.history.pools), len(r.Pools), r.More)
	}
	if r.Pools[0].Database != "250" {
		t.Errorf("the first is %s, not the one with trouble", r.Pools[0].Database)
	}
	if r.Clients.Active != 3*maxPools-1 || r.Minute.Rate != 3*maxPools {
		t.Errorf("%d clients, %v transactions a second", r.Clients.Active, r.Minute.Rate)
	}
	f.history.sample(now, list[:maxPools])
	if len(f.history.pools) != maxPools {
		t.Errorf("%d pools are remembered", len(f.history.pools))
	}
	f.history.sample(now, nil)
	if len(f.history.pools) != 0 {
		t.Error("pools that are gone are remembered")
	}
}

func TestWhatANewPoolDidAtOnceIsCounted(t *testing.T) {
	f := newFake()
	now := time.Now()
	f.history.sample(now, nil)
	s := stats.Pool{Database: "app", User: "app"}
	s.Totals.Transactions = 5
	f.history.sample(now.Add(period), []stats.Pool{s})
	if rate := f.Report().Minute.Rate; rate != 1 {
		t.Errorf("%v transactions a second", rate)
	}
}

func TestAPoolThatCameAgainHasNotDoneNegativeWork(t *testing.T) {
	f := newFake()
	s := stats.Pool{Database: "app", User: "app"}
	s.Totals.Transactions, s.Totals.QueryTime = 1000, times(time.Millisecond, 1000)
	now := time.Now()
	f.history.sample(now, []stats.Pool{s})
	again := stats.Pool{Database: "app", User: "app"}
	again.Totals.Transactions = 5
	f.history.sample(now.Add(period), []stats.Pool{again})
	if m := f.history.whole(); m.transactions != 0 || m.query.Count() != 0 {
		t.Errorf("%d transactions, %d queries", m.transactions, m.query.Count())
	}
}

func TestAReportIsMadeOnceASecondHoweverManyLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for range 10 {
			f.get(t, "/status.json")
		}
		if f.pools.asked != 1 {
			t.Errorf("pools were looked at %d times", f.pools.asked)
		}
		time.Sleep(fresh)
		f.get(t, "/status.json")
		if f.pools.asked != 2 {
			t.Errorf("pools were looked at %d times", f.pools.asked)
		}
	})
}

func TestBothLegsAreCountedByTheirTLS(t *testing.T) {
	f := newFake()
	facts := &stats.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768", ServerName: hostile, Peer: &x509.Certificate{}}
	local := &net.UnixAddr{Name: "/run/x", Net: "unix"}
	f.clients.list = []stats.Client{{TLS: facts}, {TLS: facts}, {Local: local}}
	f.pools.servers = []stats.Server{{TLS: facts, Verified: "verify-full"}}
	r := f.Report()
	if len(r.TLS.Clients) != 2 || r.TLS.Clients[0] != (Protection{Version: "TLSv1.3", Cipher: facts.Cipher, Group: facts.Group, Connections: 2}) || r.TLS.Clients[1] != (Protection{Local: true, Connections: 1}) {
		t.Errorf("clients: %+v", r.TLS.Clients)
	}
	if len(r.TLS.Servers) != 1 || r.TLS.Servers[0].Verified != "verify-full" {
		t.Errorf("servers: %+v", r.TLS.Servers)
	}
	if r.TLS.ClientHandshakes["ok"] != 1 || r.TLS.ClientHandshakes["failed"] != 1 {
		t.Errorf("handshakes: %v", r.TLS.ClientHandshakes)
	}
}

func TestErrorsThatAreTheSameAreShownOnce(t *testing.T) {
	f := newFake()
	now := time.Now()
	for i := range 100 {
		e := stats.Error{Time: now.Add(-time.Duration(i) * time.Second), Source: stats.ErrorOurs, Code: "28P01", Message: "no"}
		if i%2 == 1 {
			e.Code = fmt.Sprint(i)
		}
		f.clients.errors = append(f.clients.errors, e)
	}
	f.clients.counts = map[stats.ErrorClass]uint64{{Source: stats.ErrorOurs, Class: "28"}: 7, {Source: stats.ErrorServer, Class: "42"}: 9}
	f.clients.pins = []stats.Pin{{Reasons: []string{"temp_table"}}}
	f.clients.pinCounts = map[string]uint64{"temp_table": 4, "listen": 1}
	r := f.Report()
	if len(r.Errors.Last) != maxErrors || r.Errors.Last[0].Times != 50 || !r.Errors.Last[0].Last.Equal(now) {
		t.Errorf("%d errors, the first %+v", len(r.Errors.Last), r.Errors.Last[0])
	}
	if r.Errors.Counts[0] != (ErrorCount{stats.ErrorServer, "42", 9}) {
		t.Errorf("counts: %v", r.Errors.Counts)
	}
	if len(r.Pins) != 2 || r.Pins[1] != (PinCount{"temp_table", 1, 4}) {
		t.Errorf("pins: %v", r.Pins)
	}
}

// hostileFake has hostile names wherever a stranger may choose them.
func hostileFake() *fake {
	f := newFake()
	s := stats.Pool{Database: hostile, User: hostile, LastError: errors.New(hostile)}
	f.pools.list = []stats.Pool{s}
	f.pools.databases = []stats.Database{{Name: hostile, Paused: true}}
	f.clients.errors = []stats.Error{{Database: hostile, User: hostile, Code: hostile, Message: hostile}}
	f.certs = []stats.Certificate{{Where: hostile, Subject: hostile, Issuer: hostile, Names: []string{hostile}, File: hostile, NotAfter: time.Unix(0, 0)}}
	f.files = []stats.Files{{Name: hostile, Status: stats.ReloadStatus{LastError: errors.New(hostile)}}}
	f.missing = []string{hostile}
	return f
}

func TestHostileNamesAreHarmlessInTheJSON(t *testing.T) {
	f := hostileFake()
	f.history.sample(time.Now(), f.pools.list)
	body := f.get(t, "/status.json").Body.String()
	if strings.ContainsAny(body, "<>\u202e\u0007") {
		t.Errorf("the JSON holds markup or control characters: %s", body)
	}
	var r Report
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	if want := `"><img src=x onerror=alert(1)><U+202E>gnp.<U+0007></script>`; r.Pools[0].Database != want {
		t.Errorf("the database is %q", r.Pools[0].Database)
	}
}

func TestHostileNamesAreHarmlessWithoutAScript(t *testing.T) {
	page := hostileFake().get(t, "/").Body.String()
	if strings.Contains(page, "<img") || strings.ContainsAny(page, "\u202e\u0007") || strings.Count(page, "</script>") != 1 {
		t.Error("a name became markup")
	}
	if !strings.Contains(html.UnescapeString(page), "<img src=x onerror=alert(1)><U+202E>") {
		t.Error("the name is not shown")
	}
}

func TestWhatCouldMisleadIsSpelledOut(t *testing.T) {
	for in, want := range map[string]string{
		"app": "app", "": "", "été 表 🦭": "été 表 🦭", "a b": "a b", "\u00a0": "\u00a0",
		"a\nb\x1b[31m": "a<U+000A>b<U+001B>[31m", "\u202eabc\u2066": "<U+202E>abc<U+2066>", "a\u200bb\ufeff": "a<U+200B>b<U+FEFF>",
		"\xff\xfeé": "<0xFF><0xFE>é", "\ufffd": "\ufffd", "\u2028": "<U+2028>", "\U000E0041": "<U+E0041>", "\ue000": "<U+E000>", "\u3164": "<U+3164>",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
	if got := clean(strings.Repeat("é", 10_000)); len([]rune(got)) != longestText+1 {
		t.Errorf("%d characters of a long text are left", len([]rune(got)))
	}
}

func TestOnlyThePagesOwnScriptAndStyleRun(t *testing.T) {
	w := newFake().get(t, "/")
	csp := w.Header().Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("%s is missing in %s", part, csp)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("the policy is weak: %s", csp)
	}
	for tag, directive := range map[string]string{"script": "script-src", "style": "style-src"} {
		parts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(w.Body.String(), -1)
		if len(parts) != 1 || !strings.Contains(csp, directive+" '"+sha(parts[0][1])+"'") {
			t.Errorf("the policy does not allow the %s", tag)
		}
	}
	if inline := regexp.MustCompile(`(?i)<[^>]+\s(on\w+|style)\s*=`).FindString(pageHTML); inline != "" {
		t.Errorf("a handler or style stands in a tag: %s", inline)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestTheChartsAreThoseOfThePoolAskedFor(t *testing.T) {
	f := newFake()
	f.history.sample(time.Now(), []stats.Pool{{Database: "a&b", User: "x", Waiting: 3}, {Database: "c", User: "x", Waiting: 4}})
	for query, want := range map[string]float64{
		"": 7, "?pool=" + poolKey{"a&b", "x"}.id(): 3, "?pool=" + poolKey{"c", "x"}.id(): 4, "?pool=nowhere": 7,
	} {
		var r Report
		if err := json.Unmarshal(f.get(t, "/status.json"+query).Body.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if got := r.Charts.Waiting[kept-1]; float64(got) != want {
			t.Errorf("%q: %v clients wait", query, got)
		}
		if (r.Charts.Pool != "") != (want < 5) {
			t.Errorf("%q: the charts are of %q", query, r.Charts.Pool)
		}
	}
}

func BenchmarkASampleOfAHundredPools(b *testing.B) {
	var list []stats.Pool
	for i := range 100 {
		list = append(list, stats.Pool{Database: fmt.Sprint(i)})
	}
	h := newHistory()
	now := time.Now()
	for b.Loop() {
		now = now.Add(period)
		h.sample(now, list)
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *figure) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = unknown
		return nil
	}
	return json.Unmarshal(b, (*float64)(f))
}
