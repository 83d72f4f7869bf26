package integration

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
)

// queued returns how many bytes lie in the queues of one end of a TCP
// connection of this machine: those that were not read yet, and those that the
// other end has not taken yet. It asks by sock_diag(7), since /proc/net/tcp
// takes milliseconds to read and can leave out what it should show while others
// connect.
func queued(local, remote netip.AddrPort) (int, error) {
	const (
		netlinkSockDiag = 4
		sockDiagFamily  = 20 // SOCK_DIAG_BY_FAMILY
		headerSize      = 16 // of a struct nlmsghdr
		queues          = 56 // idiag_rqueue in a struct inet_diag_msg
		listening       = 10 // TCP_LISTEN, the idiag_state of who would take such a connection
	)
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	defer syscall.Close(fd)

	family := byte(syscall.AF_INET6)
	if local.Addr().Is4() {
		family = syscall.AF_INET
	}
	request := []byte{family, syscall.IPPROTO_TCP, 0, 0, 0xff, 0xff, 0xff, 0xff} // in any state
	request = binary.BigEndian.AppendUint16(request, local.Port())
	request = binary.BigEndian.AppendUint16(request, remote.Port())
	for _, addr := range []netip.Addr{local.Addr(), remote.Addr()} {
		var padded [16]byte
		copy(padded[:], addr.AsSlice())
		request = append(request, padded[:]...)
	}
	request = append(request, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // any interface, no cookie

	message := binary.NativeEndian.AppendUint32(nil, uint32(headerSize+len(request)))
	message = binary.NativeEndian.AppendUint16(message, sockDiagFamily)
	message = binary.NativeEndian.AppendUint16(message, syscall.NLM_F_REQUEST)
	message = append(message, 0, 0, 0, 0, 0, 0, 0, 0) // sequence and port: there is one question
	if err := syscall.Sendto(fd, append(message, request...), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	if n < headerSize+queues+8 || binary.NativeEndian.Uint16(answer[4:]) != sockDiagFamily || answer[headerSize+1] == listening {
		return 0, nil // that end is gone
	}
	answer = answer[headerSize+queues : n]
	return int(binary.NativeEndian.Uint32(answer) + binary.NativeEndian.Uint32(answer[4:])), nil
}
