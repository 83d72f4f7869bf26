package run

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/scenario"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// deadly is a scenario in which pgseal is killed in the first of two rounds,
// while it works.
func deadly() scenario.Scenario {
	return scenario.Scenario{Name: "deadly", Plan: func(*scenario.Env) []*scenario.Case {
		return []*scenario.Case{{
			Case:     result.Case{Scenario: "deadly", Name: "case"},
			LeaveOut: func(*targets.Target) string { return "" },
			Take: func(ctx context.Context, t *targets.Target) (scenario.Metrics, error) {
				crowd, err := load.Connect(ctx, t.Endpoint, 4)
				if err != nil {
					return nil, err
				}
				defer crowd.Close()
				if t.Name == targets.PgSeal {
					kill := time.AfterFunc(100*time.Millisecond, func() { t.Signal(os.Kill) })
					defer kill.Stop()
				}
				w := load.Workload{Name: load.SelectOnly, Protocol: load.Simple, Scale: t.Scale}
				o := load.Closed(ctx, crowd, 500*time.Millisecond, w.Run)
				return scenario.Metrics{"tps": o.PerSecond()}, o.Err
			},
		}}
	}}
}

func TestATargetThatDiesMidRunIsRecordedAndTheOthersAreMeasured(t *testing.T) {
	var said strings.Builder
	r, err := Benchmark(t.Context(), Options{
		Scenarios: []scenario.Scenario{deadly()}, BuiltIn: []string{targets.PgSeal, targets.Direct},
		Rounds: 2, Scale: 1,
	}, &said)
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if len(r.Errors) != 2 {
		t.Fatalf("errors are %q", r.Errors)
	}
	if !strings.HasPrefix(r.Errors[0], "deadly, case, round 1, pgseal: ") || !strings.Contains(r.Errors[1], "pgseal exited unexpectedly: signal: killed") {
		t.Errorf("errors are %q", r.Errors)
	}
	direct := r.Cases[0].Values(targets.Direct, "tps")
	if len(direct) != 2 || !(direct[0] > 0) || !(direct[1] > 0) {
		t.Errorf("direct has %v", direct)
	}
	for round, s := range []result.Sample{r.Cases[0].Rounds[0].Samples[0], r.Cases[0].Rounds[1].Samples[0]} {
		if s.Target != targets.PgSeal || s.Error == "" {
			t.Errorf("round %d: %+v", round+1, s)
		}
	}
	i := slices.IndexFunc(r.Targets, func(x result.Target) bool { return x.Name == targets.PgSeal })
	if x := r.Targets[i]; x.TLS != "TLS 1.3" || !strings.Contains(x.Cipher, "TLS_") || x.Certificate != "ECDSA P-256" {
		t.Errorf("pgseal negotiated %+v", x)
	}
	if strings.Contains(said.String(), "clean up:") {
		t.Errorf("something was left behind:\n%s", said.String())
	}
}
