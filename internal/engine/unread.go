//go:build unix

package engine

import (
	"net"
	"syscall"
)

// HasUnread reports whether unread bytes are waiting in a connection's
// socket at this moment. It never blocks and takes nothing from the socket.
// For connections without a socket it returns false.
func HasUnread(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	unread := false
	raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		unread = err == nil && n > 0
	})
	return unread
}
