package resulttest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pgseal/pgseal/bench/internal/result"
)

// Targets are the names in a Run, in order.
var Targets = []string{"direct", "pgseal", "pgbouncer", "haproxy"}

// cost scales the made-up figures of each target.
var cost = map[string]float64{"direct": 0.5, "pgseal": 0.8, "pgbouncer": 1, "haproxy": 0.65}

// maker makes samples. It owns the noise, so a seed gives one run only.
type maker struct {
	rng    *rand.Rand
	rounds int
}

// Run makes a run of that many rounds. The same seed gives the same run.
func Run(seed uint64, rounds int) *result.Run {
	m := &maker{rng: rand.New(rand.NewPCG(seed, 1)), rounds: rounds}
	run := &result.Run{Version: result.Version, Meta: meta(), Targets: targets()}
	run.Cases = append(run.Cases, m.throughput()...)
	run.Cases = append(run.Cases, m.latency()...)
	run.Cases = append(run.Cases, m.idle()...)
	run.Cases = append(run.Cases, m.others()...)
	return run
}

// Scale multiplies one metric of one target in every sample, for tests of what
// notices it.
func Scale(run *result.Run, target, metric string, by float64) {
	for _, c := range run.Cases {
		for _, round := range c.Rounds {
			for _, s := range round.Samples {
				if v, ok := s.Metrics[metric]; ok && s.Target == target {
					s.Metrics[metric] = v * by
				}
			}
		}
	}
}

func meta() result.Meta {
	return result.Meta{
		Started: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC),
		Seconds: 1234.5, Command: "pgseal-bench run --rounds 5 --targets direct,pgseal,pgbouncer,haproxy --out results",
		Kernel: "6.1.0-example", CPU: "Example CPU 3000", Cores: 2, Memory: 8 << 30,
		Go: "go1.26.0", PostgreSQL: "17.2", Load: "pgbench 17.2", LoadCPU: 987.6,
		LeftOut: []result.LeftOut{{Name: "odyssey", Why: "not installed"}},
	}
}

func targets() []result.Target {
	var list []result.Target
	for _, name := range Targets {
		list = append(list, result.Target{
			Name: name, Version: "1.0-made-up", Settings: "pool_mode = transaction\npool_size = 20\n",
			TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Certificate: "ECDSA P-256",
		})
	}
	return list
}

// around adds up to 3 % of noise either way.
func (m *maker) around(v float64) float64 { return v * (1 + 0.06*(m.rng.Float64()-0.5)) }

// counts are whole numbers without noise.
var counts = []string{"server_conns", "reloads"}

// fill takes turns: figures gives what a target with that cost does.
func (m *maker) fill(c result.Case, figures func(cost float64) map[string]float64) result.Case {
	for range m.rounds {
		var round result.Round
		for _, name := range Targets {
			metrics := figures(cost[name])
			for _, metric := range result.Metrics { // in a fixed order, for the seed's sake
				if v, ok := metrics[metric.Name]; ok && !slices.Contains(counts, metric.Name) {
					metrics[metric.Name] = m.around(v)
				}
			}
			if name == "direct" { // no process stands between
				delete(metrics, "cpu_us_per_tx")
				delete(metrics, "rss_kib_per_client")
			}
			round.Samples = append(round.Samples, result.Sample{Target: name, Metrics: metrics})
		}
		c.Rounds = append(c.Rounds, round)
	}
	return c
}

func (m *maker) throughput() []result.Case {
	var list []result.Case
	for _, workload := range []string{"select-only", "TPC-B"} {
		heavy := map[string]float64{"select-only": 1, "TPC-B": 7}[workload]
		for _, protocol := range []string{"simple", "extended", "prepared"} {
			for _, clients := range []int{1, 16, 200, 1000} {
				peak := map[int]float64{1: 2000, 16: 14000, 200: 17000, 1000: 15000}[clients] / heavy
				list = append(list, m.fill(result.Case{
					Scenario: "throughput", Workload: workload, Protocol: protocol, Clients: clients,
					Name: fmt.Sprintf("%s, %s, %d clients", workload, protocol, clients),
				}, func(cost float64) map[string]float64 {
					return map[string]float64{
						"tps": peak / (0.5 + cost/2), "cpu_us_per_tx": 23 * cost * heavy,
						"user_us_per_tx": 8 * cost * heavy, "system_us_per_tx": 15 * cost * heavy,
						"load_cpu_us_per_tx": 30 * heavy, "peak_rss_kib": 9000 + float64(clients)*20*cost,
					}
				}))
			}
		}
	}
	return list
}

func (m *maker) latency() []result.Case {
	var list []result.Case
	for _, percent := range []int{25, 50, 75} {
		load := float64(percent) / 100
		list = append(list, m.fill(result.Case{
			Scenario: "latency", Workload: "select-only", Protocol: "prepared", Clients: 16, Rate: 12000 * load,
			Name: fmt.Sprintf("%d %% of the slowest maximum", percent),
		}, func(cost float64) map[string]float64 {
			p50 := 0.2 * (0.5 + cost) / (1 - load)
			return map[string]float64{"p50_ms": p50, "p90_ms": p50 * 1.8, "p99_ms": p50 * 5, "p999_ms": p50 * 16, "achieved_rate": 12000 * load}
		}))
	}
	return list
}

func (m *maker) idle() []result.Case {
	var list []result.Case
	for _, clients := range []int{1000, 10000} {
		list = append(list, m.fill(result.Case{
			Scenario: "idle", Clients: clients, Name: fmt.Sprintf("%d idle TLS clients", clients),
		}, func(cost float64) map[string]float64 {
			return map[string]float64{"rss_kib_per_client": 20*cost + 2000/float64(clients), "peak_rss_kib": 9000 + 20*cost*float64(clients)}
		}))
	}
	return list
}

func (m *maker) others() []result.Case {
	return []result.Case{
		m.fill(result.Case{Scenario: "connect", Name: "16 clients", Clients: 16}, func(cost float64) map[string]float64 {
			return map[string]float64{"logins_per_s": 700 / cost, "login_p50_ms": 9 * cost, "login_p99_ms": 22 * cost,
				"cpu_us_per_login": 900 * cost, "query_open_p50_ms": 0.1 + 0.1*cost, "reconnect_overhead": 45}
		}),
		m.fill(result.Case{Scenario: "bulk", Name: "COPY and a million rows", Clients: 1}, func(cost float64) map[string]float64 {
			return map[string]float64{"copy_out_mb_s": 420 / (0.5 + cost/2), "copy_in_mb_s": 160 / (0.8 + cost/5),
				"rows_mb_s": 210 / (0.5 + cost/2), "cpu_ms_per_mb": 1.4 * cost}
		}),
		m.fill(result.Case{Scenario: "storm", Name: "500 logins at once", Clients: 500}, func(cost float64) map[string]float64 {
			return map[string]float64{"storm_all_s": 1.1 * cost, "storm_slowest_ms": 1080 * cost, "server_conns": 20, "failures": 0}
		}),
		m.fill(result.Case{Scenario: "reload", Name: "a certificate every second", Clients: 16}, func(cost float64) map[string]float64 {
			return map[string]float64{"quiet_p99_ms": 2 * cost, "quiet_worst_p99_ms": 2.5 * cost, "worst_p99_ms": 3.1 * cost, "reloads": 10, "failures": 0}
		}),
	}
}
