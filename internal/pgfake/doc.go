// Package pgfake is a scripted PostgreSQL server for tests of the connections to
// servers: a Server runs a script of steps for each connection, and the script
// may break the protocol wherever it likes. It has its own idea of the protocol's
// bytes and uses nothing of package wire.
package pgfake
