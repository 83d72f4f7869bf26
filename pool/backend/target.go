package backend

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// Target is where a connection leads, what is demanded of the server there, and
// how to log in.
type Target struct {
	Hosts       []Address         // in the order in which they are tried
	Timeout     time.Duration     // for each host; zero: the context's alone
	Trust       *tlsconf.Upstream // one snapshot for all hosts
	RequireAuth string            // empty: DefaultRequireAuth
	Login       Login
	Database    string
	Startup     []wire.Parameter // of the startup packet, beside role and database

	// Ready, if it is set, has the last word on a connection that has logged
	// in, within the timeout of its host: an error has the next host tried.
	Ready func(*Conn) error
}

// AsPgseal is the startup parameter of connections for queries of pgseal's own.
// Others bear nothing of ours: a client that asked for no application_name has
// none.
var AsPgseal = wire.Parameter{Name: "application_name", Value: "pgseal"}

// bound bounds the dialing of one host. Each has the whole of the time, as in
// libpq: one that never answers must not use up that of the next.
func (t *Target) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, t.Timeout)
}

// Address is where one host listens, and the name that its certificate has to
// bear.
type Address struct{ Network, Addr, Host string }

// Addresses returns the address of each host of a list with commas: names,
// addresses, and directories of unix sockets.
func Addresses(hosts string, port int) []Address {
	var list []Address
	number := strconv.Itoa(port)
	for host := range strings.SplitSeq(hosts, ",") {
		host = strings.TrimSpace(host)
		if IsSocketDir(host) {
			list = append(list, Address{"unix", filepath.Join(host, ".s.PGSQL."+number), host})
		} else {
			list = append(list, Address{"tcp", net.JoinHostPort(host, number), host})
		}
	}
	return list
}

// IsSocketDir reports whether a host of a list is the directory of a unix
// socket.
func IsSocketDir(host string) bool { return strings.HasPrefix(strings.TrimSpace(host), "/") }
