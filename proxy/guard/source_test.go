package guard

import (
	"net"
	"net/netip"
	"testing"
)

func source(addr string) netip.Prefix { return SourceOf(&net.TCPAddr{IP: net.ParseIP(addr)}) }

func TestAHostOfIPv6IsOneSourceWithItsNetwork(t *testing.T) {
	for _, same := range [][2]string{{"2001:db8::1", "2001:db8::ffff:2"}, {"::ffff:10.0.0.1", "10.0.0.1"}} {
		if a, b := source(same[0]), source(same[1]); a != b || !a.IsValid() {
			t.Errorf("%v and %v are two sources", a, b)
		}
	}
	for _, other := range [][2]string{{"2001:db8::1", "2001:db8:0:1::1"}, {"10.0.0.1", "10.0.0.2"}} {
		if a, b := source(other[0]), source(other[1]); a == b {
			t.Errorf("two networks are the source %v", a)
		}
	}
	if at := SourceOf(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}); at != netip.MustParsePrefix("fe80::/64") {
		t.Errorf("with a zone it is the source %v", at)
	}
	if at := SourceOf(&net.UnixAddr{Name: "@", Net: "unix"}); at.IsValid() {
		t.Errorf("a unix socket is the source %v", at)
	}
}
