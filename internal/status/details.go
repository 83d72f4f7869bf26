package status

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

const (
	maxCertificates = 100
	maxNames        = 10 // of one certificate
	maxErrors       = 20
)

// CertificateRow is a certificate or CRL that is in force.
type CertificateRow struct {
	Kind        string     `json:"kind"`  // certificate, authority or crl
	Where       []string   `json:"where"` // where it is used
	Name        string     `json:"name"`  // its subject; a CRL's issuer
	Names       []string   `json:"alternative_names"`
	Issuer      string     `json:"issuer"`
	File        string     `json:"file"`
	Fingerprint string     `json:"fingerprint"`
	NotAfter    *time.Time `json:"not_after"` // when a CRL's next is due
	Days        *int       `json:"days_left"`
	State       string     `json:"state"` // ok, soon, expired or none
	Left        string     `json:"left"`  // in words

	urgent bool
}

// certificates lists each once, those that expire first at the top.
func certificates(list []stats.Certificate, now time.Time) []CertificateRow {
	places := map[string]int{}
	all := []CertificateRow{}
	for _, x := range list {
		id := x.Kind + x.Fingerprint
		if i, known := places[id]; known {
			if where := clean(x.Where); !slices.Contains(all[i].Where, where) {
				all[i].Where = append(all[i].Where, where)
			}
			continue
		}
		places[id] = len(all)
		c := CertificateRow{
			Kind: x.Kind, Where: []string{clean(x.Where)}, Name: clean(cmp.Or(x.Subject, x.Issuer)), Names: cleanAll(x.Names, maxNames),
			Issuer: clean(x.Issuer), File: clean(x.File), Fingerprint: x.Fingerprint,
		}
		c.State, c.Left, c.urgent = expiry(x.NotBefore, x.NotAfter, now)
		if x.Kind == stats.KindAuthority {
			c.urgent = false // others of its file may do
		}
		if !x.NotAfter.IsZero() {
			days := whole(x.NotAfter.Sub(now).Hours() / 24)
			c.NotAfter, c.Days = &x.NotAfter, &days
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b CertificateRow) int {
		switch {
		case a.NotAfter == nil || b.NotAfter == nil:
			return cmp.Compare(b2i(a.NotAfter == nil), b2i(b.NotAfter == nil))
		}
		return a.NotAfter.Compare(*b.NotAfter)
	})
	return all[:min(len(all), maxCertificates)]
}

// Legs is how connections of both legs are protected.
type Legs struct {
	Clients []Protection `json:"clients"`
	Servers []Protection `json:"servers"`
	// Handshakes since the start, by their outcome: ok, failed, left.
	ClientHandshakes map[string]uint64 `json:"client_handshakes"`
	ServerHandshakes map[string]uint64 `json:"server_handshakes"`
}

// Protection is a number of connections that are protected alike.
type Protection struct {
	Version     string `json:"version"` // empty: no TLS
	Cipher      string `json:"cipher"`
	Group       string `json:"group"`              // of the key exchange
	Local       bool   `json:"local"`              // through a unix socket
	Verified    string `json:"verified,omitempty"` // of a server, an sslmode
	Connections int    `json:"connections"`
}

func protection(t *stats.TLS) (p Protection) {
	if t != nil {
		p.Version, p.Cipher, p.Group = t.Version, t.Cipher, t.Group
	}
	return p
}

// legs counts the connections of both legs.
func (p *Page) legs() Legs {
	clients, servers := map[Protection]int{}, map[Protection]int{}
	list, _ := p.Clients.ClientList()
	for _, c := range list {
		how := protection(c.TLS)
		how.Local = c.Local != nil && c.Local.Network() == "unix"
		clients[how]++
	}
	for _, s := range p.Pools.Servers() {
		how := protection(s.TLS)
		how.Verified = s.Verified
		how.Local = s.Addr != nil && s.Addr.Network() == "unix"
		servers[how]++
	}
	return Legs{
		Clients: protections(clients), Servers: protections(servers),
		ClientHandshakes: outcomes(p.Clients.Handshakes()), ServerHandshakes: outcomes(p.Pools.Handshakes()),
	}
}

func protections(counts map[Protection]int) []Protection {
	all := []Protection{}
	for how, n := range counts {
		how.Connections = n
		all = append(all, how)
	}
	slices.SortFunc(all, func(a, b Protection) int {
		return cmp.Or(-cmp.Compare(a.Connections, b.Connections), cmp.Compare(a.Version+a.Cipher+a.Group+a.Verified, b.Version+b.Cipher+b.Group+b.Verified))
	})
	return all
}

func outcomes(h stats.HandshakeTotals) map[string]uint64 {
	all := map[string]uint64{}
	for how, n := range h.Counts {
		all[how.Outcome] += n
	}
	return all
}

// PinCount counts the clients that keep their server for a reason.
type PinCount struct {
	Reason string `json:"reason"`
	Now    int    `json:"now"`
	Ever   uint64 `json:"since_start"`
}

func (p *Page) pins() []PinCount {
	now := map[string]int{}
	for _, pin := range p.Clients.Pins() {
		for _, reason := range pin.Reasons {
			now[reason]++
		}
	}
	ever := p.Clients.PinCounts()
	for reason := range now {
		ever[reason] = max(ever[reason], uint64(now[reason]))
	}
	all := []PinCount{}
	for _, reason := range slices.Sorted(maps.Keys(ever)) {
		all = append(all, PinCount{clean(reason), now[reason], ever[reason]})
	}
	return all
}

// Errors is what went wrong for clients.
type Errors struct {
	Last   []ErrorRow   `json:"last"`        // of the last hundred, the newest first
	Counts []ErrorCount `json:"since_start"` // the most frequent first
}

// ErrorRow is an error that clients were sent, and how many of the last hundred
// are the same.
type ErrorRow struct {
	Last     time.Time `json:"last"`
	Times    int       `json:"times"`
	Client   uint64    `json:"client"` // of the last
	Database string    `json:"database"`
	User     string    `json:"user"`
	Source   string    `json:"source"` // pgseal or server
	Severity string    `json:"severity"`
	Code     string    `json:"code"`
	Message  string    `json:"message"` // empty for a server's
}

// ErrorCount is how many errors of a class there were.
type ErrorCount struct {
	Source string `json:"source"`
	Class  string `json:"class"`
	Count  uint64 `json:"count"`
}

func (p *Page) errors() Errors {
	out := Errors{Last: []ErrorRow{}, Counts: []ErrorCount{}}
	type kind struct{ database, user, source, code, message string }
	places := map[kind]int{}
	for _, e := range p.Clients.LastErrors() {
		same := kind{e.Database, e.User, e.Source, e.Code, e.Message}
		if i, known := places[same]; known {
			out.Last[i].Times++
			continue
		}
		places[same] = len(out.Last)
		out.Last = append(out.Last, newErrorRow(e))
	}
	out.Last = out.Last[:min(len(out.Last), maxErrors)]
	for class, n := range p.Clients.ErrorCounts() {
		out.Counts = append(out.Counts, ErrorCount{class.Source, clean(class.Class), n})
	}
	slices.SortFunc(out.Counts, func(a, b ErrorCount) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Source+a.Class, b.Source+b.Class))
	})
	out.Counts = out.Counts[:min(len(out.Counts), maxErrors)]
	return out
}

func newErrorRow(e stats.Error) ErrorRow {
	return ErrorRow{
		Last: e.Time, Times: 1, Client: e.Client, Database: clean(e.Database), User: clean(e.User),
		Source: e.Source, Severity: clean(e.Severity), Code: clean(e.Code), Message: clean(e.Message),
	}
}
