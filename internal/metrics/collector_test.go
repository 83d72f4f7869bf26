package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/tlsconf"
)

// sources are those of a pgseal with so many databases, each with 50 clients
// that never come to have a server: there is none to connect to.
func sources(t testing.TB, databases int) Sources {
	t.Helper()
	e := engine.NewPortable(zap.NewNop())
	m := pool.NewManager(zap.NewNop(), e, proxy.NewServerState)
	defaults := pool.DefaultConfig()
	c := pool.DefaultDatabaseConfig()
	c.Host, c.SSLMode = "127.0.0.1", tlsconf.SSLModeDisable
	trust, err := tlsconf.NewUpstreamStore("database", c.UpstreamConfig)
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]*pool.Spec{}
	for i := range databases {
		specs[fmt.Sprintf("db%03d", i)] = &pool.Spec{DatabaseConfig: c, Defaults: defaults, Trust: trust}
	}
	m.Apply(specs)
	for name := range specs {
		d, _ := m.Database(name)
		for range 50 {
			p, leave := m.Join(d, pool.Login{User: "app", Password: "x"})
			t.Cleanup(leave)
			p.Count(&pool.Work{Transactions: 2, Queries: 3, Received: 100, Sent: 200, TransactionTime: time.Second})
			p.QueriesTook(3*time.Millisecond, 3)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	pulse := engine.NewPulse(e)
	done := make(chan struct{})
	go func() { defer close(done); pulse.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done
		closing, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := m.Close(closing); err != nil {
			t.Error(err)
		}
	})
	return Sources{
		Version: "test", Pools: m, Loops: pulse.Stats,
		Clients: proxy.New(zap.NewNop(), e, m, proxy.Settings{Pool: defaults}),
		Files: func() []stats.Files {
			return []stats.Files{{
				Name: "listener", Status: stats.ReloadStatus{LoadedAt: time.Unix(1_700_000_000, 0), Reloads: 2},
				Expiry: stats.Expiry{Certificate: time.Unix(1_800_000_000, 0)},
			}}
		},
	}
}

func scrape(t testing.TB, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.Code, err, body)
	}
	return string(body)
}

func TestAScrapeShowsWhatWasCounted(t *testing.T) {
	text := scrape(t, Handler(sources(t, 2)))
	for _, line := range []string{
		`pgseal_transactions_total{database="db000",user="app"} 100`,
		`pgseal_queries_total{database="db001",user="app"} 150`,
		`pgseal_received_bytes_total{database="db000",user="app"} 5000`,
		`pgseal_transaction_seconds_total{database="db000",user="app"} 50`,
		`pgseal_query_duration_seconds_count{database="db000",user="app"} 150`,
		`pgseal_pool_clients{database="db000",state="active",user="app"} 50`,
		`pgseal_pool_size{database="db000",user="app"} 20`,
		`pgseal_reloads_total{name="listener",outcome="ok"} 2`,
		`pgseal_certificate_not_after_timestamp_seconds{kind="certificate",where="listener"} 1.8e+09`,
		`pgseal_build_info{version="test"} 1`,
		`pgseal_panics_total 0`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%s is missing", line)
		}
	}
}

func TestNamesAndHelpOfMetricsAreAsPrometheusWantsThem(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(sources(t, 2)))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, s := range all {
		for _, m := range s.metrics {
			if (m.kind == counter) != strings.HasSuffix(m.name, "_total") || !strings.HasSuffix(m.help, ".") {
				t.Errorf("%s, a %s, is badly named or explained", m.name, m.kind)
			}
		}
	}
}

func TestAScrapeOfAThousandClientsOnTwentyDatabasesIsQuick(t *testing.T) {
	h := Handler(sources(t, 20))
	best := time.Hour
	for range 10 {
		began := time.Now()
		scrape(t, h)
		best = min(best, time.Since(began))
	}
	if best > 50*time.Millisecond {
		t.Errorf("it takes %v", best)
	}
}

func BenchmarkScrape(b *testing.B) {
	h := Handler(sources(b, 20))
	for b.Loop() {
		scrape(b, h)
	}
}

func snapshot(database string, transactions uint64) stats.Pool {
	return stats.Pool{Database: database, User: "u", Size: 1, Totals: stats.PoolTotals{Transactions: transactions, Assignments: transactions}}
}

func TestPoolsBeyondTheBoundAreAddedUpAndNeverShrink(t *testing.T) {
	f := newFolder()
	var list []stats.Pool
	for i := range maxPools + 3 {
		list = append(list, snapshot(fmt.Sprintf("db%04d", i), 10))
	}
	seen := func(want uint64, why string) {
		t.Helper()
		shown := f.fold(append([]stats.Pool{}, list...))
		if rest := shown[pair{other, other}]; rest == nil || rest.Totals.Transactions != want {
			t.Fatalf("%s: the rest has %+v, not %d transactions", why, rest, want)
		}
		if len(shown) > maxPools+1 {
			t.Fatalf("%s: %d pools are shown", why, len(shown))
		}
	}
	seen(30, "three pools too many")
	list[maxPools].Totals.Transactions = 15
	seen(35, "one of them works")
	list = list[:maxPools+2]
	seen(35, "one of them has gone")
	list = list[1:]
	seen(35, "one with series of its own has gone")
	list[len(list)-1].Totals.Transactions = 4
	seen(35, "one has come again, begins anew, and finds room for series of its own")
	list = nil
	seen(35, "all have gone")
}

func TestANameThatAClientMadeUpHasNoSeriesUntilThereIsSuchADatabase(t *testing.T) {
	f := newFolder()
	s := snapshot("made up", 0)
	s.Auto = true
	if shown := f.fold([]stats.Pool{s}); len(shown) != 0 {
		t.Errorf("shown is %v", shown)
	}
	s.Totals.ServersOpened = 1
	if shown := f.fold([]stats.Pool{s}); shown[pair{"made up", "u"}] == nil {
		t.Error("a database that there is is not shown")
	}
}

func TestNamesThatAreNoUTF8DoNotBreakAScrape(t *testing.T) {
	f := newFolder()
	shown := f.fold([]stats.Pool{snapshot("a\xff", 1), snapshot("a\xfe", 2), snapshot(strings.Repeat("é", 60), 1)})
	if len(shown) != 2 {
		t.Errorf("%d pools are shown", len(shown))
	}
	if s := shown[pair{"a�", "u"}]; s == nil || s.Totals.Transactions != 3 {
		t.Errorf("names that look the same are not added up: %+v", s)
	}
}
