package status

import (
	"math"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// Report is what the page shows, at one moment. All texts in it are harmless to
// look at: see clean. Times are in seconds; what is not known is null.
type Report struct {
	Now      time.Time `json:"now"`
	Started  time.Time `json:"started"`
	Version  string    `json:"version"`
	State    string    `json:"state"` // ok, attention or trouble: the worst of the findings
	Headline string    `json:"headline"`
	Findings []Finding `json:"findings"`
	Clients  Clients   `json:"clients"`
	Servers  Servers   `json:"servers"`
	Minute   Minute    `json:"last_minute"`
	Pools    []PoolRow `json:"pools"`
	More     int       `json:"more_pools"` // that are only in the sums

	TLS          Legs             `json:"tls"`
	Certificates []CertificateRow `json:"certificates"`
	Pins         []PinCount       `json:"pins"`
	Errors       Errors           `json:"errors"`
	Charts       Charts           `json:"charts"`
}

// Clients counts those that are logged in.
type Clients struct {
	Active  int `json:"active"` // and do not wait
	Waiting int `json:"waiting"`
	Busy    int `json:"connected"` // that count against max_client_conn
	Limit   int `json:"max_client_conn"`
}

// Servers counts those of pools. Idle ones include those that are checked
// before they are lent.
type Servers struct {
	Active  int `json:"active"`
	Idle    int `json:"idle"`
	Opening int `json:"opening"`
	Closing int `json:"closing"`
}

// Minute is what was done in the last minute.
type Minute struct {
	Rate     figure `json:"transactions_per_second"`
	QueryP50 figure `json:"query_p50_seconds"`
	QueryP99 figure `json:"query_p99_seconds"`
	WaitP50  figure `json:"wait_p50_seconds"` // of clients that had to wait
	WaitP99  figure `json:"wait_p99_seconds"`
}

// PoolRow is the servers of one database under one role, and their clients.
type PoolRow struct {
	ID        string  `json:"id"` // that its charts are asked for with
	Database  string  `json:"database"`
	User      string  `json:"user"`
	Mode      string  `json:"mode"`
	Size      int     `json:"size"`
	Reserve   int     `json:"reserve"`
	Active    int     `json:"clients_active"`
	Waiting   int     `json:"clients_waiting"`
	MaxWait   figure  `json:"max_wait_seconds"`
	Servers   Servers `json:"servers"`
	LastError string  `json:"last_error,omitempty"`
	Minute    Minute  `json:"last_minute"`
}

// report looks at everything.
func (p *Page) report(now time.Time) *Report {
	r := &Report{Now: now, Started: p.started, Version: p.Version, Pools: []PoolRow{}}
	var found findings
	for _, missing := range p.Missing() {
		found.add(StateTrouble, "not ready: %s", clean(missing))
	}
	p.pools(r, &found)
	p.databases(&found)
	r.Clients.Busy, r.Clients.Limit = p.Clients.Busy()
	found.room(r.Clients.Busy, r.Clients.Limit)
	r.Certificates = certificates(p.Certificates(), now)
	for i := range r.Certificates {
		found.certificate(&r.Certificates[i])
	}
	for _, f := range p.Files() {
		found.files(f.Name, f.Status)
	}
	r.TLS = p.legs()
	r.Pins = p.pins()
	r.Errors = p.errors()
	r.Findings = found.sorted()
	r.State, r.Headline = headline(r.Findings)
	return r
}

func (p *Page) pools(r *Report, found *findings) {
	list := rank(p.Pools.Snapshots())
	var servers stats.ServerCounts
	for i := range list {
		s := &list[i]
		r.Clients.Active += max(s.Clients-s.Waiting, 0)
		r.Clients.Waiting += s.Waiting
		servers.Add(s.Servers)
		minute := p.history.minute(keyOf(s))
		found.pool(s, &minute)
		if i >= maxPools {
			r.More++
			continue
		}
		row := PoolRow{
			ID: keyOf(s).id(), Database: clean(s.Database), User: clean(s.User), Mode: s.Mode, Size: s.Size, Reserve: s.Reserve,
			Active: max(s.Clients-s.Waiting, 0), Waiting: s.Waiting, MaxWait: figure(s.MaxWait.Seconds()),
			Servers: serversOf(s.Servers), Minute: minuteOf(&minute),
		}
		if s.LastError != nil {
			row.LastError = cause(s.LastError)
		}
		r.Pools = append(r.Pools, row)
	}
	r.Servers = serversOf(servers)
	whole := p.history.whole()
	r.Minute = minuteOf(&whole)
}

func (p *Page) databases(found *findings) {
	if p.Pools.Paused() {
		found.add(StateAttention, "all databases are paused: clients wait until RESUME")
		return
	}
	list := p.Pools.Databases()
	for i := range list {
		found.database(&list[i])
	}
}

func serversOf(c stats.ServerCounts) Servers {
	return Servers{Active: c.Active, Idle: c.Idle + c.Used + c.Tested, Opening: c.Login, Closing: c.Closing}
}

func minuteOf(s *span) Minute {
	return Minute{
		Rate:     s.rate(),
		QueryP50: quantile(&s.query, 0.5), QueryP99: quantile(&s.query, 0.99),
		WaitP50: quantile(&s.wait, 0.5), WaitP99: quantile(&s.wait, 0.99),
	}
}

// whole rounds down.
func whole(f float64) int { return int(math.Floor(f)) }
