// Package engine waits for bytes on many connections and hands them to their
// handlers. It knows nothing about PostgreSQL.
//
//	        epoll            Data(b)             Write(b, from)
//	socket ───────► loop ───────────► Handler ───────────────► another Conn
//	                 ▲ tasks, timeouts                            │ the kernel is full
//	                 └──────── from is not read until then ◄──────┘
//
// A [Transport] is made from a net.Conn before anything is read from it. It
// serves a login with blocking reads, on goroutines, with deadlines; TLS
// handshakes can't be resumed, so they belong there. Then [Engine.Adopt] takes
// it over, as it is or with the tls.Conn on top of it, and from then on a
// [Handler] is called for each run of bytes.
//
// There are two engines with one behaviour. The event loops of Linux own a
// thread and an epoll instance each; a connection is read by its home loop for
// life, and an idle one owns no goroutine, no buffer and no timer. The portable
// engine has a goroutine per connection and is for everywhere else.
//
// # Goroutines
//
// A Handler's methods are called at the connection's home, one at a time.
// They must not block. Conn's methods may be called from anywhere.
//
// # What it does not do
//
// It dials nothing, accepts nothing, and never decides to close: only the
// peer, a Handler that panics, or a call of Close ends a connection.
package engine
