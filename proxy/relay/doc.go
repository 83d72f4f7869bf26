// Package relay is a model of PostgreSQL's side of the conversation. Bytes of a
// client and answers of a server go in; steps, which say what goes where, and
// actions, which say what is to become of the server, come out. It decides
// alone what a message means, what the server owes, and when another client may
// have the server. It touches no socket, takes no lock, calls nobody back, and
// knows no pool.
//
//	client ── FromClient ──►  Relay  ──►  server
//	                        │ ledger │           a Server is what is known of
//	client ◄───────────────  │ names  │  ◄── FromServer ── server
//	                        │ wishes │           a connection: set, prepared
//	                        └── Next ──► Action: release, ask, break, end
//
// Everything that was sent to the server and not answered stands in one ledger
// (ledger.go), with its owner and what it changes once it is confirmed. Nothing
// is believed before: ParseComplete makes a statement, CommandComplete an
// effect, and ErrorResponse undoes what hung on it. What PostgreSQL skips
// follows from the ledger and the rules of PostgreSQL documentation, "Message
// Flow".
//
// Names of statements are translated (names.go, prepare.go), a session's
// parameters are kept as what its client wished for (parameters.go), and what it
// may have left in the server's session is asked of PostgreSQL (survey.go).
// Errors in the client's conversation are PostgreSQL's: ours are provoked and
// reworded (errors.go).
package relay
