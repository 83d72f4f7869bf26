// Package ownsql has the SQL of our own queries, those that set parameters
// in a server's session, bring startup values back behind a RESET, ask for the
// values that analysis reads, and ask what a session has left; and it reads
// their answers. Each means the same whatever search_path, client_encoding and
// standard_conforming_strings the client has set.
package ownsql
