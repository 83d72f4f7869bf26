package stats

import (
	"crypto/tls"
	"testing"
	"time"
)

func TestTLSOfAConnectionIsAsPostgreSQLShowsIt(t *testing.T) {
	for _, c := range []struct {
		state tls.ConnectionState
		want  TLS
	}{
		{tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_256_GCM_SHA384, CurveID: tls.X25519, ServerName: "db"},
			TLS{Version: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384", Bits: 256, Group: "X25519", ServerName: "db"}},
		{tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
			TLS{Version: "TLSv1.2", Cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Bits: 128}},
		{tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_CHACHA20_POLY1305_SHA256},
			TLS{Version: "TLSv1.3", Cipher: "TLS_CHACHA20_POLY1305_SHA256", Bits: 256}},
	} {
		if got := TLSOf(c.state); *got != c.want {
			t.Errorf("%+v, want %+v", *got, c.want)
		}
	}
}

func TestHandshakesAreCountedByHowTheyEnded(t *testing.T) {
	var h Handshakes
	h.Done(tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}, time.Second)
	h.Failed(HandshakeLeft)
	got := h.Read()
	h.Failed(HandshakeLeft) // is not in what was read before
	if len(got.Counts) != 2 || got.Counts[Handshake{HandshakeDone, "TLSv1.3", "TLS_AES_128_GCM_SHA256"}] != 1 || got.Counts[Handshake{Outcome: HandshakeLeft}] != 1 {
		t.Errorf("counted were %v", got.Counts)
	}
	if got.Times.Count() != 1 || got.Times.Sum != time.Second {
		t.Errorf("they took %v", got.Times.Sum)
	}
}
