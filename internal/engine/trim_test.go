package engine

import "testing"

func TestTheReadBuffersOfCryptoTLSAreWhereTrimLooksForThem(t *testing.T) {
	if !tlsBuffers.known {
		t.Fatal("crypto/tls has changed: idle clients keep buffers of up to 34 KB; look at trim.go")
	}
}
