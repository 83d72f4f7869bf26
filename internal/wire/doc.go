// Package wire knows the bytes of PostgreSQL's frontend/backend protocol,
// version 3: message headers, startup packets, errors, and the few message
// bodies that a pooler has to understand.
//
// It knows no socket and keeps no connection state. Everything that parses
// foreign bytes here checks each length against a limit before it allocates,
// returns an error instead of panicking, and has a fuzz test. Messages that
// pgseal originates are encoded with pgproto3; nothing foreign is ever decoded
// by it.
//
// Functions named Append… add to the slice they are given and return it, as
// append does. Functions named Parse… never keep a reference to their input.
//
// Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol".
package wire
