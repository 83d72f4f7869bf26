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
	begin("Pools", "One series per pool, that is per database and login role. Pools beyond the "+
		"first 200 are summed up with `other` as database and user. A database that matches the entry `\"*\"` appears "+
		"once the first server connection to it has been opened.")
	p.clients = ofPool(gauge, "pool_clients", "Clients that are logged in, by state: active, or waiting for a server connection.", "state")
	p.servers = ofPool(gauge, "pool_servers", "Server connections by state, as in SHOW POOLS.", "state")
	p.size = ofPool(gauge, "pool_size", "Maximum number of server connections, without the reserve (pool_size).")
	p.maxWait = ofPool(gauge, "pool_max_wait_seconds", "Age of the oldest request for a server connection that is still waiting.")
	p.unavailable = ofPool(gauge, "pool_unavailable", "1 if no server connection is left and none could be opened, so that clients are refused, else 0.")
	p.transactions = ofPool(counter, "transactions_total", "Completed transactions.")
	p.queries = ofPool(counter, "queries_total", "Completed queries: simple queries, and extended-query batches up to a Sync.")
	p.received = ofPool(counter, "received_bytes_total", "Bytes received from clients after login.")
	p.sent = ofPool(counter, "sent_bytes_total", "Bytes sent to clients after login.")
	p.transactionTime = ofPool(counter, "transaction_seconds_total", "Time spent in transactions, including idle time within them.")
	p.queryTime = ofPool(histogram, "query_duration_seconds", "Query duration, without the wait for a server connection.")
	p.assigned = ofPool(counter, "server_assignments_total", "Times a server connection was assigned to a client.")
	p.waitTime = ofPool(histogram, "client_wait_seconds", "Time that clients waited for a server connection. Immediate assignments are not counted.")
	p.waitTimeouts = ofPool(counter, "client_wait_timeouts_total", "Clients that got no server connection within query_wait_timeout.")
	p.clientParses = ofPool(counter, "client_parses_total", "Statements prepared by clients (Parse).")
	p.serverParses = ofPool(counter, "server_parses_total", "Statements prepared by pgseal on server connections (Parse).")
	p.binds = ofPool(counter, "binds_total", "Prepared statements bound by clients (Bind).")
	p.opened = ofPool(counter, "servers_opened_total", "Server connections opened and logged in.")
	p.failed = ofPool(counter, "server_open_failures_total", "Server connections that could not be opened, verified or logged in.")
	p.closed = ofPool(counter, "servers_closed_total", "Server connections closed, by reason.", "reason")
	return p
}

type clientMetrics struct {
	connections, logins, errors, cancels, pinned, pins, statements, statementBytes *metric
}

func defineClients() (c clientMetrics) {
	begin("Clients", "")
	c.connections = define(gauge, "client_connections", "Client connections, including those still logging in.")
	c.logins = define(counter, "client_logins_total", "Client logins by outcome. Connections closed before the startup packet are not counted.", "outcome")
	c.errors = define(counter, "errors_total", "Errors sent to clients by SQLSTATE class; source is pgseal, or server for those passed on.", "source", "class")
	c.cancels = define(counter, "cancel_requests_total", "Cancel requests of clients by outcome.", "outcome")
	c.pinned = define(gauge, "pinned_clients", "Clients currently pinned to a server connection by their session state.")
	c.pins = define(counter, "client_pins_total", "Times a client was pinned to a server connection, by reason.", "reason")
	c.statements = define(gauge, "prepared_statements", "Distinct prepared statements of clients and server connections.")
	c.statementBytes = define(gauge, "prepared_statements_bytes", "Memory used by the text of prepared statements (limited by prepared_statements_memory).")
	return c
}

type tlsMetrics struct {
	handshakes, duration, running, queued, notAfter *metric
}

func defineTLS() (t tlsMetrics) {
	begin("TLS", "`leg` is `client` for connections from clients to pgseal, and `server` for those from pgseal to PostgreSQL.")
	t.handshakes = define(counter, "tls_handshakes_total", "TLS handshakes by outcome; version and cipher are empty if it failed.", "leg", "outcome", "version", "cipher")
	t.duration = define(histogram, "tls_handshake_duration_seconds", "Duration of successful TLS handshakes, including the wait for max_handshakes.", "leg")
	t.running = define(gauge, "tls_handshakes_running", "TLS handshakes with clients in progress.")
	t.queued = define(gauge, "tls_handshakes_waiting", "TLS handshakes with clients waiting for max_handshakes.")
	t.notAfter = define(gauge, "certificate_not_after_timestamp_seconds", "Earliest expiry time of the certificates of that kind in force; for CRLs the next update.", "where", "kind")
	return t
}

type reloadMetrics struct{ reloads, success, failing *metric }

func defineReloads() (r reloadMetrics) {
	begin("Reloads", "`name` is what is reloaded: `configuration`, or `listener …`, `database …`, `users_file`, `access rules` for the files that the configuration references.")
	r.reloads = define(counter, "reloads_total", "Reloads of changed contents: applied (ok) or rejected (failed). Each change counts once.", "name", "outcome")
	r.success = define(gauge, "last_reload_success_timestamp_seconds", "Time at which the version in force was loaded.", "name")
	r.failing = define(gauge, "reload_failing", "1 if the version on disk is rejected and an older one is in force, else 0.", "name")
	return r
}

type processMetrics struct{ build, draining, lag, connections, panics *metric }

func defineProcess() (p processMetrics) {
	begin("Process", "The standard metrics of the Go runtime (`go_…`) and the process (`process_…`) are exported as well.")
	p.build = define(gauge, "build_info", "Always 1, with pgseal's version as a label.", "version")
	p.draining = define(gauge, "draining", "1 while pgseal is shutting down and accepts no new clients, else 0.")
	p.lag = define(histogram, "loop_lag_seconds", "Delay of an event loop in running a task posted to it once a second.", "loop")
	p.connections = define(gauge, "loop_connections", "Client and server connections served by an event loop.", "loop")
	p.panics = define(counter, "panics_total", "Panics, each of which ended one session. Please report them.")
	return p
}

var (
	pools   = definePools()
	clients = defineClients()
	secured = defineTLS()
	reloads = defineReloads()
	process = defineProcess()
)
