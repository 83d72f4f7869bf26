package console

import (
	"math/big"
	"net"
	"strconv"
	"strings"

	"github.com/pgseal/pgseal/internal/stats"
)

// links is a snapshot of which client holds which server connection.
type links struct {
	clients  []stats.Client
	servers  []stats.Server
	byServer map[uint64]stats.Client
}

func (c *Console) links() links {
	l := links{byServer: map[uint64]stats.Client{}}
	l.clients, _ = c.sources.Clients.ClientList()
	l.servers = c.sources.Pools.Servers()
	for _, v := range l.clients {
		if v.Server != 0 {
			l.byServer[v.Server] = v
		}
	}
	return l
}

// handle names a connection where PgBouncer has a pointer: tools use it only to
// tell them apart, and to follow link.
func handle(kind string, id uint64) string {
	if id == 0 {
		return ""
	}
	return kind + strconv.FormatUint(id, 10)
}

// address splits an address as PgBouncer shows it.
func address(a net.Addr) (host string, port int) {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().String(), a.Port
	case nil:
		return "", 0
	}
	return "unix", 0
}

func replication(on bool) string {
	if on {
		return "logical" // or physical: what the server makes of it
	}
	return "none"
}

func clientRow(v stats.Client) row {
	host, port := address(v.Addr)
	local, localPort := address(v.Local)
	seconds, micros := secondsAndMicros(v.Wait)
	return row{
		"C", v.User, v.Database, replication(v.Replication), v.State, host, port, local, localPort,
		v.Connected, v.Requested, seconds, micros, flag(v.CloseNeeded),
		handle("C", v.ID), handle("S", v.Server), 0, tlsText(v.TLS), v.Application, v.Prepared, v.ID,
	}
}

func serverRow(v stats.Server, client stats.Client) row {
	host, port := address(v.Addr)
	local, localPort := address(v.Local)
	prepared := v.Prepared
	if client.Server == v.ID {
		prepared = client.ServerPrepared
	}
	return row{
		"S", v.User, v.Database, replication(v.Dedicated), v.State, host, port, local, localPort,
		v.Connected, v.Requested, 0, 0, flag(v.CloseNeeded),
		handle("S", v.ID), handle("C", client.ID), int64(v.PID), tlsText(v.TLS), client.Application, prepared, v.ID,
	}
}

func showClients(c *Console) (rows []row) {
	list, _ := c.sources.Clients.ClientList()
	for _, v := range list {
		rows = append(rows, append(clientRow(v), orNull(v.Identity), orNull(serverName(v.TLS)), orNull(v.Negotiation), orNull(v.Server), orNull(strings.Join(v.Pins, ", "))))
	}
	return rows
}

func showServers(c *Console) (rows []row) {
	l := c.links()
	for _, v := range l.servers {
		client := l.byServer[v.ID]
		rows = append(rows, append(serverRow(v, client), v.Host, v.Verified, v.Bound, orNull(client.ID)))
	}
	return rows
}

// tlsText describes the TLS of a connection in one word, as PgBouncer does.
func tlsText(t *stats.TLS) string {
	if t == nil {
		return ""
	}
	s := t.Version + "/" + t.Cipher
	if t.Group != "" {
		s += "/ECDH=" + t.Group
	}
	return s
}

func serverName(t *stats.TLS) string {
	if t == nil {
		return ""
	}
	return t.ServerName
}

// noBuffers fills the columns of PgBouncer's buffer positions: ours are
// empty but for a moment.
var noBuffers = []any{0, 0, 0, 0, 0, 0, 0}

// sockets returns the rows of clients and servers whose state is kept.
func (c *Console) sockets(keep func(state string) bool) (rows []row) {
	prefixes := func(r row, prefix string) row {
		r[4] = prefix + r[4].(string)
		return append(r, noBuffers...)
	}
	l := c.links()
	for _, v := range l.clients {
		if keep(v.State) {
			rows = append(rows, prefixes(clientRow(v), "cl_"))
		}
	}
	for _, v := range l.servers {
		if keep(v.State) {
			rows = append(rows, prefixes(serverRow(v, l.byServer[v.ID]), "sv_"))
		}
	}
	return rows
}

func showSockets(c *Console) []row {
	return c.sockets(func(string) bool { return true })
}

func showActiveSockets(c *Console) []row {
	return c.sockets(func(state string) bool { return state != stats.StateIdle && state != stats.StateUsed })
}

func showDescriptors(c *Console) (rows []row) {
	add := func(task string, user, database any, host string, port int) {
		rows = append(rows, row{nil, task, user, database, host, port, nil, nil, nil, nil, nil, nil, nil, nil, nil})
	}
	for _, listener := range c.sources.Config.Listeners() {
		host, port := listener, 0
		if h, p, err := net.SplitHostPort(listener); err == nil {
			host = h
			port, _ = strconv.Atoi(p)
		}
		add("pooler", nil, nil, host, port)
	}
	l := c.links()
	for _, v := range l.clients {
		host, port := address(v.Addr)
		add("client", v.User, v.Database, host, port)
	}
	for _, v := range l.servers {
		host, port := address(v.Addr)
		add("server", v.User, v.Database, host, port)
	}
	return rows
}

// Legs, as SHOW TLS names them.
const (
	clientLeg = "client"
	serverLeg = "server"
)

func showTLS(c *Console) (rows []row) {
	list, _ := c.sources.Clients.ClientList()
	for _, v := range list {
		r := append(sslRow(v.PID, v.TLS), clientLeg, v.ID, v.Database, v.User)
		if v.TLS == nil {
			rows = append(rows, append(r, nil, nil, orNull(v.Identity), nil, nil))
			continue
		}
		verification := "none"
		if v.TLS.Peer != nil {
			verification = "certificate"
			r[5], r[6], r[7] = v.TLS.Peer.Subject.String(), serial(v.TLS.Peer.SerialNumber), v.TLS.Peer.Issuer.String()
		}
		rows = append(rows, append(r, orNull(v.TLS.Group), verification, orNull(v.Identity), orNull(v.TLS.ServerName), v.Negotiation))
	}
	for _, v := range c.sources.Pools.Servers() {
		r := append(sslRow(v.PID, v.TLS), serverLeg, v.ID, v.Database, v.User)
		if v.TLS == nil {
			rows = append(rows, append(r, nil, v.Verified, nil, nil, nil))
			continue
		}
		var identity any
		if v.TLS.Peer != nil {
			identity = v.TLS.Peer.Subject.String()
		}
		rows = append(rows, append(r, orNull(v.TLS.Group), v.Verified, identity, orNull(v.TLS.ServerName), v.Negotiation))
	}
	return rows
}

// sslRow returns the columns of pg_stat_ssl, with those of a client's
// certificate still null.
func sslRow(pid uint32, t *stats.TLS) row {
	if t == nil {
		return row{int64(pid), false, nil, nil, nil, nil, nil, nil}
	}
	return row{int64(pid), true, t.Version, t.Cipher, t.Bits, nil, nil, nil}
}

func serial(n *big.Int) any {
	if n == nil {
		return nil
	}
	return n.String()
}
