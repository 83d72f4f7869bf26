package metrics

import "github.com/prometheus/client_golang/prometheus"

// metric is a metric of ours.
type metric struct {
	name, help, kind string
	labels           []string
	desc             *prometheus.Desc
}

const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

// section is a group of metrics in the documentation.
type section struct {
	title, text string
	metrics     []*metric
}

// all is every metric of ours, in the order of the documentation.
var all []*section

func begin(title, text string) { all = append(all, &section{title: title, text: text}) }

func define(kind, name, help string, labels ...string) *metric {
	m := &metric{name: "pgseal_" + name, help: help, kind: kind, labels: labels}
	m.desc = prometheus.NewDesc(m.name, help, labels, nil)
	last := all[len(all)-1]
	last.metrics = append(last.metrics, m)
	return m
}

// ofPool defines a metric that each pool has.
func ofPool(kind, name, help string, labels ...string) *metric {
	return define(kind, name, help, append([]string{"database", "user"}, labels...)...)
}

type poolMetrics struct {
	clients, servers, size, maxWait, unavailable                                      *metric
	transactions, queries, received, sent, transactionTime, queryTime, assigned       *metric
	waitTime, waitTimeouts, clientParses, serverParses, binds, opened, failed, closed *metric
}

func definePools() (p poolMetrics) {
	begin("Pools", "One series for each pool, that is for each database and role that pgseal logs in to it as. Pools beyond the "+
		"first 200 are added up in one with `other` as database and user. A database that the entry `\"*\"` stands for is shown "+
		"when a server of it was opened for the first time.")
	p.clients = ofPool(gauge, "pool_clients", "Clients that are logged in: active ones have a server or need none, waiting ones need one.", "state")
	p.servers = ofPool(gauge, "pool_servers", "Server connections by state, as in SHOW POOLS.", "state")
	p.size = ofPool(gauge, "pool_size", "Most server connections, without the reserve (pool_size).")
	p.maxWait = ofPool(gauge, "pool_max_wait_seconds", "Time that the client which has waited longest for a server has waited until now.")
	p.unavailable = ofPool(gauge, "pool_unavailable", "1 where no server could be opened and none is left, so that clients are refused, else 0.")
	p.transactions = ofPool(counter, "transactions_total", "Transactions that came to their end.")
	p.queries = ofPool(counter, "queries_total", "Queries that came to their end: simple ones, and batches up to a Sync.")
	p.received = ofPool(counter, "received_bytes_total", "Bytes of messages from clients, after their login.")
	p.sent = ofPool(counter, "sent_bytes_total", "Bytes of messages to clients, after their login.")
	p.transactionTime = ofPool(counter, "transaction_seconds_total", "Time that transactions took on a server, pauses within them included.")
	p.queryTime = ofPool(histogram, "query_duration_seconds", "Time that queries took on a server, without the wait for one.")
	p.assigned = ofPool(counter, "server_assignments_total", "How often a client was given a server.")
	p.waitTime = ofPool(histogram, "client_wait_seconds", "Time that clients waited for a server. Who was given one at once is not counted.")
	p.waitTimeouts = ofPool(counter, "client_wait_timeouts_total", "Clients that got no server within query_wait_timeout.")
	p.clientParses = ofPool(counter, "client_parses_total", "Prepared statements that clients asked for (Parse).")
	p.serverParses = ofPool(counter, "server_parses_total", "Prepared statements that servers were asked for (Parse).")
	p.binds = ofPool(counter, "binds_total", "Prepared statements that clients readied to run (Bind).")
	p.opened = ofPool(counter, "servers_opened_total", "Server connections that were opened and logged in.")
	p.failed = ofPool(counter, "server_open_failures_total", "Server connections that could not be opened, verified or logged in.")
	p.closed = ofPool(counter, "servers_closed_total", "Server connections that were closed, by reason.", "reason")
	return p
}

type clientMetrics struct {
	connections, logins, errors, cancels, pinned, pins, statements, statementBytes *metric
}

func defineClients() (c clientMetrics) {
	begin("Clients", "")
	c.connections = define(gauge, "client_connections", "Connections of clients, from accept to close, those in their login included.")
	c.logins = define(counter, "client_logins_total", "Logins of clients by outcome. A connection that left before it said who it is was none.", "outcome")
	c.errors = define(counter, "errors_total", "Errors that clients were sent, by the class of their SQLSTATE; source is pgseal, or server for those passed on.", "source", "class")
	c.cancels = define(counter, "cancel_requests_total", "CancelRequests of clients by outcome.", "outcome")
	c.pinned = define(gauge, "pinned_clients", "Clients that keep their server now because of what they left in its session.")
	c.pins = define(counter, "client_pins_total", "How often a client was pinned to its server, by reason.", "reason")
	c.statements = define(gauge, "prepared_statements", "Different prepared statements that clients and servers have.")
	c.statementBytes = define(gauge, "prepared_statements_bytes", "Memory that their texts take which are kept (prepared_statements_memory bounds it).")
	return c
}

type tlsMetrics struct {
	handshakes, duration, running, queued, notAfter *metric
}

func defineTLS() (t tlsMetrics) {
	begin("TLS", "`leg` is `client` for connections from clients to pgseal, and `server` for those from pgseal to PostgreSQL.")
	t.handshakes = define(counter, "tls_handshakes_total", "TLS handshakes by outcome; version and cipher are empty where it failed.", "leg", "outcome", "version", "cipher")
	t.duration = define(histogram, "tls_handshake_duration_seconds", "Time that TLS handshakes took which succeeded, with the wait for their turn.", "leg")
	t.running = define(gauge, "tls_handshakes_running", "TLS handshakes with clients that are computed now.")
	t.queued = define(gauge, "tls_handshakes_waiting", "TLS handshakes with clients that wait for their turn (max_handshakes).")
	t.notAfter = define(gauge, "certificate_not_after_timestamp_seconds", "Time at which the first certificate of that kind in force expires, or for a CRL its next update is due.", "where", "kind")
	return t
}

type reloadMetrics struct{ reloads, success, failing *metric }

func defineReloads() (r reloadMetrics) {
	begin("Reloads", "`name` is what is reloaded by itself: `configuration`, or `listener …`, `database …`, `users_file`, `access rules` for the files that the configuration names.")
	r.reloads = define(counter, "reloads_total", "Changed contents that were put into force (ok) or refused (failed). Each counts once, however often it was read.", "name", "outcome")
	r.success = define(gauge, "last_reload_success_timestamp_seconds", "Time at which what is in force was loaded.", "name")
	r.failing = define(gauge, "reload_failing", "1 where what is on disk is refused now and an older version in force, else 0.", "name")
	return r
}

type processMetrics struct{ build, draining, lag, connections, panics *metric }

func defineProcess() (p processMetrics) {
	begin("Process", "Beside these there are the usual ones of the Go runtime (`go_…`) and the process (`process_…`).")
	p.build = define(gauge, "build_info", "Always 1, with pgseal's version as a label.", "version")
	p.draining = define(gauge, "draining", "1 while pgseal stops and takes no new clients, else 0.")
	p.lag = define(histogram, "loop_lag_seconds", "Time that an event loop took to come to a task that was given to it once a second.", "loop")
	p.connections = define(gauge, "loop_connections", "Connections of clients and servers that an event loop has.", "loop")
	p.panics = define(counter, "panics_total", "Panics, each of which ended one session. Each is a bug worth a report.")
	return p
}

var (
	pools   = definePools()
	clients = defineClients()
	secured = defineTLS()
	reloads = defineReloads()
	process = defineProcess()
)
