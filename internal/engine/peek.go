//go:build unix

package engine

import (
	"io"
	"net"
	"syscall"
)

// PeekByte waits for the first byte on a connection and leaves it
// unread. It ends with io.EOF if the peer closed, and obeys the connection's
// deadline. ok is false for connections without a socket.
func PeekByte(conn net.Conn) (first byte, ok bool, err error) {
	sc, isSocket := conn.(syscall.Conn)
	if !isSocket {
		return 0, false, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false, nil
	}
	var b [1]byte
	var n int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, failed = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if failed != syscall.EINTR {
				return failed != syscall.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, true, err
	case failed != nil:
		return 0, true, failed
	case n == 0:
		return 0, true, io.EOF
	}
	return b[0], true, nil
}
