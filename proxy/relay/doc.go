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
// A Relay is one session. It consists of types that own their state, each of
// which uses those below it and none above:
//
//	Relay         relay.go, rest.go       when another client may have the server
//	incoming      client.go               where it is in what the client sends: cut, gathered, waiting
//	requests      requests.go and more    what a message of the client's means, and what is sent for it
//	answers       answer.go, errors.go    what a message of the server's means, and what the client gets
//	statements    statements.go and more  names and texts of prepared statements, on the server that is held
//	sessionState  state.go, stateprobe.go what the client has left in its session, suspected and asked for
//	parameters    parameters.go, parameterstatus.go  what the client wished for, and what was reported to it
//	exchange      exchange.go, copy.go    what was sent and not answered, and what may be sent now
//	ledger        ledger.go               the messages that are not answered
//
// Packages below have what needs no session: effects says what a text may do,
// names what a client calls its statements, prepared which statements are one
// and who has them, params what is to be set where, and ownsql spells our own
// queries out.
//
// Everything that was sent to the server and not answered stands in one ledger,
// with its owner and what it changes once it is confirmed. Nothing is believed
// before: ParseComplete makes a statement, CommandComplete an effect, and
// ErrorResponse undoes what hung on it. What PostgreSQL skips follows from the
// ledger and the rules of PostgreSQL documentation, "Message Flow".
//
// Names of statements are translated (translate.go, resolve.go), a session's
// parameters are kept as what its client wished for (parameters.go), and what it
// may have left in the server's session is asked of PostgreSQL (stateprobe.go).
// Errors in the client's conversation are PostgreSQL's: ours are provoked and
// reworded (errors.go).
package relay
