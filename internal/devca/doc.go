// Package devca is a small certificate authority for development, the demo
// and tests.
//
// It makes a self-signed root, issues server and client certificates below it
// (ECDSA P-256, PKCS #8 keys, random serial numbers), and writes pairs
// of files so that a reader never sees half of one.
//
// It does not revoke, keep a record of what it issued or protect its key beyond
// file mode 0600. It is no authority for production.
//
// A CA is immutable once made: any goroutine may call its methods at any time.
// It owns no goroutine and no open file.
package devca
