//go:build !pgseal_notlspeek

package engine

import (
	"crypto/tls"
	"runtime"
	"testing"
)

// A version of Go that tlspeek.go is not built for, or in which crypto/tls has
// changed, is told of here and nowhere else.
func TestTheReadBuffersOfCryptoTLSAreSeen(t *testing.T) {
	if !drained(&tls.Conn{}) {
		t.Fatalf("%s: idle clients keep buffers of up to 34 KB; look at crypto/tls, tlspeek.go and the versions it is built for", runtime.Version())
	}
}
