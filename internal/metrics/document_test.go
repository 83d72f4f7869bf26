package metrics

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const documentPath = "../../docs/metrics.md"

// document writes docs/metrics.md.
func document() string {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Generated from internal/metrics/names.go by PGSEAL_TEST_UPDATE=1 go test ./internal/metrics -->

` + "`/metrics`" + ` of the [HTTP server](http.md) shows what follows to Prometheus, and to whatever reads its format. A scrape reads
counters that are kept anyway; between scrapes nothing is computed. Times are in seconds, sizes in bytes. Counters begin
with zero when pgseal starts, and those of a pool when its database is new.

No label holds a client's address, nor a name that a client made up before it was logged in. The number of series is
bounded: about 60 for each pool, for ` + fmt.Sprint(maxPools) + ` pools at most, and some hundred more.

` + "`deploy/grafana/pgseal.json`" + ` is a dashboard, and ` + "`deploy/prometheus/alerts.yaml`" + ` has alerts.

The names in ` + "`outcome`, `reason` and `state`" + ` labels are PgBouncer's or stand for themselves; a series is there once it has
counted something. ` + "`rate(pgseal_transaction_seconds_total[1m])`" + ` is how many servers were busy on average, and
` + "`histogram_quantile(0.99, rate(pgseal_query_duration_seconds_bucket[5m]))`" + ` the time within which all but a hundredth of the
queries were done.
`)
	for _, s := range all {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if s.text != "" {
			fmt.Fprintf(&b, "%s\n\n", s.text)
		}
		b.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
		for _, m := range s.metrics {
			labels := ""
			if len(m.labels) > 0 {
				labels = "`" + strings.Join(m.labels, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, m.help)
		}
	}
	return b.String()
}

func TestTheDocumentationOfMetricsIsThatOfTheCode(t *testing.T) {
	want := document()
	if os.Getenv("PGSEAL_TEST_UPDATE") != "" {
		if err := os.WriteFile(documentPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/metrics.md is not what the code says: PGSEAL_TEST_UPDATE=1 go test ./internal/metrics writes it anew")
	}
}
