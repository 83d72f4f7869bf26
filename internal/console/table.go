package console

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// Command is a command of the console.
type Command struct {
	Name    string // its words, in upper case
	Args    string // empty: none; in brackets: it may be left out
	Admin   bool   // for admin.users only
	Summary string
	Columns []Column // of its answer; nil: no rows
	Ours    int      // how many of the columns, at the end, PgBouncer does not have

	// grammar marks one that is not made of words alone, and says how.
	grammar *string
	run     func(ctx context.Context, c *Console, args []string) (answer, error)
}

// commands are those of the console, in the order of the manual. It is set by
// init, because HELP is one of those that it lists.
var commands []Command

func init() { commands = append(showCommands(), controlCommands()...) }

// columns makes columns of one type each: "name type, name type".
func columns(spec string) (list []Column) {
	types := map[string]Type{"text": Text, "int": Int4, "bigint": Int8, "numeric": Numeric, "bool": Bool, "bytea": Bytea}
	for part := range strings.SplitSeq(spec, ",") {
		name, typ, _ := strings.Cut(strings.TrimSpace(part), " ")
		t, ok := types[typ]
		if !ok {
			panic("no type " + typ + " for the column " + name) // a mistake of ours
		}
		list = append(list, Column{name, t})
	}
	return list
}

// show makes a command that shows rows.
func show(name, summary, spec string, ours int, rows func(c *Console) []row) Command {
	return Command{
		Name: "SHOW " + name, Summary: summary, Columns: columns(spec), Ours: ours,
		run: func(_ context.Context, c *Console, _ []string) (answer, error) {
			return answer{rows: rows(c)}, nil
		},
	}
}

// adminOnly has the command for admin.users only.
func (c Command) adminOnly() Command {
	c.Admin = true
	return c
}

// socketColumns are those of SHOW CLIENTS and SHOW SERVERS, bufferColumns what
// SHOW SOCKETS has behind them, and oursColumns what we add to both.
const (
	socketColumns = "type text, user text, database text, replication text, state text, addr text, port int, local_addr text, local_port int, " +
		"connect_time text, request_time text, wait int, wait_us int, close_needed int, ptr text, link text, remote_pid int, tls text, " +
		"application_name text, prepared_statements int, id int"
	bufferColumns = ", recv_pos int, pkt_pos int, pkt_remain int, send_pos int, send_remain int, pkt_avail int, send_avail int"
	clientColumns = ", identity text, sni text, negotiation text, link_id bigint, pins text"
	serverColumns = ", host text, verified text, bound bool, link_id bigint"
)

func showCommands() []Command {
	help := Command{Name: "SHOW HELP", Summary: "this list, as a notice", run: func(context.Context, *Console, []string) (answer, error) {
		return answer{notice: &wire.Error{Severity: "NOTICE", Code: wire.CodeSuccess, Message: "Console usage", Detail: helpText()}}, nil
	}}
	return []Command{
		help,
		show("VERSION", "the version of pgseal", "version text", 0, func(c *Console) []row { return []row{{"pgseal " + c.sources.Version}} }),
		show("CONFIG", "current settings, without secrets", "key text, value text, default text, changeable text", 0, showConfig),
		show("DATABASES", "databases that clients can connect to",
			"name text, host text, port int, database text, force_user text, pool_size int, min_pool_size int, reserve_pool_size int, "+
				"server_lifetime int, pool_mode text, load_balance_hosts text, max_connections int, current_connections int, "+
				"max_client_connections int, current_client_connections int, paused int, disabled int, reserve_pool int", 1, showDatabases),
		show("USERS", "roles that have settings or have logged in",
			"name text, pool_size text, reserve_pool_size text, pool_mode text, max_user_connections int, current_connections int, "+
				"max_user_client_connections int, current_client_connections int", 0, showUsers),
		show("POOLS", "clients and servers of each pool, by state",
			"database text, user text, cl_active int, cl_waiting int, cl_active_cancel_req int, cl_waiting_cancel_req int, "+
				"sv_active int, sv_active_cancel int, sv_being_canceled int, sv_idle int, sv_used int, sv_tested int, sv_login int, "+
				"maxwait int, maxwait_us int, pool_mode text, load_balance_hosts text", 0, showPools),
		show("STATS", "statistics per database: totals since start, and averages", statsColumns+", total_requests numeric", 1, showStats),
		show("STATS_TOTALS", "totals of SHOW STATS", totalsColumns, 0, showStatsTotals),
		show("STATS_AVERAGES", "averages of SHOW STATS", averagesColumns, 0, showStatsAverages),
		show("TOTALS", "totals and averages over all databases", "name text, value numeric", 0, showTotals),
		show("CLIENTS", "client connections", socketColumns+clientColumns, 5, showClients),
		show("SERVERS", "server connections", socketColumns+serverColumns, 4, showServers),
		show("SOCKETS", "client and server connections, as PgBouncer's tools expect", socketColumns+bufferColumns, 0, showSockets),
		show("ACTIVE_SOCKETS", "active client and server connections", socketColumns+bufferColumns, 0, showActiveSockets),
		show("LISTS", "counts of internal objects", "list text, items int", 0, showLists),
		show("MEM", "memory usage, in bytes", "name text, size int, used int, free int, memtotal int", 0, showMemory),
		show("FDS", "all connections; descriptors, keys and passwords are always null",
			"fd int, task text, user text, database text, addr text, port int, cancel bigint, link int, client_encoding text, "+
				"std_strings text, datestyle text, timezone text, password text, scram_client_key bytea, scram_server_key bytea", 0, showDescriptors).adminOnly(),
		show("DNS_HOSTS", "no rows: names are resolved by the operating system", "hostname text, ttl bigint, addrs text", 0, nothing),
		show("DNS_ZONES", "no rows: names are resolved by the operating system", "zonename text, serial bigint, count int", 0, nothing),
		show("STATE", "whether pgseal is active, paused or suspended", "key text, value text", 0, showState),
		show("PEERS", "no rows: there are no peers", "peer_id int, host text, port int, pool_size int", 0, nothing),
		show("PEER_POOLS", "no rows: there are no peers",
			"peer_id int, cl_active_cancel_req int, cl_waiting_cancel_req int, sv_active_cancel int, sv_login int", 0, nothing),
		show("TLS", "TLS of client and server connections, with the columns of pg_stat_ssl first",
			"pid int, ssl bool, version text, cipher text, bits int, client_dn text, client_serial numeric, issuer_dn text, "+
				"leg text, id bigint, database text, user text, key_exchange text, verification text, identity text, sni text, negotiation text", 17, showTLS),
		show("CERTS", "certificates and CRLs in force, with the state of their files",
			"where text, kind text, file text, subject text, issuer text, names text, serial text, fingerprint text, not_before text, not_after text, "+
				"days_left int, loaded_at text, last_error text, last_error_at text", 14, showCertificates),
		show("PINS", "clients pinned to a server connection, and why",
			"client_id bigint, user text, database text, server_id bigint, reasons text, since text", 6, showPins),
		show("ERRORS", "last errors sent to clients, newest first; message text only for pgseal's own",
			"time text, client_id bigint, database text, user text, sqlstate text, severity text, source text, message text", 8, showErrors),
		show("ERRORS_TOTALS", "errors sent to clients since start, by SQLSTATE class and source",
			"source text, class text, count bigint", 3, showErrorsTotals),
		show("PREPARED", "prepared statements of clients and servers, with their text",
			"name text, clients int, bytes bigint, query text", 4, showPrepared).adminOnly(),
	}
}

// helpText lists the commands, one a line.
func helpText() string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "\n\t%s", strings.TrimSpace(c.Name+" "+c.Args))
	}
	return b.String()
}
