package sqlscan

// functions are those of PostgreSQL 14 to 18, of the modules shipped with it, and
// of a few others, whose effect outlives the transaction. A name without
// parenthesis counts too: that is where CREATE AGGREGATE and the like hide a
// call. Those that are known to leave nothing stand in builtins.go.
var functions = [...]entry{
	{text: "setseed", kind: function, effects: Seed},
	{text: "currval", kind: function, effects: Sequence},
	{text: "lastval", kind: function, effects: Sequence},
	{text: "pg_advisory_lock", kind: function, effects: AdvisoryLock},
	{text: "pg_advisory_lock_shared", kind: function, effects: AdvisoryLock},
	{text: "pg_try_advisory_lock", kind: function, effects: AdvisoryLock},
	{text: "pg_try_advisory_lock_shared", kind: function, effects: AdvisoryLock},
	{text: "pg_advisory_unlock", kind: function, effects: Releases},
	{text: "pg_advisory_unlock_shared", kind: function, effects: Releases},
	{text: "pg_advisory_unlock_all", kind: function, effects: Releases},

	// Replication and backup.
	{text: "pg_backup_start", kind: function, effects: Other},
	{text: "pg_start_backup", kind: function, effects: Other}, // PostgreSQL 14
	{text: "pg_backup_stop", kind: function, effects: Releases},
	{text: "pg_stop_backup", kind: function, effects: Releases},
	{text: "pg_create_physical_replication_slot", kind: function, effects: Other},
	{text: "pg_create_logical_replication_slot", kind: function, effects: Other},
	{text: "pg_copy_physical_replication_slot", kind: function, effects: Other},
	{text: "pg_copy_logical_replication_slot", kind: function, effects: Other},
	{text: "pg_drop_replication_slot", kind: function, effects: Releases},
	{text: "pg_replication_origin_session_setup", kind: function, effects: Other},
	{text: "pg_replication_origin_session_reset", kind: function, effects: Releases},

	// Functions that run a text as SQL.
	{text: "query_to_xml", kind: function, effects: Opaque},
	{text: "query_to_xmlschema", kind: function, effects: Opaque},
	{text: "query_to_xml_and_xmlschema", kind: function, effects: Opaque},
	{text: "cursor_to_xml", kind: function, effects: Opaque},
	{text: "ts_stat", kind: function, effects: Opaque},
	{text: "ts_rewrite", kind: function, effects: Opaque},
	{text: "crosstab", kind: function, effects: Opaque}, // tablefunc
	{text: "crosstab2", kind: function, effects: Opaque},
	{text: "crosstab3", kind: function, effects: Opaque},
	{text: "crosstab4", kind: function, effects: Opaque},
	{text: "connectby", kind: function, effects: Opaque},
	{text: "xpath_table", kind: function, effects: Opaque}, // xml2

	// Other modules.
	{text: "set_limit", kind: function, effects: Settings}, // pg_trgm
	{text: "dblink_connect", kind: function, effects: Other},
	{text: "dblink_connect_u", kind: function, effects: Other},
	{text: "dblink_disconnect", kind: function, effects: Releases},
	{text: "set_user", kind: function, effects: anyName}, // the set_user module
	{text: "set_user_u", kind: function, effects: anyName},
	{text: "set_session_auth", kind: function, effects: anyName},
	{text: "reset_user", kind: function, effects: anyName | Releases | Resets},
}
