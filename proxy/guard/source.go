package guard

import (
	"net"
	"net/netip"
)

// SourceOf returns the source that a connection from addr counts for: an IPv4 address,
// or the /64 network that one IPv6 host can use freely. All Unix sockets are one source,
// the zero Prefix.
func SourceOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // zero for an address that is none
	return prefix
}
