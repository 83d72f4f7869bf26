package console

import (
	"fmt"
	"net"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"
)

func nothing(*Console) []row { return nil }

// orNull returns nil for a value that says nothing: an empty string, or 0.
func orNull[T comparable](v T) any {
	var none T
	if v == none {
		return nil
	}
	return v
}

// flag is how PgBouncer shows a boolean.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// secondsAndMicros splits a duration as PgBouncer does.
func secondsAndMicros(d time.Duration) (seconds, micros int64) {
	return int64(d / time.Second), int64(d % time.Second / time.Microsecond)
}

func showConfig(c *Console) (rows []row) {
	for _, s := range c.sources.Config.Settings() {
		rows = append(rows, row{s.Key, s.Value, s.Default, yesNo(s.Changeable)})
	}
	return rows
}

func showDatabases(c *Console) (rows []row) {
	for _, d := range c.sources.Pools.Databases() {
		rows = append(rows, row{
			d.Name, orNull(d.Host), d.Port, d.DBName, orNull(d.ForceUser), d.PoolSize, d.MinPoolSize, d.ReserveSize,
			int64(d.ServerLifetime / time.Second), orNull(d.PoolMode), orNull(d.LoadBalanceHosts), d.MaxServers, d.Servers,
			d.MaxClients, d.Clients, flag(d.Paused), flag(d.Disabled), d.ReserveSize,
		})
	}
	return withConsole(rows, row{
		asDatabase, nil, c.port(), asDatabase, asDatabase, consoleServers, 0, 0, 0, "statement", nil, 0, 0, 0, c.sessions.Load(), 0, 0, 0,
	})
}

// consoleServers is the pool_size that PgBouncer reports for its console.
const consoleServers = 2

// withConsole adds the row of the console to those of databases or pools, which
// begin with the name of their database, in order.
func withConsole(rows []row, own row) []row {
	i := slices.IndexFunc(rows, func(r row) bool { return r[0].(string) > asDatabase })
	if i < 0 {
		i = len(rows)
	}
	return slices.Insert(rows, i, own)
}

// port returns the port of the first listener that has one.
func (c *Console) port() int {
	for _, address := range c.sources.Config.Listeners() {
		if _, p, err := net.SplitHostPort(address); err == nil {
			port, _ := strconv.Atoi(p)
			return port
		}
	}
	return 0
}

func showUsers(c *Console) (rows []row) {
	for _, u := range c.sources.Pools.Users() {
		size, reserve := "", ""
		if u.PoolSize > 0 {
			size = fmt.Sprint(u.PoolSize)
		}
		if u.ReserveSize != nil {
			reserve = fmt.Sprint(*u.ReserveSize)
		}
		rows = append(rows, row{u.Name, size, reserve, orNull(u.PoolMode), u.MaxServers, u.Servers, u.MaxClients, u.Clients})
	}
	return rows
}

func showPools(c *Console) (rows []row) {
	for _, p := range c.sources.Pools.Snapshots() {
		seconds, micros := secondsAndMicros(p.MaxWait)
		rows = append(rows, row{
			p.Database, p.User, max(p.Clients-p.Waiting, 0), p.Waiting, p.Cancels, 0,
			p.Servers.Active, p.Cancels, p.Servers.BeingCanceled, p.Servers.Idle, p.Servers.Used, p.Servers.Tested, p.Servers.Login,
			seconds, micros, p.Mode, orNull(p.LoadBalanceHosts),
		})
	}
	return withConsole(rows, row{asDatabase, asDatabase, c.sessions.Load(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "statement", nil})
}

func showLists(c *Console) []row {
	pools := c.sources.Pools.Snapshots()
	list, logins := c.sources.Clients.ClientList()
	used, limit := c.sources.Clients.Busy()
	return []row{
		{"databases", len(c.sources.Pools.Databases()) + 1}, // the console is one, with a pool,
		{"users", len(c.sources.Pools.Users())},
		{"peers", 0},
		{"pools", len(pools) + 1},
		{"peer_pools", 0},
		{"free_clients", max(limit-used, 0)},
		{"used_clients", len(list)},
		{"login_clients", logins},
		{"free_servers", 0},
		{"used_servers", len(c.sources.Pools.Servers())},
		{"dns_names", 0},
		{"dns_zones", 0},
		{"dns_queries", 0},
		{"dns_pending", 0},
	}
}

// memory are the figures of the runtime that SHOW MEM is made of: what is in
// use and what is kept free.
var memory = []struct{ name, used, free string }{
	{"heap_objects", "/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes"},
	{"stacks", "/memory/classes/heap/stacks:bytes", ""},
	{"heap_unused", "/memory/classes/heap/unused:bytes", ""},
	{"runtime", "/memory/classes/metadata/other:bytes", ""},
}

func showMemory(c *Console) (rows []row) {
	for _, m := range memory {
		used, free := figure(m.used), figure(m.free)
		rows = append(rows, row{m.name, 1, used, free, used + free})
	}
	count, bytes := c.sources.Clients.Statements()
	size := int64(0)
	if count > 0 {
		size = bytes / int64(count)
	}
	return append(rows, row{"prepared_statements", size, count, 0, bytes})
}

func figure(name string) int64 {
	if name == "" {
		return 0
	}
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(min(sample[0].Value.Uint64(), 1<<31-1)) // the column is of 32 bits
}

func showState(c *Console) []row {
	paused, suspended := c.sources.Pools.Paused(), c.sources.Clients.Suspended()
	return []row{{"active", yesNo(!paused && !suspended)}, {"paused", yesNo(paused)}, {"suspended", yesNo(suspended)}}
}

func showCertificates(c *Console) (rows []row) {
	now := time.Now()
	for _, x := range c.sources.Config.Certificates() {
		var days, lastError any
		if !x.NotAfter.IsZero() {
			days = int64(x.NotAfter.Sub(now) / (24 * time.Hour))
		}
		if x.Status.LastError != nil {
			lastError = x.Status.LastError.Error()
		}
		rows = append(rows, row{
			x.Where, x.Kind, x.File, orNull(x.Subject), x.Issuer, orNull(strings.Join(x.Names, ", ")), x.Serial, x.Fingerprint,
			x.NotBefore, x.NotAfter, days, x.Status.LoadedAt, lastError, x.Status.LastErrorAt,
		})
	}
	return rows
}

func showPins(c *Console) (rows []row) {
	for _, p := range c.sources.Clients.Pins() {
		rows = append(rows, row{p.Client, p.User, p.Database, p.Server, strings.Join(p.Reasons, ", "), p.Since})
	}
	return rows
}

func showPrepared(c *Console) (rows []row) {
	for _, s := range c.sources.Clients.StatementList() {
		rows = append(rows, row{s.Name, s.Clients, s.Bytes, s.Query})
	}
	return rows
}
