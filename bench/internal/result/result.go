package result

import "time"

// Version is the version of the layout of results.json.
const Version = 1

// Run is one run of pgseal-bench.
type Run struct {
	Version int      `json:"version"`
	Meta    Meta     `json:"meta"`
	Targets []Target `json:"targets"`
	Cases   []Case   `json:"cases"`
	Errors  []string `json:"errors,omitempty"` // a run with any of these is not to be quoted
}

// Meta tells where, when and how the run was made.
type Meta struct {
	Started    time.Time `json:"started"`
	Seconds    float64   `json:"seconds"`
	Command    string    `json:"command"` // to repeat it
	Kernel     string    `json:"kernel"`
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Memory     uint64    `json:"memory_bytes"`
	Go         string    `json:"go"`
	PostgreSQL string    `json:"postgresql"`
	Load       string    `json:"load"` // what drove it, with its version
	LeftOut    []LeftOut `json:"left_out,omitempty"`
	// LoadCPU is the CPU time of the load generator, in seconds, over all rounds.
	LoadCPU float64 `json:"load_cpu_seconds"`
}

// LeftOut is a target that was wanted and could not take part.
type LeftOut struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Target is one of the things compared.
type Target struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Settings    string `json:"settings"` // as configured, without secrets
	TLS         string `json:"tls"`      // protocol version as negotiated
	Cipher      string `json:"cipher"`
	Certificate string `json:"certificate"` // kind of key, such as ECDSA P-256
}

// Case is one measurement that every target was put to.
type Case struct {
	Scenario string  `json:"scenario"` // throughput, connect, latency, idle, bulk, storm, reload
	Name     string  `json:"name"`     // such as "select-only, simple, 16 clients"
	Workload string  `json:"workload,omitempty"`
	Protocol string  `json:"protocol,omitempty"`
	Clients  int     `json:"clients,omitempty"`
	Rate     float64 `json:"rate,omitempty"` // transactions per second aimed at
	Rounds   []Round `json:"rounds"`
}

// Round holds one sample of each target, in the order they were taken.
type Round struct {
	Samples []Sample `json:"samples"`
}

// Sample is what one target did in one round. Metrics are named in Metrics.
type Sample struct {
	Target  string             `json:"target"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Error   string             `json:"error,omitempty"`
}

// Metric describes a figure.
type Metric struct {
	Name   string // its key in a sample
	Title  string
	Unit   string
	Higher bool // higher is better
}

// Metrics is the catalogue of figures, in the order they are shown.
var Metrics = []Metric{
	{"tps", "throughput", "tx/s", true},
	{"cpu_us_per_tx", "CPU per transaction", "µs", false},
	{"user_us_per_tx", "user CPU per transaction", "µs", false},
	{"system_us_per_tx", "system CPU per transaction", "µs", false},
	{"load_cpu_us_per_tx", "load generator's CPU per transaction", "µs", false},
	{"peak_rss_kib", "peak resident memory", "KiB", false},
	{"logins_per_s", "logins", "1/s", true},
	{"login_p50_ms", "login, median", "ms", false},
	{"login_p99_ms", "login, p99", "ms", false},
	{"cpu_us_per_login", "CPU per login", "µs", false},
	{"query_open_p50_ms", "query on an open connection, median", "ms", false},
	{"reconnect_overhead", "login and query, against the query alone", "×", false},
	{"p50_ms", "latency p50", "ms", false},
	{"p90_ms", "latency p90", "ms", false},
	{"p99_ms", "latency p99", "ms", false},
	{"p999_ms", "latency p99.9", "ms", false},
	{"achieved_rate", "rate achieved", "tx/s", true},
	{"rss_kib_per_client", "resident memory per idle client", "KiB", false},
	{"copy_out_mb_s", "COPY out", "MB/s", true},
	{"copy_in_mb_s", "COPY in", "MB/s", true},
	{"rows_mb_s", "a million rows", "MB/s", true},
	{"cpu_ms_per_mb", "CPU per megabyte", "ms", false},
	{"storm_all_s", "time until all are served", "s", false},
	{"storm_slowest_ms", "slowest login", "ms", false},
	{"server_conns", "server connections opened", "", false},
	{"failures", "failures", "", false},
	{"quiet_p99_ms", "p99 of a quiet second", "ms", false},
	{"quiet_worst_p99_ms", "p99 of the worst quiet second", "ms", false},
	{"worst_p99_ms", "p99 of the worst second under reload", "ms", false},
	{"reloads", "certificates replaced", "", true},
}
