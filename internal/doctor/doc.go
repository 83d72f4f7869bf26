// Package doctor looks for what makes data in transit weaker than it should
// be: in the configuration, in the files that it names and, where it is asked
// to connect, at the servers.
//
// Each check is one entry of the list in checks.go: an id that never changes,
// a severity, why it matters, and one small function. A function of a check
// looks at an exam, which is everything that was read beforehand, or at a
// host, which is everything that one server showed; it reports findings and
// may note what it found good. So to add a check is to write one function and
// to name it in the list. A test compares the list with docs/hardening.md.
//
// The package changes nothing: not a file, not a server. It sends a password
// only over a connection that backend.Dial opened and verified as the
// configuration demands; the probe of a handshake logs in to nothing. No
// finding holds a secret or PEM.
package doctor
