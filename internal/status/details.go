package status

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/tlsconf"
)

const (
	maxCertificates = 100
	maxNames        = 10 // of one certificate
	maxErrors       = 20
)

// Certificate is a certificate or CRL that is in force.
type Certificate struct {
	Kind        string     `json:"kind"`  // certificate, authority or crl
	Where       []string   `json:"where"` // who uses it
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
func certificates(list []Loaded, now time.Time) []Certificate {
	places := map[string]int{}
	all := []Certificate{}
	for _, x := range list {
		id := x.Kind + x.Fingerprint
		if i, known := places[id]; known {
			if where := clean(x.Where); !slices.Contains(all[i].Where, where) {
				all[i].Where = append(all[i].Where, where)
			}
			continue
		}
		places[id] = len(all)
		c := Certificate{
			Kind: x.Kind, Where: []string{clean(x.Where)}, Name: clean(cmp.Or(x.Subject, x.Issuer)), Names: cleanAll(x.Names, maxNames),
			Issuer: clean(x.Issuer), File: clean(x.File), Fingerprint: x.Fingerprint,
		}
		c.State, c.Left, c.urgent = expiry(x.NotBefore, x.NotAfter, now)
		if x.Kind == tlsconf.LoadedAuthority {
			c.urgent = false // others of its file may do
		}
		if !x.NotAfter.IsZero() {
			days := whole(x.NotAfter.Sub(now).Hours() / 24)
			c.NotAfter, c.Days = &x.NotAfter, &days
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Certificate) int {
		switch {
		case a.NotAfter == nil || b.NotAfter == nil:
			return cmp.Compare(b2i(a.NotAfter == nil), b2i(b.NotAfter == nil))
		}
		return a.NotAfter.Compare(*b.NotAfter)
	})
	return all[:min(len(all), maxCertificates)]
}

// TLS is how connections of both legs are protected.
type TLS struct {
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

func protection(f *tlsconf.Facts) (p Protection) {
	if f != nil {
		p.Version, p.Cipher, p.Group = f.Version, f.Cipher, f.Group
	}
	return p
}

// legs counts the connections of both legs.
func (p *Page) legs() TLS {
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
	return TLS{
		Clients: protections(clients), Servers: protections(servers),
		ClientHandshakes: outcomes(p.Clients.ClientHandshakes()), ServerHandshakes: outcomes(p.Pools.Handshakes()),
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

func outcomes(h *stats.Handshakes) map[string]uint64 {
	all := map[string]uint64{}
	for how, n := range h.Read() {
		all[how.Outcome] += n
	}
	return all
}

// Pin counts the clients that keep their server for a reason.
type Pin struct {
	Reason string `json:"reason"`
	Now    int    `json:"now"`
	Ever   uint64 `json:"since_start"`
}

func (p *Page) pins() []Pin {
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
	all := []Pin{}
	for _, reason := range slices.Sorted(maps.Keys(ever)) {
		all = append(all, Pin{clean(reason), now[reason], ever[reason]})
	}
	return all
}

// Errors is what went wrong for clients.
type Errors struct {
	Last   []Error      `json:"last"`        // of the last hundred, the newest first
	Counts []ErrorCount `json:"since_start"` // the most frequent first
}

// Error is an error that clients were sent, and how many of the last hundred
// are the same.
type Error struct {
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
	out := Errors{Last: []Error{}, Counts: []ErrorCount{}}
	type kind struct{ database, user, source, code, message string }
	places := map[kind]int{}
	for _, e := range p.Clients.LastErrors() {
		same := kind{e.Database, e.User, e.Source, e.Code, e.Message}
		if i, known := places[same]; known {
			out.Last[i].Times++
			continue
		}
		places[same] = len(out.Last)
		out.Last = append(out.Last, newError(e))
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

func newError(e proxy.ErrorEvent) Error {
	return Error{
		Last: e.Time, Times: 1, Client: e.Client, Database: clean(e.Database), User: clean(e.User),
		Source: e.Source, Severity: clean(e.Severity), Code: clean(e.Code), Message: clean(e.Message),
	}
}
